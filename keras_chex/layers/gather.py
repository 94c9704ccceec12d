"""Takes the active entries of a weight, with gradients that stay cheap."""

import math

import keras
import numpy as np

# Entries of a tensor from which on turning it pays.
_LARGE = 2**18


def gather(value, indices):
    """Takes entries of a tensor along several axes.

    Args:
        value: tensor or variable.
        indices: `{axis: int tensor}`, increasing along each axis.

    Returns:
        Tensor as long as the indices along these axes.

    >>> gather(keras.ops.arange(6), {0: keras.ops.array([1, 4])}).shape[0]
    2
    """
    value = keras.ops.convert_to_tensor(value)
    if not indices:
        return value
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_gather(value, indices)
    for axis, index in indices.items():
        value = keras.ops.take(value, index, axis=axis)
    return value


def _tensorflow_gather(value, indices):
    """Gathers with a gradient that is dense and takes few operations.

    TensorFlow's own gradient is sparse along axis 0, which most optimizers
    take badly, and a dozen operations along any other axis; `take` of Keras
    adds more for negative indices. All indices are different here, so a
    gradient is put where its entries came from.

    The tape is told so itself. `tf.custom_gradient` would do the same and
    besides keep every trace for good, for gradients of a whole graph; these
    find plain gathers here, whose own gradients are right, only slower.
    """
    import tensorflow as tf
    from tensorflow.python.eager import record

    value = tf.convert_to_tensor(value)
    # Rows are copied whole, so they are cut first, and spread last.
    axes = sorted(indices)
    with record.stop_recording():
        taken = value
        for axis in axes:
            taken = _take(taken, axis, indices[axis])

    def gradient(upstream):
        upstream = tf.convert_to_tensor(upstream)
        upstream.set_shape(taken.shape)
        for axis in reversed(axes):
            size = value.shape[axis]
            upstream = _spread(upstream, axis, indices[axis], size)
        return [upstream]

    record.record_operation("NarrowGather", [taken], [value], gradient)
    return taken


def _take(x, axis, index):
    """Entries of a tensor along an axis."""
    import tensorflow as tf

    is_last = axis == len(x.shape) - 1
    if is_last and axis > 0 and math.prod(x.shape) > _LARGE:
        return _on_rows(x, lambda rows: tf.gather(rows, index))
    return tf.gather(x, index, axis=axis)


def _spread(x, axis, index, size):
    """Puts the entries along an axis to their places among zeros."""
    import tensorflow as tf

    before, after = tuple(x.shape[:axis]), tuple(x.shape[axis + 1 :])
    if before and not after:
        return _on_rows(x, lambda rows: _spread(rows, 0, index, size))
    count = math.prod(before)
    if count > 1:
        # A run of rows for each place before the axis.
        first = size * np.arange(count, dtype=np.int32)
        index = first[:, None] + index
    rows = tf.reshape(x, (-1, *after)) if before else x
    rows = tf.scatter_nd(
        tf.reshape(index, (-1, 1)), rows, (count * size, *after)
    )
    return tf.reshape(rows, (*before, size, *after)) if before else rows


def _on_rows(x, function):
    """Does to the last axis what a function does to rows.

    Turning a matrix twice takes less time than moving its single entries.
    """
    import tensorflow as tf

    *before, last = x.shape
    rows = function(tf.transpose(tf.reshape(x, (-1, last))))
    return tf.reshape(tf.transpose(rows), (*before, rows.shape[0]))
