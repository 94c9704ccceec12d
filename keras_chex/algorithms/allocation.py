"""Decides how many channels each group keeps under one cost limit."""

import numpy as np

from keras_chex.algorithms.budget import meet_limit
from keras_chex.algorithms.grid import WidthGrid

ALLOCATIONS = ("bn_scale", "bn_scale_raw", "uniform")

# Default share of its uniform width below which a group does not fall.
DEFAULT_FLOORS = {"bn_scale": 0.5, "bn_scale_raw": 0.0, "uniform": 0.0}

# Normalised scores closer than this many decimals are ties: rounding of
# float32 variables must not decide whole layers.
_TIE_DECIMALS = 6


def allocate(
    scores,
    sizes,
    cost,
    limit,
    *,
    allocation="bn_scale",
    min_widths=1,
    round_to=1,
    blend=1.0,
    floor=None,
    tolerance=0.01,
):
    """Shares the limit between groups by a global ranking of their units.

    All units of all groups are ranked (`rank_units`) and the longest prefix
    that the limit pays for gives every group its ideal width. What rounding
    leaves is spent by raising groups in the order of the ranking and, where
    that is not enough, by exchanging widths between groups.

    Args:
        scores: list with one entry per group: a float array of shape
            `(size,)`, the absolute BatchNorm scale of every unit with 0 for
            dormant ones, or `None` for a group that has none and is ranked
            like a uniform one.
        sizes: int array of shape `(groups,)`.
        cost: `QuadraticCost`.
        limit: number, what the widths may cost at most.
        allocation: `"bn_scale"`, `"bn_scale_raw"` or `"uniform"`; see
            `rank_units`.
        min_widths: int or int array of shape `(groups,)`, at least 1.
        round_to: int; widths are multiples of it, or the full size.
        blend: float in [0, 1]; 0 gives uniform widths, 1 those of the scores.
        floor: float in [0, 1], no group falls below this share of its
            uniform width. `None`: 0.5 for `"bn_scale"`, else 0.
        tolerance: float; the search ends within this share of the limit.

    Returns:
        Int array of shape `(groups,)` whose cost is at most `limit`: within
        `tolerance` of it where exchanges find such widths, else the nearest
        found below it.

    Raises:
        ValueError: If the limit is below the reachable minimum, or another
            argument is out of range.

    Example:

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> scores = [np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.5, 0.1, 0.1, 0])]
    >>> cost = channel_count_cost([4, 4])
    >>> allocate(scores, [4, 4], cost, limit=4, allocation="bn_scale_raw")
    array([3, 1])
    >>> allocate(scores, [4, 4], cost, limit=4)
    array([3, 1])
    >>> allocate(scores, [4, 4], cost, limit=4, allocation="uniform")
    array([2, 2])

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), equation 4
    """
    grid = WidthGrid(sizes, min_widths, round_to)
    sizes = grid.sizes
    if floor is None:
        floor = DEFAULT_FLOORS.get(allocation, 0.0)
    _check_share("floor", floor)
    _check_share("tolerance", tolerance)
    ranked = rank_units(scores, sizes, allocation=allocation, blend=blend)
    _check_reachable(grid, cost, limit)
    if cost(sizes) <= limit:
        return sizes.copy()
    share = uniform_share(sizes, cost, limit, min_widths=grid.lowest)
    floors = grid.at_most(floor * share * sizes)
    ideal = _longest_prefix(ranked, sizes, floors, cost, limit)
    by_group = np.split(
        np.argsort(ranked, kind="stable"), np.cumsum(sizes)[:-1]
    )
    return meet_limit(ideal, by_group, grid, floors, cost, limit, tolerance)


def rank_units(scores, sizes, *, allocation="bn_scale", blend=1.0):
    """Ranks the units of all groups together, best first.

    | allocation       | ranked by                                            |
    |------------------|------------------------------------------------------|
    | `"bn_scale_raw"` | the scores as they are: equation 4 to the letter     |
    | `"bn_scale"`     | scores divided by the root mean square over the      |
    |                  | active (non-zero) units of their group               |
    | `"uniform"`      | the relative position inside the group               |

    Raw scales of different groups are hardly comparable: training does not
    change those between a convolution and the next normalisation, but does
    change those of residual streams. Hence the normalisation. Equal scores
    go by relative position in the group, so that equal scales (as at
    initialisation) give every group the same share; in `"bn_scale_raw"` they
    go to the lower group and the lower unit.

    `blend` mixes two quantiles of every unit, `(1 - blend)` times that of
    its position in its group and `blend` times that of its global rank, and
    ranks again by the sum.

    Args:
        scores: as for `allocate`.
        sizes: int array of shape `(groups,)`.
        allocation: one of the names above.
        blend: float in [0, 1].

    Returns:
        Int array with one entry per unit: the group it belongs to. The first
        `n` entries, counted per group, are the widths if `n` units are kept.

    Raises:
        ValueError: If an argument does not fit.

    Example:

    >>> ranked = rank_units([np.array([3, 9]), np.array([5, 4, 8])], [2, 3],
    ...                     allocation="bn_scale_raw")
    >>> ranked
    array([0, 1, 1, 1, 0])
    >>> np.bincount(ranked[:3], minlength=2)
    array([1, 2])
    """
    if allocation not in ALLOCATIONS:
        raise ValueError(
            f"Argument `allocation` must be one of {list(ALLOCATIONS)}. "
            f"Received: allocation={allocation!r}"
        )
    _check_share("blend", blend)
    sizes = np.asarray(sizes)
    scores = _checked_scores(scores, sizes)
    group_of = np.repeat(np.arange(sizes.size), sizes)
    # Position quantile: the middle of each unit's slot, best first.
    uniform = np.concatenate([1 - (np.arange(n) + 0.5) / n for n in sizes])
    if allocation == "uniform" or blend == 0:
        return group_of[np.lexsort((group_of, -uniform))]
    known = np.repeat([score is not None for score in scores], sizes)
    quantile = uniform.copy()
    values = np.concatenate(
        [_sorted_scores(score, allocation) for score in scores]
    )
    if allocation == "bn_scale_raw":
        order = np.argsort(-values, kind="stable")
    else:
        order = np.lexsort((group_of[known], -uniform[known], -values))
    rank = np.empty(order.size)
    rank[order] = np.arange(order.size)
    quantile[known] = 1 - (rank + 0.5) / max(order.size, 1)
    priority = (1 - blend) * uniform + blend * quantile
    return group_of[np.lexsort((group_of, -uniform, -priority))]


def uniform_share(sizes, cost, limit, *, min_widths=1):
    """Share of every group's width that a limit pays for, if all are equal.

    Widths are taken as real numbers here, `max(share * size, min_width)`.
    One minus this share is the channel sparsity `S` of the paper.

    Args:
        sizes: int array of shape `(groups,)`.
        cost: `QuadraticCost`.
        limit: number.
        min_widths: int or int array of shape `(groups,)`.

    Returns:
        Float in [0, 1]; 1 if the limit pays for everything.

    Raises:
        ValueError: If the limit is below the reachable minimum.

    Example:

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> uniform_share([16, 32], channel_count_cost([16, 32]), limit=12)
    0.25
    """
    grid = WidthGrid(sizes, min_widths)
    _check_reachable(grid, cost, limit)
    if cost(grid.sizes) <= limit:
        return 1.0
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        share = (low + high) / 2
        widths = np.maximum(share * grid.sizes, grid.lowest)
        if cost.evaluate(widths) <= limit:
            low = share
        else:
            high = share
    return round(low, 9)


def minimum_cost(sizes, cost, *, min_widths=1, round_to=1):
    """Cost with every group at its lowest allowed width, as an int.

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> minimum_cost([16, 32], channel_count_cost([16, 32]), round_to=8)
    16
    """
    return cost(WidthGrid(sizes, min_widths, round_to).lowest)


def _longest_prefix(ranked, sizes, floors, cost, limit):
    """Widths of the longest ranked prefix whose cost is within the limit."""

    def widths(length):
        counts = np.bincount(ranked[:length], minlength=sizes.size)
        return np.maximum(counts, floors)

    low, high = 0, ranked.size
    while high - low > 1:
        middle = (low + high) // 2
        if cost(widths(middle)) <= limit:
            low = middle
        else:
            high = middle
    return widths(low)


def _sorted_scores(score, allocation):
    """Scores of one group, best first, in units that groups share."""
    if score is None:
        return np.zeros(0)
    if allocation == "bn_scale" and score.any():
        active = score[score > 0]
        score = score / np.sqrt(np.mean(np.square(active)))
        score = np.round(score, _TIE_DECIMALS)
    return -np.sort(-score)


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


def _check_reachable(grid, cost, limit):
    minimum = cost(grid.lowest)
    if not minimum <= limit:
        raise ValueError(
            f"Argument `limit` is below the reachable minimum of {minimum} "
            f"(every group at its lowest width, multiples of {grid.round_to})."
            " Raise the budget, or lower the minimum widths or `round_to`. "
            f"Received: limit={limit}"
        )


def _check_share(name, value):
    if not 0.0 <= value <= 1.0:
        raise ValueError(
            f"Argument `{name}` must be between 0 and 1. "
            f"Received: {name}={value}"
        )
