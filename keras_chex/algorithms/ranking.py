"""Decides in which order the units of all groups are worth their cost."""

import numpy as np

from keras_chex.algorithms.arguments import check_share

ALLOCATIONS = ("bn_scale", "bn_scale_raw", "uniform", "fisher", "cost")

# Normalised scores closer than this many decimals are ties: rounding of
# float32 variables must not decide whole layers.
_TIE_DECIMALS = 6


def unit_priorities(
    scores, sizes, *, allocation="bn_scale", blend=1.0, kinds=None
):
    """Puts the units of all groups on one scale from 0 to 1.

    | allocation       | priority                                             |
    |------------------|------------------------------------------------------|
    | `"bn_scale_raw"` | global quantile of the scores as they are: equation  |
    |                  | 4 to the letter                                      |
    | `"bn_scale"`     | global quantile of the scores divided by the root    |
    |                  | mean square over the active (non-zero) units of      |
    |                  | their group                                          |
    | `"uniform"`      | position quantile: rank inside the group over its    |
    |                  | size                                                 |
    | `"fisher"`       | global quantile of the scores as they are, which are |
    |                  | to be what a unit is worth over what it costs        |
    | `"cost"`         | likewise                                             |

    Raw scales of different groups are hardly comparable: training does not
    change those between a convolution and the next normalisation, but does
    change those of residual streams. Hence the normalisation.

    Units of equal score occupy a range of quantiles. Except with
    `"bn_scale_raw"`, every group spreads its own evenly over that range, so
    that equal scales (as at initialisation) give every group the same share.
    With `"bn_scale_raw"` they follow each other by group and unit.

    Scores of different kinds (`kinds`) say nothing about each other: scales of
    normalisation layers hardly differ early in training, norms of weights
    always do. So with `"bn_scale"` the quantiles are those among the groups of
    one kind, and every kind gets the same share.

    `blend` mixes both: `(1 - blend)` times the position quantile plus `blend`
    times the global one.

    Args:
        scores: list with one entry per group: a float array of shape
            `(size,)`, at least 0, or `None` for a group that has no scores
            and gets its position quantiles.
        sizes: int array of shape `(groups,)`.
        allocation: one of the names above.
        blend: float in [0, 1].
        kinds: list with one string per group, what its scores are; `None` if
            all are the same.

    Returns:
        List with one float64 array of shape `(size,)` per group: the
        priorities of its units from best to worst, each between 0 and 1.

    Raises:
        ValueError: If an argument does not fit.

    Example:

    >>> scores = [np.array([3, 9]), np.array([5, 8])]
    >>> unit_priorities(scores, [2, 2], allocation="bn_scale_raw")
    [array([0.875, 0.125]), array([0.625, 0.375])]
    >>> unit_priorities(scores, [2, 2], allocation="uniform")
    [array([0.75, 0.25]), array([0.75, 0.25])]
    >>> unit_priorities([np.ones(1), np.ones(2)], [1, 2])
    [array([0.5]), array([0.75, 0.25])]
    >>> unit_priorities([np.ones(1), np.ones(2)], [1, 2], kinds=["a", "b"])
    [array([0.5]), array([0.75, 0.25])]

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), equation 4
    """
    if allocation not in ALLOCATIONS:
        raise ValueError(
            f"Argument `allocation` must be one of {list(ALLOCATIONS)}. "
            f"Received: allocation={allocation!r}"
        )
    check_share("blend", blend)
    sizes = np.asarray(sizes)
    scores = _checked_scores(scores, sizes)
    uniform = [1 - (np.arange(size) + 0.5) / size for size in sizes]
    known = [g for g, score in enumerate(scores) if score is not None]
    if allocation == "uniform" or blend == 0 or not known:
        return uniform
    if kinds is None or allocation == "bn_scale_raw":
        kinds = [""] * len(scores)
    priorities = list(uniform)
    for kind in dict.fromkeys(kinds[group] for group in known):
        alike = [group for group in known if kinds[group] == kind]
        values = [_comparable(scores[group], allocation) for group in alike]
        lengths = [value.size for value in values]
        quantiles = np.split(
            _global_quantiles(
                np.concatenate(values),
                np.repeat(alike, lengths),
                share_ties=allocation != "bn_scale_raw",
            ),
            np.cumsum(lengths)[:-1],
        )
        for group, quantile in zip(alike, quantiles, strict=True):
            priorities[group] = (1 - blend) * uniform[group] + blend * quantile
    return priorities


def rank_units(priorities):
    """Ranks the units of all groups together, best first.

    Args:
        priorities: list of arrays, as `unit_priorities` returns them. Equal
            ones go by position quantile, then by group.

    Returns:
        Int array with one entry per unit: the group it belongs to. The first
        `n` entries, counted per group, are the widths if `n` units are kept.

    Example:

    >>> scores = [np.array([3, 9]), np.array([5, 4, 8])]
    >>> ranked = rank_units(
    ...     unit_priorities(scores, [2, 3], allocation="bn_scale_raw")
    ... )
    >>> ranked
    array([0, 1, 1, 1, 0])
    >>> np.bincount(ranked[:3], minlength=2)
    array([1, 2])
    """
    sizes = [priority.size for priority in priorities]
    group_of = np.repeat(np.arange(len(sizes)), sizes)
    position = np.concatenate([(np.arange(n) + 0.5) / n for n in sizes])
    return group_of[
        np.lexsort((group_of, position, -np.concatenate(priorities)))
    ]


def _comparable(score, allocation):
    """Scores of one group, best first, in units that groups share."""
    if allocation == "bn_scale" and score.any():
        active = score[score > 0]
        score = score / np.sqrt(np.mean(np.square(active)))
        score = np.round(score, _TIE_DECIMALS)
    return -np.sort(-score)


def _global_quantiles(values, group_of, share_ties):
    """Quantile of each value among all; see `unit_priorities` for ties.

    `values` are sorted within each group, best first.
    """
    total = values.size
    order = np.argsort(-values, kind="stable")
    rank = np.empty(total)
    rank[order] = np.arange(total)
    if not share_ties:
        return 1 - (rank + 0.5) / total
    ascending = values[order[::-1]]
    first = total - np.searchsorted(ascending, values, side="right")
    last = total - np.searchsorted(ascending, values, side="left")
    # runs of equal values inside a group
    new_run = np.ones(total, dtype=bool)
    new_run[1:] = (np.diff(values) != 0) | (np.diff(group_of) != 0)
    run = np.cumsum(new_run) - 1
    start, length = np.flatnonzero(new_run), np.bincount(run)
    within = (np.arange(total) - start[run] + 0.5) / length[run]
    return 1 - (first + (last - first) * within) / total


def _checked_scores(scores, sizes):
    if len(scores) != sizes.size:
        raise ValueError(
            "Argument `scores` must have one entry per group. "
            f"Received: {len(scores)} entries for {sizes.size} groups"
        )
    checked = []
    for group, (score, size) in enumerate(zip(scores, sizes, strict=True)):
        if score is not None:
            score = np.asarray(score, dtype=np.float64)
            if score.shape != (size,) or not (score >= 0).all():
                raise ValueError(
                    "Argument `scores` must hold one value of at least 0 for "
                    f"every unit. Received: shape {score.shape}, minimum "
                    f"{score.min(initial=np.inf)} for group {group} of size "
                    f"{size}"
                )
        checked.append(score)
    return checked
