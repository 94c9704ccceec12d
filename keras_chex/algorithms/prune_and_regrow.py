"""Prunes and regrows one channel group."""

import numpy as np

from keras_chex.algorithms.criteria import (
    as_columns,
    gram_of,
    score_channels,
    top_k_mask,
)
from keras_chex.algorithms.regrow import (
    regrow_probabilities,
    residuals,
    sample_channels,
)


def prune_and_regrow(group, width, new_width, criterion, sampling, form, rng):
    """Decides which units of a group stay and which come back.

    Args:
        group: `GroupArrays`.
        width: int, this many units stay at most.
        new_width: int, this many are active afterwards.
        criterion: see `explore`.
        sampling: see `explore`.
        form: see `explore`.
        rng: `numpy.random.Generator`.

    Returns:
        `(kept, regrown)`, bool arrays of shape `(size,)`.
    """
    columns = as_columns(group.columns, group.name)
    active = np.asarray(group.active, dtype=bool)
    gram = _shared_gram(columns, active, width, criterion)
    if width < active.sum():
        scored = columns
        if criterion == "css_consumers" and group.consumed is not None:
            scored = as_columns(group.consumed, group.name)
        given = _given(group, criterion)
        kept = _keep(scored, active, given, width, criterion, gram, rng)
    else:
        kept = active.copy()
    count = new_width - kept.sum()
    if count == 0:
        return kept, np.zeros_like(kept)
    if sampling == "uniform":
        distance, form = np.zeros(kept.size), "uniform"
    else:
        distance = residuals(columns, kept, gram=gram)
    if sampling in ("none", "gradual"):
        candidates = np.where(kept, -1.0, distance)
        return kept, top_k_mask(candidates, count)
    probabilities = regrow_probabilities(distance, ~kept, form)
    return kept, sample_channels(probabilities, count, rng)


def _keep(columns, active, given, width, criterion, gram, rng):
    """Marks the `width` best of the active units."""
    live = columns[:, active]
    scores = score_channels(
        criterion,
        live,
        None if given is None else np.asarray(given)[active],
        width,
        rng,
        gram=None if gram is None else gram_of(columns, active, gram),
    )
    norms = np.sqrt(np.einsum("ij,ij->j", live, live))
    kept = np.zeros(active.size, dtype=bool)
    kept[active] = top_k_mask(scores, width, tie_break=norms)
    return kept


def _given(group, criterion):
    """What `score_channels` is given beside the columns of a group."""
    if criterion != "fisher":
        return group.scale
    return np.zeros(group.size) if group.fisher is None else group.fisher


def _shared_gram(columns, active, width, criterion):
    """Gram matrix of all columns, where both pruning and regrowing use it."""
    rows, size = columns.shape
    if criterion == "css" and width < active.sum() and size <= rows:
        return columns.T @ columns
    return None
