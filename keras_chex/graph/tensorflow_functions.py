"""Functions of TensorFlow in the user's code, as operations of Keras.

Code is read with symbolic tensors of Keras, which TensorFlow refuses. Before
it raises it asks what was registered to handle other kinds of arguments. NumPy
does not ask; but it leaves products and sums to a class that says so.
"""

import contextlib
import functools
import inspect

import keras
from keras import ops

from keras_chex.graph.keras_nodes import is_symbolic

_reading = []


@contextlib.contextmanager
def on_symbols():
    """A scope in which functions of TensorFlow take symbolic tensors of Keras.

    Those for which Keras has an operation; others raise as ever. Numbers and
    arrays of NumPy may stand to the left of a symbolic tensor.
    """
    if keras.backend.backend() == "tensorflow":
        _register()
    _reading.append(True)
    keras.KerasTensor.__array_ufunc__ = None
    try:
        yield
    finally:
        _reading.pop()
        if not _reading:
            del keras.KerasTensor.__array_ufunc__


@functools.cache
def _register():
    import tensorflow as tf

    base = tf.__internal__.dispatch.GlobalOpDispatcher
    known = {_name(function): does for function, does in _table(tf)}

    class Dispatcher(base):
        def handle(self, op, args, kwargs):
            does = known.get(_name(op))
            given = keras.tree.flatten((args, kwargs))
            if not (_reading and does and any(map(is_symbolic, given))):
                return self.NOT_SUPPORTED
            kwargs.pop("name", None)
            return does(*args, **kwargs)

    Dispatcher().register()


def _name(function):
    # TensorFlow hands on what it wraps in `tf.reshape`, not that itself.
    return function.__module__, function.__name__


def _table(tf):
    """Pairs of functions of TensorFlow and what does the same in Keras."""
    yield from _of_elements(tf)
    yield from _of_axes(tf)
    yield from _of_shapes(tf)
    yield from _of_pictures(tf)


def _of_elements(tf):
    same = (
        *((tf.abs, ops.abs), (tf.exp, ops.exp), (tf.sqrt, ops.sqrt)),
        *((tf.square, ops.square), (tf.sign, ops.sign), (tf.sin, ops.sin)),
        *((tf.cos, ops.cos), (tf.floor, ops.floor), (tf.round, ops.round)),
        *((tf.tanh, ops.tanh), (tf.sigmoid, ops.sigmoid)),
        *((tf.negative, ops.negative), (tf.zeros_like, ops.zeros_like)),
        *((tf.ones_like, ops.ones_like), (tf.stop_gradient, ops.stop_gradient)),
        *((tf.math.log, ops.log), (tf.math.rsqrt, ops.rsqrt)),
        *((tf.math.reciprocal, ops.reciprocal), (tf.math.log1p, ops.log1p)),
        *((tf.math.softplus, ops.softplus), (tf.nn.softsign, ops.softsign)),
        *((tf.nn.relu, ops.relu), (tf.nn.relu6, ops.relu6)),
        *((tf.nn.elu, ops.elu), (tf.nn.selu, ops.selu)),
        *((tf.add, ops.add), (tf.subtract, ops.subtract)),
        *((tf.multiply, ops.multiply), (tf.divide, ops.divide)),
        *((tf.maximum, ops.maximum), (tf.minimum, ops.minimum)),
        *((tf.pow, ops.power), (tf.where, ops.where)),
    )
    for function, operation in same:
        yield function, _by_position(function, operation)
    yield tf.identity, lambda input: input
    yield tf.add_n, lambda inputs: functools.reduce(ops.add, inputs)
    yield tf.math.squared_difference, lambda x, y: ops.square(x - y)
    yield tf.nn.bias_add, lambda value, bias: ops.add(value, bias)
    yield tf.cast, lambda x, dtype: ops.cast(x, tf.as_dtype(dtype).name)
    yield (
        tf.clip_by_value,
        lambda t, clip_value_min, clip_value_max: ops.clip(
            t, clip_value_min, clip_value_max
        ),
    )
    yield (
        tf.nn.leaky_relu,
        lambda features, alpha=0.2: ops.leaky_relu(features, alpha),
    )
    yield (
        tf.nn.gelu,
        lambda features, approximate=False: ops.gelu(features, approximate),
    )
    yield (
        tf.nn.silu,
        lambda features, beta=1.0: features * ops.sigmoid(beta * features),
    )


def _by_position(function, operation):
    """Takes arguments by the names that TensorFlow gives them."""
    names = list(inspect.signature(function).parameters)

    def does(*args, **kwargs):
        return operation(*args, *(kwargs[n] for n in names if n in kwargs))

    return does


def _of_axes(tf):
    for function, operation in (
        (tf.reduce_mean, ops.mean),
        (tf.reduce_sum, ops.sum),
        (tf.reduce_max, ops.max),
        (tf.reduce_min, ops.min),
        (tf.reduce_prod, ops.prod),
        (tf.math.reduce_std, ops.std),
        (tf.math.reduce_variance, ops.var),
        (tf.reduce_logsumexp, ops.logsumexp),
    ):
        yield function, _reduction(operation)
    yield tf.nn.softmax, lambda logits, axis=-1: ops.softmax(logits, axis)
    yield (
        tf.nn.log_softmax,
        lambda logits, axis=-1: ops.log_softmax(logits, axis),
    )
    yield tf.nn.l2_normalize, _l2_normalize
    yield tf.nn.moments, _moments
    yield tf.reverse, lambda tensor, axis: ops.flip(tensor, axis)
    yield tf.roll, lambda input, shift, axis: ops.roll(input, shift, axis)
    yield tf.matmul, _matmul
    yield tf.einsum, lambda equation, *inputs: ops.einsum(equation, *inputs)


def _reduction(operation):
    def does(input_tensor, axis=None, keepdims=False):
        return operation(input_tensor, axis=axis, keepdims=keepdims)

    return does


def _l2_normalize(x, axis=None, epsilon=1e-12):
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(squares, epsilon))


def _moments(x, axes, keepdims=False):
    return ops.moments(x, list(axes), keepdims=keepdims)


def _matmul(a, b, transpose_a=False, transpose_b=False):
    return ops.matmul(
        ops.swapaxes(a, -1, -2) if transpose_a else a,
        ops.swapaxes(b, -1, -2) if transpose_b else b,
    )


def _of_shapes(tf):
    yield tf.shape, lambda input: ops.shape(input)
    yield tf.concat, lambda values, axis: ops.concatenate(values, axis)
    yield tf.stack, lambda values, axis=0: ops.stack(values, axis)
    yield tf.split, _split
    yield tf.reshape, lambda tensor, shape: ops.reshape(tensor, tuple(shape))
    yield tf.transpose, lambda a, perm=None: ops.transpose(a, perm)
    yield tf.expand_dims, lambda input, axis: ops.expand_dims(input, axis)
    yield tf.squeeze, lambda input, axis=None: ops.squeeze(input, axis)
    yield tf.tile, lambda input, multiples: ops.tile(input, tuple(multiples))
    yield (
        tf.repeat,
        lambda input, repeats, axis=None: ops.repeat(input, repeats, axis),
    )
    yield (
        tf.broadcast_to,
        lambda input, shape: ops.broadcast_to(input, tuple(shape)),
    )
    yield tf.pad, _pad


def _split(value, num_or_size_splits, axis=0):
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis)
    places, place = [], 0
    for size in num_or_size_splits[:-1]:
        place += size
        places.append(place)
    return ops.split(value, places, axis)


def _pad(tensor, paddings, mode="CONSTANT", constant_values=0):
    widths = [tuple(int(n) for n in pair) for pair in paddings]
    if mode.upper() == "CONSTANT":
        return ops.pad(tensor, widths, "constant", constant_values)
    return ops.pad(tensor, widths, mode.lower())


def _of_pictures(tf):
    yield tf.image.resize, _resize
    yield tf.nn.depth_to_space, _depth_to_space
    yield tf.nn.space_to_depth, _space_to_depth
    yield tf.nn.max_pool2d, _pool(ops.max_pool)
    yield tf.nn.avg_pool2d, _pool(ops.average_pool)


def _resize(images, size, method="bilinear", antialias=False):
    return ops.image.resize(
        images, tuple(map(int, size)), interpolation=method, antialias=antialias
    )


def _depth_to_space(input, block_size, data_format="NHWC"):
    _, height, width, channels = _sizes(input, data_format)
    b, left = block_size, channels // block_size**2
    x = ops.reshape(input, (-1, height, width, b, b, left))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height * b, width * b, left))


def _space_to_depth(input, block_size, data_format="NHWC"):
    _, height, width, channels = _sizes(input, data_format)
    b = block_size
    x = ops.reshape(input, (-1, height // b, b, width // b, b, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height // b, width // b, channels * b * b))


def _sizes(tensor, data_format):
    if data_format != "NHWC" or None in tensor.shape[1:]:
        raise ValueError("needs the sizes of its input")
    return tensor.shape


def _pool(operation):
    def does(input, ksize, strides, padding, data_format="NHWC"):
        _sizes(input[:, :1, :1], data_format)
        return operation(input, ksize, strides, padding.lower())

    return does
