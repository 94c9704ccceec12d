"""What the user's code does with the number of examples it is called on."""

import keras

from keras_chex.graph.keras_nodes import is_symbolic
from keras_chex.graph.trace import Trace, only_computes

# A number that no size of a network is a multiple of.
BATCH = 97


def with_batch(value, batch=BATCH):
    """A symbolic tensor with a known batch size; anything else as it is."""
    if not is_symbolic(value):
        return value
    return keras.KerasTensor((batch, *value.shape[1:]), value.dtype)


def is_incomplete(read):
    """Tells whether the batch size is needed to know what was computed."""
    return _has_open_sizes(read) or _holds_open_size(read)


def _holds_open_size(read):
    """Tells whether a tensor is broadcast to a shape that is not known."""
    return any(
        None in (getattr(node.operation, "shape", None) or ())
        for node in read.calls
        if not isinstance(node.operation, keras.layers.Layer)
    ) or any(map(_holds_open_size, traces_inside(read)))


def _has_open_sizes(read):
    """Tells whether sizes are unknown that follow from the inputs."""
    if any(None in tensor.shape[1:] for tensor in read.inputs):
        return False
    return any(
        None in tensor.shape[1:]
        for node in read.calls
        for tensor in node.outputs
    ) or any(map(_has_open_sizes, traces_inside(read)))


def traces_inside(read):
    """What was read of the layers with code inside."""
    return [inner for inner in read.inner.values() if isinstance(inner, Trace)]


def fixes_batch(read):
    """Whether raw operations hold the batch size other than in a reshape."""
    if only_computes(read.layer):
        return False  # Nothing is made of its operations.
    return any(
        _holds_batch(node)
        for node in read.calls
        if not isinstance(node.operation, keras.layers.Layer)
    ) or any(map(fixes_batch, traces_inside(read)))


def copies_examples(node):
    """Tells whether an operation copies one example for the whole batch."""
    kind = type(node.operation).__name__
    if kind not in ("Tile", "BroadcastTo", "Repeat") or len(node.inputs) != 1:
        return False
    shape, target = tuple(node.inputs[0].shape), tuple(node.outputs[0].shape)
    return (
        len(shape) == len(target)
        and (shape[0], target[0]) == (1, BATCH)
        and shape[1:] == target[1:]
    )


def _holds_batch(node):
    if copies_examples(node):
        return False
    held = [v for k, v in vars(node.operation).items() if k[0] != "_"]
    values = keras.tree.flatten([held, list(node.constants)])
    numbers = [n for n in values if isinstance(n, int) and n]
    numbers += [n for x in values for n in getattr(x, "shape", ()) or () if n]
    if not any(n % BATCH == 0 for n in numbers):
        return False
    shapes = [tuple(x.shape) for x in (*node.inputs, *node.outputs)]
    keeps_batch = len({shape[0] for shape in shapes}) == 1
    return not (hasattr(node.operation, "newshape") and keeps_batch)
