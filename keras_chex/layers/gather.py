"""Takes the active entries of a weight, with gradients that stay cheap."""

import keras


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
    """Gathers with a gradient that gathers too.

    TensorFlow's own gradient is sparse along axis 0, which most optimizers
    take badly, and a dozen operations along any other axis; `take` of Keras
    adds more for negative indices. All indices are different here, so the
    gradient of an entry that was not taken is a row of zeros, and that of the
    others is found where they went.
    """
    import tensorflow as tf

    def inverse(axis, index):
        count = index.shape[0]
        absent = tf.fill([value.shape[axis]], count)
        return tf.tensor_scatter_nd_update(
            absent, index[:, None], tf.range(count)
        )

    @tf.custom_gradient
    def run(x):
        for axis, index in indices.items():
            x = tf.gather(x, index, axis=axis)

        def gradient(upstream):
            for axis, index in indices.items():
                paddings = [[0, 0]] * len(upstream.shape)
                paddings[axis] = [0, 1]
                upstream = tf.gather(
                    tf.pad(upstream, paddings), inverse(axis, index), axis=axis
                )
            return upstream

        return x, gradient

    return run(tf.convert_to_tensor(value))
