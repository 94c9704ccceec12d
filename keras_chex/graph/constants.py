"""Arrays that the user's code makes and calls layers on, such as positions."""

import functools

import keras
import numpy as np

from keras_chex.graph.keras_nodes import is_symbolic


class Constant(keras.Operation):
    """Gives out an array, whatever it is called on.

    It stands in what was read of the user's code, and nowhere else.

    Args:
        value: array.
    """

    def __init__(self, value):
        super().__init__()
        self._value = value

    @property
    def value(self):
        """The array."""
        return self._value

    def call(self, tensor):
        return keras.ops.convert_to_tensor(self._value)

    def compute_output_spec(self, tensor):
        dtype = keras.backend.standardize_dtype(self._value.dtype)
        return keras.KerasTensor(self._value.shape, dtype)


def recorded_on_arrays(layer, anchor):
    """A `call` for a layer that is recorded when it is called on arrays.

    Args:
        layer: a layer inside of code that is called on symbolic tensors.
        anchor: function without arguments that gives a symbolic tensor, of
            what is being read; or None where nothing is.

    Returns:
        Function with the arguments of `layer.call`.
    """
    call = layer.call

    @functools.wraps(call)
    def recorded(*args, **kwargs):
        arrays = {
            id(x): _array(x)
            for x in keras.tree.flatten((args, kwargs))
            if keras.ops.is_tensor(x)
        }
        known = all(value is not None for value in arrays.values())
        if not arrays or not known or anchor() is None:
            return call(*args, **kwargs)

        def symbol(x):
            array = arrays.get(id(x))
            return x if array is None else Constant(array)(anchor())

        args, kwargs = keras.tree.map_structure(symbol, (args, kwargs))
        return layer(*args, **kwargs)

    return recorded


def _array(tensor):
    """The values of a tensor; None while a backend traces code itself."""
    if is_symbolic(tensor):
        return None
    try:
        return np.asarray(keras.ops.convert_to_numpy(tensor))
    except Exception:  # noqa: BLE001
        # Every backend raises its own.
        return None
