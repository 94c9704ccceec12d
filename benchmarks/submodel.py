"""Chooses a sub-model with the same share of every group."""

import numpy as np

import keras_chex


def uniform_submodel(model, flops, round_to=1, seed=0):
    """Finds the largest uniform sub-model that keeps a share of the FLOPs.

    Args:
        model: a wrapped model with all channels active.
        flops: float, share of its FLOPs that may be kept.
        round_to: int, widths are multiples of this, or whole groups.
        seed: int, decides which channels stay.

    Returns:
        Dict from the name of every prunable group to indices, as
        `keras_chex.set_active` takes it. The model is left as it was.
    """
    groups = [g for g in keras_chex.channel_groups(model) if not g.frozen]
    everything = {g.name: np.arange(g.size) for g in groups}
    limit = flops * keras_chex.flops(model)
    rng = np.random.default_rng(seed)
    orders = {g.name: rng.permutation(g.size) for g in groups}

    def submodel(share):
        return {
            g.name: np.sort(orders[g.name][: _width(g.size, share, round_to)])
            for g in groups
        }

    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        keras_chex.set_active(model, submodel(middle))
        if keras_chex.flops(model) <= limit:
            low = middle
        else:
            high = middle
    keras_chex.set_active(model, everything)
    return submodel(low)


def _width(size, share, round_to):
    return min(size, max(1, round(share * size / round_to)) * round_to)
