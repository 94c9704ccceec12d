"""Raw operations of Keras 3 as layers of `tf_keras`.

Layers rather than TensorFlow's functions, wherever there is one that computes
the same: quantisation-aware training only knows layers.
"""

import numpy as np

from keras_chex.export.tf_keras_activations import activation_layers

_ACTIVATIONS = {
    "Relu": "relu",
    "Relu6": "relu6",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Tanh": "tanh",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Selu": "selu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "Exp": "exponential",
}
_MERGES = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")


class Translator:
    """Calls what a raw operation is in `tf_keras`.

    Args:
        target: `Side` of `tf_keras`.
        unique: function that makes a name unique within the model.
    """

    def __init__(self, target, unique):
        self.layers = target.library.layers
        self.target = target
        self.unique = unique

    def __call__(self, operation, args, kwargs):
        """Applies `operation` to symbolic tensors of `tf_keras`.

        Raises:
            ValueError: If there is no equivalent; the message names the
                operation.
        """
        kind = type(operation).__name__
        if kind in _ACTIVATIONS:
            x = args[0] if args else kwargs["x"]
            return activation_layers(
                _ACTIVATIONS[kind],
                self.target,
                operation.name,
                self.unique,
                f"operation '{operation.name}'",
            )(x)
        inputs = [*args, *kwargs.values()]
        method = "_arithmetic" if kind in _ARITHMETIC else f"_{kind.lower()}"
        translate = getattr(self, method, None)
        result = translate(operation, *inputs) if translate else None
        if result is None:
            raise ValueError(
                "Argument `model` must use raw operations that have an "
                "equivalent in tf_keras. Received: operation "
                f"'{operation.name}' of class {kind}{_shapes(inputs)}. Use a "
                "layer of Keras instead of this function of `keras.ops`."
            )
        return result

    def _layer(self, operation, kind, **config):
        name = self.unique(operation.name)
        return getattr(self.layers, kind)(**config, name=name)

    def _arithmetic(self, operation, x, y):
        kind = type(operation).__name__
        if _is_tensor(x) and _is_tensor(y):
            if kind in _MERGES and len(x.shape) == len(y.shape):
                return self._layer(operation, kind)([x, y])
            return None
        if not _is_tensor(x) and kind in ("Add", "Multiply", "Maximum"):
            x, y = y, x
        if not _is_tensor(x) or np.ndim(y) > 1:
            return None
        if kind == "Maximum":
            is_relu = np.ndim(y) == 0 and float(y) == 0.0
            return self._layer(operation, "ReLU")(x) if is_relu else None
        numbers = _linear(kind, np.asarray(y, "float64"))
        if numbers is None:
            return None
        return self._layer(operation, "Rescaling", **numbers)(x)

    def _concatenate(self, operation, xs):
        if not all(map(_is_tensor, xs)):
            return None
        return self._layer(operation, "Concatenate", axis=operation.axis)(xs)

    def _reshape(self, operation, x, *_):
        shape = tuple(operation.newshape)
        sizes = [n for n in x.shape[1:] if n is not None]
        is_kept = shape[0] in (-1, None) and (
            len(sizes) == len(x.shape) - 1
            and -1 not in shape[1:]
            and np.prod(sizes) == np.prod(shape[1:])
        )
        if not is_kept:
            return None
        return self._layer(operation, "Reshape", target_shape=shape[1:])(x)

    def _transpose(self, operation, x, *_):
        axes = operation.axes
        if axes is None or axes[0] != 0:
            return None
        return self._layer(operation, "Permute", dims=tuple(axes[1:]))(x)

    def _pad(self, operation, x, *_):
        widths = [tuple(map(int, pair)) for pair in operation.pad_width]
        if operation.mode != "constant" or len(x.shape) != len(widths):
            return None
        if len(widths) != 4 or widths[0] != (0, 0):
            return None
        _, rows, columns, channels = widths
        if channels == (0, 0) or rows != (0, 0):
            padding = (rows, columns)
            x = self._layer(operation, "ZeroPadding2D", padding=padding)(x)
            columns = (0, 0)
        if channels == (0, 0):
            return x
        # The last two axes are what the other data format pads.
        return self._layer(
            operation,
            "ZeroPadding2D",
            padding=(columns, channels),
            data_format="channels_first",
        )(x)

    def _getitem(self, operation, x, key):
        """Every n-th row and column is what pooling with one pixel leaves."""
        keys = key if isinstance(key, tuple) else (key,)
        steps = [_step(part) for part in keys]
        if len(x.shape) != 4 or len(steps) > 4 or None in steps:
            return None
        steps += [1] * (4 - len(steps))
        if steps[0] != 1 or steps[3] != 1:
            return None
        return self._layer(
            operation,
            "MaxPooling2D",
            pool_size=1,
            strides=tuple(steps[1:3]),
            data_format="channels_last",
        )(x)

    def _mean(self, operation, x, *_):
        return self._pooled(operation, "GlobalAveragePooling", x)

    def _max(self, operation, x, *_):
        return self._pooled(operation, "GlobalMaxPooling", x)

    def _pooled(self, operation, kind, x):
        rank = len(x.shape)
        axes = operation.axis
        axes = axes if isinstance(axes, list | tuple) else [axes]
        if None in axes or {a % rank for a in axes} != set(range(1, rank - 1)):
            return None
        return self._layer(
            operation,
            f"{kind}{rank - 2}D",
            keepdims=operation.keepdims,
            data_format="channels_last",
        )(x)

    def _maxpool(self, operation, x):
        return self._window(operation, "MaxPooling", x)

    def _averagepool(self, operation, x):
        return self._window(operation, "AveragePooling", x)

    def _window(self, operation, kind, x):
        if len(x.shape) not in (3, 4, 5):
            return None
        return self._layer(
            operation,
            f"{kind}{len(x.shape) - 2}D",
            pool_size=operation.pool_size,
            strides=operation.strides,
            padding=operation.padding.lower(),
            data_format=operation.data_format or "channels_last",
        )(x)

    def _leakyrelu(self, operation, x):
        return self._layer(
            operation, "LeakyReLU", alpha=operation.negative_slope
        )(x)

    def _elu(self, operation, x):
        return self._layer(operation, "ELU", alpha=operation.alpha)(x)

    def _softmax(self, operation, x):
        return self._layer(operation, "Softmax", axis=operation.axis)(x)

    def _gelu(self, operation, x):
        if operation.approximate:
            return None
        return self._layer(operation, "Activation", activation="gelu")(x)


_ARITHMETIC = (*_MERGES, "Divide", "TrueDivide")


def _linear(kind, y):
    """Arguments of `Rescaling` for an operation with a constant."""
    one, zero = np.ones_like(y), np.zeros_like(y)
    numbers = {
        "Add": (one, y),
        "Subtract": (one, -y),
        "Multiply": (y, zero),
        "Divide": (1.0 / y if np.all(y) else None, zero),
        "TrueDivide": (1.0 / y if np.all(y) else None, zero),
    }.get(kind)
    if numbers is None or numbers[0] is None:
        return None
    scale, offset = numbers
    return {"scale": scale.tolist(), "offset": offset.tolist()}


def _step(part):
    """Step of a slice over a whole axis, None for any other index."""
    if not isinstance(part, slice) or (part.start, part.stop) != (None, None):
        return None
    step = 1 if part.step is None else part.step
    return step if step > 0 else None


def _is_tensor(value):
    return hasattr(value, "shape") and hasattr(value, "node")


def _shapes(inputs):
    shapes = [tuple(x.shape) for x in inputs if _is_tensor(x)]
    return f" on tensors of shapes {shapes}" if shapes else ""
