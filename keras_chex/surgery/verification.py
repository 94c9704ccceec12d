"""Runs two models on the same random input and insists on equal outputs."""

import warnings

import keras
import numpy as np

from keras_chex.graph.keras_nodes import input_structure
from keras_chex.graph.keras_random import same_draws

UNKNOWN_SIZE = 32
WORDS = ("a", "the", "of", "to", "1", "2")
TOLERANCE = {"float16": 2e-2, "bfloat16": 1e-1}


def sample_inputs(model, batch=2, seed=0):
    """Random input of the right structure, `UNKNOWN_SIZE` where unspecified.

    Args:
        model: a functional or Sequential model.
        batch: int, examples, where the model does not fix their number.
        seed: int.

    Returns:
        Arrays in the structure the model takes.
    """
    rng = np.random.default_rng(seed)

    def draw(tensor):
        sizes = [UNKNOWN_SIZE if n is None else n for n in tensor.shape[1:]]
        shape = (tensor.shape[0] or batch, *sizes)
        kind = keras.backend.standardize_dtype(tensor.dtype)
        if "int" in kind or kind == "bool":
            return rng.integers(0, 2, shape).astype(kind)
        if kind == "string":
            return rng.choice(WORDS, shape)
        return rng.normal(size=shape).astype("float32")

    return keras.tree.map_structure(draw, input_structure(model))


def largest_difference(outputs, others):
    """Largest difference between outputs, as a share of the largest output."""
    worst = 0.0
    pairs = zip(
        keras.tree.flatten(outputs), keras.tree.flatten(others), strict=True
    )
    for one, other in pairs:
        one = np.asarray(keras.ops.convert_to_numpy(one), np.float64)
        other = np.asarray(keras.ops.convert_to_numpy(other), np.float64)
        scale = max(np.abs(one).max(initial=0.0), 1e-12)
        gap = np.abs(one - other).max(initial=0.0) / scale
        worst = max(worst, np.inf if np.isnan(gap) else gap)
    return float(worst)


def _is_finite(outputs):
    arrays = map(keras.ops.convert_to_numpy, keras.tree.flatten(outputs))
    return all(np.isfinite(x).all() for x in arrays if x.dtype.kind == "f")


def _smaller(array):
    return array * np.float32(1e-2) if array.dtype.kind == "f" else array


def verify_equal(model, stripped, by_name=False):
    """Compares a wrapped model with what `strip` made of it.

    Layers that draw random numbers in inference draw the same in both, where
    they do so with a `keras.random.SeedGenerator`.

    Args:
        model: the wrapped model.
        stripped: a functional model.
        by_name: bool, whether `model` takes its inputs as keyword arguments.

    Raises:
        RuntimeError: If the largest difference exceeds 1e-4 of the largest
            output (2e-2 for float16, 1e-1 for bfloat16).

    Warns:
        UserWarning: If `model` itself gives other outputs every time, or none
            that are finite.
    """
    inputs = sample_inputs(stripped)

    def outputs():
        args, kwargs = ((), inputs) if by_name else ((inputs,), {})
        with same_draws(model):
            return model(*args, **kwargs, training=False)

    expected = outputs()
    if not _is_finite(expected):
        inputs = keras.tree.map_structure(_smaller, inputs)
        expected = outputs()
    if not _is_finite(expected):
        warnings.warn(
            f"Model '{model.name}' gives outputs that are not finite on random "
            "input, so that the stripped model could not be compared with it. "
            "Compare them on inputs of yours.",
            stacklevel=3,
        )
        return
    with same_draws(stripped):
        received = stripped(inputs, training=False)
    difference = largest_difference(expected, received)
    limit = max(
        TOLERANCE.get(layer.compute_dtype, 1e-4) for layer in model.layers
    )
    if difference <= limit:
        return
    if largest_difference(expected, outputs()) > limit:
        warnings.warn(
            f"Model '{model.name}' gives other outputs every time it is called "
            "on the same input, so that the stripped model could not be "
            "compared with it. Draw random numbers with a "
            "`keras.random.SeedGenerator` that the layer holds, and it can.",
            stacklevel=3,
        )
    else:
        raise RuntimeError(
            f"The stripped model of '{model.name}' differs from the trained "
            f"one by {difference:.1e} of the largest output, more than "
            f"{limit:.0e}. Please report the model's `summary()`."
        )
