"""Which activation functions leave every channel to itself."""

import math

import keras

from keras_chex.graph.keras_nodes import recorded_calls
from keras_chex.graph.rule import rule_for
from keras_chex.graph.tensorflow_functions import on_symbols

# `glu` halves the channel axis, the softmax family weighs channels against
# each other; the rest of `keras.activations` works on each channel alone.
_NOT_CHANNELWISE = set(
    "glu softmax log_softmax sparsemax get serialize deserialize".split()
)
_KNOWN = {
    getattr(keras.activations, name)
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in _NOT_CHANNELWISE
}
_KNOWN |= {
    getattr(keras.ops, name)
    for name in (
        "relu relu6 sigmoid tanh silu swish gelu elu selu softplus softsign "
        "hard_sigmoid hard_silu hard_swish leaky_relu exp square abs"
    ).split()
    if hasattr(keras.ops, name)
}
# Layers without weights that do the same to each channel.
_LAYERS = {
    getattr(keras.layers, name)
    for name in "ReLU LeakyReLU ELU Identity".split()
}
_WEIGHTLESS = _LAYERS | {
    getattr(keras.layers, name)
    for name in "Activation Softmax UnitNormalization".split()
}
# Functions of other libraries that do what their name says.
_FOREIGN = ("tensorflow", "jax", "torch")
_FOREIGN_NAMES = set(
    (
        "relu relu6 sigmoid tanh elu selu gelu softplus softsign silu swish "
        "mish leaky_relu hard_sigmoid hard_silu hard_swish hard_tanh exp"
    ).split()
)


def is_channelwise(activation):
    """Tells whether an activation works on each channel alone.

    Args:
        activation: a function, a layer or None.

    Returns:
        bool. A function that is not one of Keras' own may mix channels or hold
        constants of their number. What it does is read by calling it on a
        symbolic tensor; the answer is False where that fails. It is False for
        layers with weights too, which nothing would narrow.

    >>> is_channelwise(lambda x: 2 * keras.ops.tanh(x))
    True
    >>> is_channelwise(lambda x: x - keras.ops.mean(x, axis=-1, keepdims=True))
    False
    """
    if activation is None:
        return True
    if type(activation) is keras.layers.Activation:
        return is_channelwise(activation.activation)
    if isinstance(activation, keras.layers.Layer):
        return type(activation) in _LAYERS
    if activation in _KNOWN:
        return True
    library = (getattr(activation, "__module__", None) or "").partition(".")[0]
    if library in _FOREIGN:
        return activation_name(activation) in _FOREIGN_NAMES
    return _is_read_as_channelwise(activation)


def may_have_weights(activation):
    """Tells whether an activation is a layer with weights, built or not yet.

    >>> may_have_weights(keras.layers.PReLU())
    True
    """
    is_layer = isinstance(activation, keras.layers.Layer)
    return is_layer and type(activation) not in _WEIGHTLESS


def _is_read_as_channelwise(function):
    """Tells whether code computes each element from that element alone."""
    given = keras.KerasTensor((None, 4, 5, 6))
    try:
        with keras.StatelessScope(), on_symbols():
            found = function(given)
        calls = recorded_calls([found], [given], "activation")
    except Exception:  # noqa: BLE001
        # The user's code may raise anything at all.
        return False
    return all(
        rule_for(call.operation).is_elementwise
        and all(x.shape == given.shape for x in (*call.inputs, *call.outputs))
        and all(_is_number(value) for value in call.constants)
        for call in calls
    )


def _is_number(value):
    return math.prod(getattr(value, "shape", ())) == 1 and not isinstance(
        value, (list, tuple)
    )


def activation_name(activation):
    """A readable name for a report."""
    return getattr(activation, "__name__", type(activation).__name__)


def keep_if_mixed(call, ids):
    """Keeps the channels that a layer makes if its activation may mix them."""
    activation = call.layer.activation
    if not is_channelwise(activation):
        call.ids.freeze(
            ids,
            f"'{call.name}' has an activation that may mix channels "
            f"({activation_name(activation)})",
        )
