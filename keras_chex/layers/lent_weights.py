"""Weights of a layer's own that its code sees without dormant channels."""

import functools

import keras

from keras_chex.graph.keras_swap import add_layer
from keras_chex.graph.own_weights import SUFFIX, weight_layers


def lend(layer, replacements):
    """Lets the code of a layer read weights of its own at their active width.

    The weights stay where they are, in full. The class of the layer becomes a
    subclass that has a property for each.

    Args:
        layer: a layer with sub-layers, of a model that is being wrapped.
        replacements: dict from the id of a layer to it and the `ChexWrapper`
            that takes its place, of those too that stand for weights.
    """
    found = {
        name: replacements[id(holder)][1]
        for name, holder in weight_layers(layer).items()
        if id(holder) in replacements
    }
    for name, wrapper in found.items():
        add_layer(layer, name + SUFFIX, wrapper)
    if found:
        layer.__class__ = _lending(type(layer), tuple(found))


@functools.cache
def _lending(kind, names):
    """A subclass that lends the weights of these names."""
    properties = {name: _lent(name) for name in names}
    return type(
        kind.__name__, (kind,), {"__module__": kind.__module__} | properties
    )


def _lent(name):
    def read(layer):
        try:
            held = vars(layer)[name]
        except KeyError:
            raise AttributeError(name) from None
        wrapper = getattr(layer, name + SUFFIX, None)
        if wrapper is None or not isinstance(held, keras.Variable):
            return held  # In a clone, or while the code is being read.
        return wrapper.call(None)

    def write(layer, value):
        vars(layer)[name] = value

    return property(read, write)
