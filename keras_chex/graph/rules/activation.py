"""Which activation functions leave every channel to itself."""

import keras

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


def is_channelwise(activation):
    """Tells whether an activation works on each channel alone.

    Args:
        activation: a function, a layer or None.

    Returns:
        bool. A function that is not one of Keras' own may mix channels or hold
        constants of their number, so the answer is False.

    >>> is_channelwise(keras.activations.relu), is_channelwise(lambda x: x)
    (True, False)
    """
    if activation is None:
        return True
    if isinstance(activation, keras.layers.Layer):
        known = type(activation).__module__.startswith("keras.")
        return known and not isinstance(activation, keras.layers.Softmax)
    return activation in _KNOWN


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
