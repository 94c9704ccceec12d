"""Regularisers and constraints that see only the active part of a weight."""

import keras
import numpy as np

from keras_chex.layers.gather import gather


class NarrowRegularizer(keras.regularizers.Regularizer):
    """A weight's regulariser, applied to its active entries."""

    def __init__(self, regularizer, twin, name):
        self._regularizer = regularizer
        self._twin = twin
        self._name = name

    def __call__(self, x):
        return self._regularizer(gather(x, self._twin.indices(self._name)))

    def get_config(self):
        return self._regularizer.get_config()


class NarrowConstraint(keras.constraints.Constraint):
    """A weight's constraint, applied to its active entries."""

    def __init__(self, constraint, twin, name):
        self._constraint = constraint
        self._twin = twin
        self._name = name

    def __call__(self, w):
        indices = self._twin.indices(self._name)
        full = keras.ops.convert_to_tensor(w)
        if not indices:
            return self._constraint(full)
        value = self._constraint(gather(full, indices))
        return _scatter_block(full, indices, value)

    def get_config(self):
        return self._constraint.get_config()


def _scatter_block(full, indices, value):
    """Writes a block of rows and columns back into a weight."""
    index = [
        indices.get(axis, np.arange(size, dtype=np.int32))
        for axis, size in enumerate(full.shape)
    ]
    grid = keras.ops.meshgrid(*index, indexing="ij")
    points = keras.ops.stack([keras.ops.reshape(g, (-1,)) for g in grid], -1)
    return keras.ops.scatter_update(
        full, points, keras.ops.reshape(value, (-1,))
    )
