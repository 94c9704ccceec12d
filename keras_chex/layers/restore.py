"""Values for regrown channels other than the remembered ones."""

import keras
import numpy as np

from keras_chex.graph.keras_nodes import full_precision

RESTORES = ("preserve", "mru", "zeros", "random")


def fresh_values(layer, name, weight, restore, seed):
    """Makes values for a weight as if its channels had never been trained.

    Vectors (biases, BatchNorm scales and statistics) get the value they were
    initialised with under both choices: a zero variance is no statistic.

    Args:
        layer: the layer that owns the weight.
        name: str, attribute name of the weight.
        weight: the variable.
        restore: `"zeros"` or `"random"`.
        seed: int or list of ints; the same seed gives the same values, unless
            the initializer is a plain function that draws by itself.

    Returns:
        Array of the shape of the weight; None where nothing tells how the
        weight began, as for one that a layer of the user's holds itself.
    """
    *owners, name = name.split(".")
    for owner in owners:
        layer = getattr(layer, owner)
    stem = name.removesuffix("_kernel")
    for attribute in (name, stem, "depthwise"):
        initializer = getattr(layer, f"{attribute}_initializer", None)
        if initializer is not None:
            break
    else:
        return None
    if restore == "zeros" and len(weight.shape) > 1:
        return np.zeros(weight.shape)
    # An initializer may be any function, and draw as it likes.
    config = getattr(initializer, "get_config", dict)()
    if "seed" in config:
        entropy = [*np.atleast_1d(seed), *name.encode()]
        number = np.random.default_rng(entropy).integers(2**31)
        initializer = type(initializer).from_config(
            {**config, "seed": int(number)}
        )
    with full_precision():
        value = initializer(weight.shape, dtype=weight.dtype)
    return keras.ops.convert_to_numpy(value)
