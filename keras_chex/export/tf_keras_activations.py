"""Activations that one of Keras 3 and `tf_keras` lacks, made of layers."""

# One name, one function in both libraries.
SHARED = (
    "elu",
    "exponential",
    "gelu",
    "linear",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
)
# Other names of the same: Keras 2 also says "swish".
_ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}
# What is multiplied with the input of the activation.
_GATES = {"hard_silu": "hard_sigmoid"}
# Layers, in order, by the library that lacks the function. The two libraries
# call different functions `hard_sigmoid`.
_STEPS = {
    "tf_keras": {
        "relu6": [("ReLU", {"max_value": 6.0})],
        "leaky_relu": [("LeakyReLU", {"alpha": 0.2})],
        "hard_sigmoid": [
            ("Rescaling", {"scale": 1.0, "offset": 3.0}),
            ("ReLU", {"max_value": 6.0}),
            ("Rescaling", {"scale": 1.0 / 6.0}),
        ],
    },
    "Keras 3": {
        "relu6": [("ReLU", {"max_value": 6.0})],
        "leaky_relu": [("LeakyReLU", {"negative_slope": 0.2})],
        "hard_sigmoid": [
            ("Rescaling", {"scale": 0.2, "offset": 0.5}),
            ("ReLU", {"max_value": 1.0}),
        ],
    },
}


def activation_name(layer, source):
    """Name of a layer's activation function, in the words of Keras 3.

    Raises:
        ValueError: If it is the user's own function.
    """
    activation = layer.activation
    name = source.library.activations.serialize(activation)
    if isinstance(name, dict):
        name = name.get("config")
    if isinstance(name, str):
        return _ALIASES.get(name, name)
    if isinstance(activation, source.library.layers.Layer):
        name = f"the layer {type(activation).__name__}"
    raise ValueError(
        "Argument `model` must use activations of Keras. Received: layer "
        f"'{layer.name}' with activation {name or activation!r}. Use one of "
        "Keras' functions, or put the activation into a layer of its own."
    )


def activation_layers(name, target, prefix, unique, owner):
    """Makes a function that applies an activation by layers of `target`.

    Args:
        name: str, name of the activation in Keras 3.
        target: `Side` that the layers are of.
        prefix: str, with which the names of the layers start.
        unique: function that makes a name unique within the model.
        owner: str, what is converted, for the message.

    Returns:
        A function from a symbolic tensor to another.

    Raises:
        ValueError: If `target` has no layers for it.
    """
    layers = target.library.layers
    if name in SHARED:
        layer = layers.Activation(name, name=unique(prefix))
        return layer
    if name in _GATES:
        gate = activation_layers(
            _GATES[name], target, f"{prefix}_gate", unique, owner
        )
        product = layers.Multiply(name=unique(prefix))
        return lambda x: product([x, gate(x)])
    steps = _STEPS[target.name].get(name)
    if steps is None:
        raise ValueError(
            "Argument `model` must use activations that both libraries have. "
            f"Received: {owner} with {name!r}, which {target.name} lacks. Use "
            f"one of {sorted({*SHARED, *_GATES, *_STEPS['tf_keras']})}"
        )
    made = [
        getattr(layers, kind)(
            **config, name=unique(f"{prefix}_{i}" * (i > 0) or prefix)
        )
        for i, (kind, config) in enumerate(steps)
    ]

    def apply(x):
        for layer in made:
            x = layer(x)
        return x

    return apply
