"""Weights that layers hold beside their sub-layers, as layers of their own.

So they are seen in a graph like any other layer, and can lose channels.
"""

import contextlib
import weakref

import keras

from keras_chex.graph.keras_functions import unpacked
from keras_chex.graph.keras_nodes import STORES, own_weights

# The layer that stands for the weight `name` of another is its attribute of
# this name, once it can lose channels.
SUFFIX = "_with_channels"
_known = weakref.WeakKeyDictionary()


class OwnWeight(keras.layers.Layer):
    """Gives out its weight, whatever it is called on.

    It is in no file: the weight belongs to the user's layer.

    Args:
        shape: tuple of ints, of the weight.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: any tensor; it only says where in a graph the weight is used.

    Output shape:
        `shape`, without a batch axis.

    Example:

    >>> layer = OwnWeight((3,))
    >>> layer(keras.ops.zeros((2, 5))).shape[0]
    3
    """

    def __init__(self, shape, **kwargs):
        super().__init__(**kwargs)
        self.shape = tuple(shape)
        self.supports_masking = True

    def build(self, input_shape):
        self.weight = self.add_weight(
            shape=self.shape, initializer="zeros", name="weight"
        )

    def call(self, inputs):
        return keras.ops.convert_to_tensor(self.weight.value)

    def compute_output_shape(self, input_shape):
        return self.shape

    def compute_mask(self, inputs, previous_mask=None):
        return None

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.shape, self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "shape": self.shape}


def _holder(layer, name, variable):
    """An `OwnWeight` that holds a weight of another layer, not a copy."""
    policy, dtype = layer.dtype_policy, variable.dtype
    holder = OwnWeight(
        variable.shape,
        name=name,
        dtype=policy if policy.variable_dtype == dtype else dtype,
        trainable=variable.trainable,
    )
    holder.weight = variable
    holder.built = True
    # As the user gave them: while channels go, the variable has others.
    holder.terms = variable.regularizer, variable.constraint
    return holder


def attribute_weights(layer):
    """The weights a layer holds itself, by attribute.

    Returns:
        Dict from name to variable; None if a list or dict holds some. Those
        that nothing holds any more, because a subclass put others in their
        place, are left out.
    """
    weights, inside = {}, []
    for name, value in vars(layer).items():
        if isinstance(value, keras.Variable):
            weights[name] = value
        elif isinstance(value, (list, tuple, dict)) and name not in STORES:
            inside += unpacked(value)
    hidden = {id(weight) for weight in own_weights(layer)}
    hidden -= {id(weight) for weight in weights.values()}
    return None if hidden.intersection(map(id, inside)) else weights


def weight_layers(layer):
    """The layers that stand for the weights a layer holds itself.

    Args:
        layer: a layer whose code is read.

    Returns:
        Dict from attribute to an `OwnWeight`, the same in every call, or to
        what took its place when the model was wrapped; None if not all of the
        weights are attributes.
    """
    weights = attribute_weights(layer)
    if weights is None:
        return None
    known = _known.setdefault(layer, {})
    found = {}
    for name, variable in weights.items():
        holder = known.get(name)
        if holder is None or holder.weight is not variable:
            holder = known[name] = _holder(layer, name, variable)
        found[name] = getattr(layer, name + SUFFIX, holder)
    return found


@contextlib.contextmanager
def given_out(layer, tensors):
    """Reading own weights of a layer gives symbolic tensors in this scope.

    Args:
        layer: a layer whose weights are all attributes.
        tensors: symbolic tensors that the layer is called on.
    """
    holders, attributes = weight_layers(layer), vars(layer)
    kept = {name: attributes[name] for name in holders}
    attributes.update({n: h(tensors[0]) for n, h in holders.items()})
    try:
        yield
    finally:
        attributes.update(kept)
