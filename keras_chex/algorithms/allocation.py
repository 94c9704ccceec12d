"""Decides how many channels each group keeps under one cost limit."""

import numpy as np

from keras_chex.algorithms.arguments import check_share
from keras_chex.algorithms.budget import meet_limit
from keras_chex.algorithms.grid import WidthGrid
from keras_chex.algorithms.ranking import ALLOCATIONS as ALLOCATIONS
from keras_chex.algorithms.ranking import (
    rank_units,
    unit_priorities,
)

# Default share of its uniform width below which a group does not fall.
DEFAULT_FLOORS = {"bn_scale": 0.5, "fisher": 0.5, "cost": 0.5}


def allocate(
    scores,
    sizes,
    cost,
    limit,
    *,
    allocation="bn_scale",
    min_widths=1,
    max_widths=None,
    round_to=1,
    blend=1.0,
    floor=None,
    tolerance=0.01,
    kinds=None,
):
    """Shares the limit between groups by a global ranking of their units.

    All units of all groups get a priority (`unit_priorities`), and those that
    the limit pays for, from the highest on, give every group its ideal width.
    What rounding to allowed widths leaves is spent by raising groups in the
    order of the ranking and, where that is not enough, by exchanging widths
    between groups.

    Args:
        scores: list with one entry per group: a float array of shape
            `(size,)`, the absolute BatchNorm scale of every unit with 0 for
            dormant ones, or `None` for a group that has none and is ranked
            like a uniform one. For `"fisher"` the Fisher information of every
            unit, for `"cost"` its `worth_by_rank`.
        sizes: int array of shape `(groups,)`.
        cost: `QuadraticCost` or `LatencyCost`.
        limit: number, what the widths may cost at most.
        allocation: `"bn_scale"`, `"bn_scale_raw"`, `"uniform"`, `"fisher"` or
            `"cost"`; see `unit_priorities`. With the last two scores are
            divided by what one more unit of their group costs at uniform
            widths.
        min_widths: int or int array of shape `(groups,)`, at least 1.
        max_widths: int or int array of shape `(groups,)`; `None` for the
            full sizes.
        round_to: int or int array; widths are multiples of it, see
            `WidthGrid`.
        blend: float in [0, 1]; 0 gives uniform widths, 1 those of the scores.
        floor: float in [0, 1], no group falls below this share of its
            uniform width, rounded down to an allowed one. `None`: its entry
            of `DEFAULT_FLOORS`, or 0.
        tolerance: float; the search ends within this share of the limit.
        kinds: list of strings, see `unit_priorities`.

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
    grid = WidthGrid(sizes, min_widths, round_to, max_widths)
    sizes = grid.sizes
    if floor is None:
        floor = DEFAULT_FLOORS.get(allocation, 0.0)
    check_share("floor", floor)
    check_share("tolerance", tolerance)
    _check_reachable(grid, cost, limit)
    share = uniform_share(
        sizes, cost, limit, min_widths=grid.lowest, max_widths=grid.highest
    )
    if allocation in ("fisher", "cost"):
        scores = _per_cost(scores, cost.changes(share * sizes, 1.0))
    priorities = unit_priorities(
        scores, sizes, allocation=allocation, blend=blend, kinds=kinds
    )
    if cost(grid.highest) <= limit:
        return grid.highest.copy()
    floors = grid.at_most(floor * share * sizes)
    ranked = rank_units(priorities)
    if allocation == "bn_scale_raw":
        ideal = _longest_prefix(ranked, grid, floors, cost, limit)
    else:
        ideal = _level_widths(priorities, grid, floors, cost, limit)
    by_group = np.split(
        np.argsort(ranked, kind="stable"), np.cumsum(sizes)[:-1]
    )
    return meet_limit(ideal, by_group, grid, floors, cost, limit, tolerance)


def uniform_share(sizes, cost, limit, *, min_widths=1, max_widths=None):
    """Share of every group's width that a limit pays for, if all are equal.

    Widths are taken as real numbers here: `share * size`, but not below
    `min_width` or above `max_width`.
    One minus this share is the channel sparsity `S` of the paper.

    Args:
        sizes: int array of shape `(groups,)`.
        cost: `QuadraticCost` or `LatencyCost`.
        limit: number.
        min_widths: int or int array of shape `(groups,)`.
        max_widths: int or int array of shape `(groups,)`; `None` for the
            full sizes.

    Returns:
        Float in [0, 1]; 1 if the limit pays for everything.

    Raises:
        ValueError: If the limit is below the reachable minimum.

    Example:

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> uniform_share([16, 32], channel_count_cost([16, 32]), limit=12)
    0.25
    """
    grid = WidthGrid(sizes, min_widths, max_widths=max_widths)
    _check_reachable(grid, cost, limit)
    if cost(grid.highest) <= limit:
        return 1.0
    return largest_share(
        lambda s: np.clip(s * grid.sizes, grid.lowest, grid.highest),
        cost,
        limit,
    )


def largest_share(widths, cost, limit):
    """The largest share in [0, 1] whose widths a limit pays for.

    Args:
        widths: increasing function from a share to real widths.
        cost: `QuadraticCost` or `LatencyCost`.
        limit: number.

    Returns:
        Float, to nine digits.

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> largest_share(lambda s: [8 * s, 4], channel_count_cost([8, 8]), 6)
    0.25
    """
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        share = (low + high) / 2
        if cost.evaluate(widths(share)) <= limit:
            low = share
        else:
            high = share
    return round(low, 9)


def minimum_cost(sizes, cost, *, min_widths=1, max_widths=None, round_to=1):
    """Cost with every group at its lowest allowed width, as an int.

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> minimum_cost([16, 32], channel_count_cost([16, 32]), round_to=8)
    16
    """
    return cost(WidthGrid(sizes, min_widths, round_to, max_widths).lowest)


def worth_by_rank(size, layers):
    """What each unit of a group is worth if nothing is known but its rank.

    If the worth of a width `w` is its logarithm for every layer that it is a
    side of, the unit of rank `k` adds `layers / k`. Over what units cost, this
    shares the limit such that layers of equal cost get equal shares of their
    widths, dearer ones a smaller one, and those that cost next to nothing
    stay whole.

    Args:
        size: int, units of the group.
        layers: int, how many layers make the units or take them in.

    Returns:
        Float array of shape `(size,)`.

    Example:

    >>> worth_by_rank(4, layers=2)
    array([2.        , 1.        , 0.66666667, 0.5       ])
    >>> from keras_chex.algorithms.cost import QuadraticCost
    >>> each = np.eye(2, dtype=int)
    >>> nine_and_one = QuadraticCost([9, 1], each, [0, 0], 0 * each, [1, 1])
    >>> worth = [worth_by_rank(8, 1), worth_by_rank(8, 1)]
    >>> allocate(worth, [8, 8], nine_and_one, 44, allocation="cost")
    array([4, 8])
    """
    return layers / np.arange(1, size + 1)


def _per_cost(scores, costs):
    """Scores divided by the cost of a unit, which may be nothing."""
    costs = np.maximum(costs, 1e-12 * max(np.max(costs), 1.0))
    return [
        None if score is None else np.asarray(score) / cost
        for score, cost in zip(scores, costs, strict=True)
    ]


def _longest_prefix(ranked, grid, floors, cost, limit):
    """Widths of the longest ranked prefix whose cost is within the limit."""

    def widths(length):
        counts = np.bincount(ranked[:length], minlength=grid.sizes.size)
        return np.clip(counts, floors, grid.highest)

    low, high = 0, ranked.size
    while high - low > 1:
        middle = (low + high) // 2
        if cost(widths(middle)) <= limit:
            low = middle
        else:
            high = middle
    return widths(low)


def _level_widths(priorities, grid, floors, cost, limit):
    """Real widths down to one priority whose cost is the limit.

    Priorities are read as values at the middle of each unit, joined by
    straight lines. So narrow groups need not be rounded all the same way,
    which wide groups would have to make up for.
    """
    curves = [
        (
            np.concatenate([[0.0], priority[::-1], [1.0]]),
            np.concatenate([[size], np.arange(size)[::-1] + 0.5, [0.0]]),
        )
        for priority, size in zip(priorities, grid.sizes, strict=True)
    ]

    def widths(level):
        counts = [np.interp(level, *curve) for curve in curves]
        return np.clip(counts, floors, grid.highest)

    low, high = 0.0, 1.0
    while high - low > 1e-9:
        level = (low + high) / 2
        if cost.evaluate(widths(level)) <= limit:
            high = level
        else:
            low = level
    return widths(high)


def _check_reachable(grid, cost, limit):
    minimum = cost(grid.lowest)
    if not minimum <= limit:
        multiples = ", ".join(map(str, np.unique(grid.round_to)))
        raise ValueError(
            f"Argument `limit` is below the reachable minimum of {minimum} "
            f"(every group at its lowest width, multiples of {multiples})."
            " Raise the budget, or lower the minimum widths or `round_to`. "
            f"Received: limit={limit}"
        )
