"""Decides one exploration step: allocate, prune, regrow (Algorithm 1)."""

import dataclasses

import numpy as np

from keras_chex.algorithms.allocation import (
    allocate,
    uniform_share,
    worth_by_rank,
)
from keras_chex.algorithms.arguments import check_share
from keras_chex.algorithms.criteria import (
    check_criterion,
    l1_norm,
    top_k_mask,
)
from keras_chex.algorithms.grid import WidthGrid
from keras_chex.algorithms.prune_and_regrow import prune_and_regrow
from keras_chex.algorithms.regrow import FORMS
from keras_chex.algorithms.schedules import regrow_count
from keras_chex.algorithms.threads import map_in_threads

SAMPLINGS = ("importance", "uniform", "none", "gradual")


@dataclasses.dataclass(frozen=True, eq=False)
class ExplorationResult:
    """What an exploration step decided; one entry per group in each tuple.

    Attributes:
        active: tuple of bool arrays, the units that are active from now on:
            kept or regrown.
        kept: tuple of bool arrays, active before and after pruning.
        regrown: tuple of bool arrays, dormant after pruning and brought back.
        widths: int array of shape `(groups,)`, the allocated widths, which
            meet the limit. `active` is wider by what was regrown, or by what
            `"gradual"` leaves for later.
        cost_before: int, cost of the units that were active.
        cost_allocated: int, cost of `widths`.
        cost_after: int, cost of `active`.
    """

    active: tuple
    kept: tuple
    regrown: tuple
    widths: np.ndarray
    cost_before: int
    cost_allocated: int
    cost_after: int


def initial_subset(groups, cost, limit, *, regrow, round_to=1):
    """Chooses the sub-model that training starts from.

    Every group gets the same share of its width, `min(1, r + regrow)`, where
    `r` is the uniform share that the limit pays for (the paper's
    `1 - (S - delta_0)`), and keeps its columns of largest L1 norm.

    Args:
        groups: list of `GroupArrays`.
        cost: `QuadraticCost`.
        limit: number, cost of the final model.
        regrow: float in [0, 1], the initial regrow fraction.
        round_to: int or int array; widths are multiples of it, see
            `WidthGrid`.

    Returns:
        List of bool arrays, one per group.

    Raises:
        ValueError: If an argument is out of range or the limit unreachable.

    Example:

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> from keras_chex.algorithms.group import GroupArrays
    >>> columns = np.array([[1.0, -9.0, 3.0, 2.0]])
    >>> group = GroupArrays("conv", columns, None, np.ones(4, dtype=bool))
    >>> initial_subset([group], channel_count_cost([4]), 1, regrow=0.25)
    [array([False,  True,  True, False])]
    """
    grid = _grid(groups, round_to)
    check_share("regrow", regrow)
    share = uniform_share(
        grid.sizes,
        cost,
        limit,
        min_widths=grid.lowest,
        max_widths=grid.highest,
    )
    widths = grid.nearest(np.minimum(1.0, share + regrow) * grid.sizes)
    return [
        top_k_mask(l1_norm(group.columns), width)
        for group, width in zip(groups, widths, strict=True)
    ]


def explore(
    groups,
    cost,
    limit,
    *,
    regrow_fraction,
    criterion="css",
    sampling="importance",
    form="scale_free",
    allocation="bn_scale",
    blend=1.0,
    floor=None,
    round_to=1,
    seed=0,
    step=0,
    workers=None,
):
    """Prunes every group to its share of the limit and regrows some units.

    1. `allocate` gives every group a width under the limit.
    2. The units of largest score under `criterion` stay, out of the active.
       If the width exceeds the number of active units, all of these stay.
    3. `ceil(regrow_fraction * size)` units, and those missing in 2, come back
       from the rest, drawn by `sampling`. The new width is rounded up to a
       multiple of `round_to`.

    With `regrow_fraction=0` the new widths are the allocated ones. The draw
    depends on `(seed, step, index of the group)` only.

    Args:
        groups: list of `GroupArrays`.
        cost: `QuadraticCost`.
        limit: number, cost of the final model.
        regrow_fraction: float in [0, 1].
        criterion: see `score_channels`.
        sampling: `"importance"` (by the residuals), `"uniform"`, `"none"`
            (nothing is regrown; missing units are those of largest residual),
            or `"gradual"` (likewise, and the widths are those with regrowing:
            in the place of what would come back, the next best units stay).
        form: how residuals become probabilities, see `regrow_probabilities`.
            The columns come normalised, on which the paper's softmax is
            nearly uniform; the default does not depend on their scale.
        allocation: see `allocate`.
        blend: see `allocate`.
        floor: see `allocate`.
        round_to: int or int array; widths are multiples of it, see
            `WidthGrid`.
        seed: int, at least 0.
        step: int, at least 0, for example the optimizer's iterations.
        workers: int, threads over the groups; one per core if omitted.

    Returns:
        `ExplorationResult`.

    Raises:
        ValueError: If an argument is out of range or the limit unreachable.

    Example:

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> from keras_chex.algorithms.group import GroupArrays
    >>> columns = np.diag([1.0, 4.0, 3.0, 2.0])
    >>> group = GroupArrays("conv", columns, None, np.ones(4, dtype=bool))
    >>> result = explore([group], channel_count_cost([4]), 2,
    ...                  regrow_fraction=0.25, seed=1)
    >>> result.kept[0]
    array([False,  True,  True, False])
    >>> int(result.regrown[0].sum()), result.cost_allocated, result.cost_after
    (1, 2, 3)

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), Algorithm 1
    """
    _check_criterion(groups, criterion)
    _check_sampling(sampling, form)
    check_share("regrow_fraction", regrow_fraction)
    grid = _grid(groups, round_to)
    widths = allocate(
        _live_scores(groups, allocation),
        grid.sizes,
        cost,
        limit,
        allocation=allocation,
        min_widths=grid.lowest,
        max_widths=grid.highest,
        round_to=round_to,
        blend=blend,
        floor=floor,
        kinds=[group.scale_kind for group in groups],
    )
    if sampling == "none":
        regrow_fraction = 0.0
    wanted = [regrow_count(regrow_fraction, size) for size in grid.sizes]
    new_widths = np.where(wanted, grid.at_least(widths + wanted), widths)
    pruned_to = new_widths if sampling == "gradual" else widths

    def decide(index):
        rng = np.random.default_rng([seed, step, index])
        return prune_and_regrow(
            groups[index],
            pruned_to[index],
            new_widths[index],
            criterion,
            sampling,
            form,
            rng,
        )

    decided = map_in_threads(
        decide, range(len(groups)), weights=grid.sizes, workers=workers
    )
    kept, regrown = zip(*decided, strict=True)
    before = np.array([np.sum(group.active) for group in groups])
    return ExplorationResult(
        active=tuple(a | b for a, b in decided),
        kept=kept,
        regrown=regrown,
        widths=widths,
        cost_before=cost(before),
        cost_allocated=cost(widths),
        cost_after=cost(new_widths),
    )


def _live_scores(groups, allocation):
    """What the widths are shared by; 0 for dormant units."""
    if allocation == "cost":
        return [worth_by_rank(group.size, group.layers) for group in groups]
    name = "fisher" if allocation == "fisher" else "scale"
    values = [getattr(group, name) for group in groups]
    if name == "fisher" and all(value is None for value in values):
        raise _without_fisher("allocation")
    return [
        None if value is None else np.where(group.active, np.abs(value), 0.0)
        for group, value in zip(groups, values, strict=True)
    ]


def _grid(groups, round_to):
    if not groups:
        raise ValueError(
            "Argument `groups` must hold at least one channel group. "
            "Received: an empty list"
        )
    return WidthGrid(
        np.array([group.size for group in groups]),
        np.array([group.min_width for group in groups]),
        round_to,
        np.array([group.max_width or group.size for group in groups]),
    )


def _check_criterion(groups, criterion):
    check_criterion(criterion)
    if criterion == "fisher" and all(g.fisher is None for g in groups):
        raise _without_fisher("criterion")
    without = [group.name for group in groups if group.scale is None]
    if criterion == "bn_scale" and without:
        raise ValueError(
            "Argument `criterion='bn_scale'` needs a BatchNorm scale for every "
            "channel group. Use `criterion='css'` or `criterion='l2'`, or "
            "exclude the layers without BatchNormalization. "
            f"Received: no scale for {without[:5]}"
        )


def _without_fisher(argument):
    return ValueError(
        f"Argument `{argument}='fisher'` needs `GroupArrays.fisher`. "
        "Received: groups without it"
    )


def _check_sampling(sampling, form):
    if sampling not in SAMPLINGS:
        raise ValueError(
            f"Argument `sampling` must be one of {list(SAMPLINGS)}. "
            f"Received: sampling={sampling!r}"
        )
    if form not in FORMS:
        raise ValueError(
            f"Argument `form` must be one of {list(FORMS)}. "
            f"Received: form={form!r}"
        )
