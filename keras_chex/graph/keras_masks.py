"""Masks that Keras hands from layer to layer beside the tensors."""

import keras

from keras_chex.graph.keras_nodes import is_symbolic


def has_mask(tensor):
    """Tells whether a tensor has a mask with it."""
    return getattr(tensor, "_keras_mask", None) is not None


def masks_given(node):
    """How many of the inputs of a `NodeCall` are its keyword `mask`."""
    leaves = keras.tree.flatten(node.arguments.kwargs.get("mask"))
    return sum(map(is_symbolic, leaves))
