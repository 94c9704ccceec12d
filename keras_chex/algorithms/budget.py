"""Meets a cost limit with whole widths: fill, swap, or try all of them.

Widths that follow a ranking end below the limit, by up to 10 % for single
channels and 20 to 40 % for multiples of 8. The functions here spend what is
left, moving every group as little as possible from its ideal width.
"""

import itertools
import math

import numpy as np

# Most width vectors that are tried when neither filling nor swapping helps.
_MOST_COMBINATIONS = 1 << 16


def meet_limit(ideal, positions, grid, floors, cost, limit, tolerance):
    """Turns ideal widths into allowed ones whose cost is just under a limit.

    Args:
        ideal: array of shape `(groups,)`, real or whole widths whose cost is
            within the limit.
        positions: list of int arrays; `positions[g][i]` is the rank, over all
            groups, of the `i`-th best unit of group `g`.
        grid: `WidthGrid`.
        floors: int array of shape `(groups,)`, allowed widths not to go
            below.
        cost: `QuadraticCost` or `LatencyCost`.
        limit: number, at least the cost of `floors`.
        tolerance: float; a cost of `(1 - tolerance) * limit` is good enough.

    Returns:
        Int array of shape `(groups,)`, allowed widths, cost at most `limit`.
    """
    start = np.maximum(grid.at_most(ideal), floors)
    enough = (1.0 - tolerance) * limit
    widths = _fill(start, positions, grid, cost, limit)
    deviation = 1  # quanta that a group may end away from its ideal width
    while cost(widths) < enough:
        lowest = grid.at_most(start - (deviation - 1) * grid.round_to)
        lowest = np.maximum(lowest, floors)
        highest = grid.at_most(start + deviation * grid.round_to)
        widths = _swap(widths, lowest, highest, grid, cost, limit, enough)
        if cost(widths) < enough:
            widths = _try_all(
                widths, ideal, lowest, highest, grid, cost, limit, enough
            )
        if (lowest == floors).all() and (highest == grid.highest).all():
            break
        deviation *= 2
    return widths


def _fill(start, positions, grid, cost, limit):
    """Raises groups by one quantum each, in the order of the ranking.

    The group goes first whose next quantum is completed first when one walks
    on along the ranked units.
    """
    widths = start.copy()
    raised = grid.above(start)
    completed = [
        ranks[width - 1] for ranks, width in zip(positions, raised, strict=True)
    ]
    slack = limit - cost(widths)
    for group in np.argsort(completed, kind="stable"):
        step = raised[group] - widths[group]
        change = cost.change(widths, group, step)
        if step and change <= slack:
            widths[group] += step
            slack -= change
    return widths


def _swap(widths, lowest, highest, grid, cost, limit, enough):
    """Raises one group and lowers at most one other while that helps.

    Every move is the one that leaves least of the limit unspent.
    """
    widths = widths.copy()
    total = cost(widths)
    while total < enough:
        up = np.minimum(grid.above(widths), highest) - widths
        down = np.maximum(grid.below(widths), lowest) - widths
        # one row per raised group, one column per lowered, last for none
        change = np.column_stack(
            [cost.pair_changes(widths, up, down), cost.changes(widths, up)]
        )
        np.fill_diagonal(change, 0.0)
        change[(change > limit - total) | (change <= 0)] = 0.0
        raised, lowered = np.unravel_index(np.argmax(change), change.shape)
        if change[raised, lowered] == 0:
            break
        widths[raised] += up[raised]
        if lowered < widths.size:
            widths[lowered] += down[lowered]
        total = cost(widths)
    return widths


def _try_all(widths, ideal, lowest, highest, grid, cost, limit, enough):
    """Best of all allowed widths in a box around `widths`.

    If they are too many, only the groups with the cheapest quanta vary: these
    come closest to any given cost. Of the widths that spend enough the ones
    nearest to the ideal (relative to the sizes) are best, else those that
    cost most.
    """
    quantum = cost.changes(widths, grid.round_to)
    varied, levels, combinations = [], [], 1
    for group in np.argsort(quantum, kind="stable"):
        choices = _levels(group, lowest, highest, grid)
        combinations *= len(choices)
        if combinations > _MOST_COMBINATIONS:
            break
        if len(choices) > 1:
            varied.append(group)
            levels.append(choices)
    every = np.repeat(widths[None, :], math.prod(map(len, levels)), axis=0)
    every[:, varied] = list(itertools.product(*levels))
    totals = np.round(cost.evaluate(every))
    every, totals = every[totals <= limit], totals[totals <= limit]
    if totals.max() < enough:
        return every[np.argmax(totals)]
    every = every[totals >= enough]
    distance = np.square((every - ideal) / grid.sizes).sum(axis=1)
    return every[np.argmin(distance)]


def _levels(group, lowest, highest, grid):
    """Allowed widths of one group, from its lowest to its highest."""
    first, last = lowest[group], highest[group]
    quantum = int(grid.round_to[group])
    inner = range((first // quantum + 1) * quantum, last, quantum)
    return sorted({first, *inner, last})
