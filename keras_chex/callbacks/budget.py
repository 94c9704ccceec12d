"""The budget of a run: what was asked, what it means, what can be reached."""

import dataclasses
from numbers import Integral, Real

import numpy as np

from keras_chex.algorithms.allocation import (
    allocate,
    minimum_cost,
    uniform_share,
)
from keras_chex.algorithms.grid import multiples_for
from keras_chex.algorithms.streams import stream_bounds
from keras_chex.analysis.budget import prunable, width_cost
from keras_chex.analysis.latency import latency_cost
from keras_chex.graph.exclusion import matching_names


@dataclasses.dataclass(frozen=True)
class Budget:
    """A limit on the cost of the final model.

    Attributes:
        kind: `"flops"`, `"params"`, `"sparsity"` or `"latency"`.
        value: float, as the user gave it.
        cost: `QuadraticCost` of the prunable groups, or `LatencyCost`.
        sizes: int array, units of each prunable group.
        min_widths: int array.
        max_widths: int array.
        round_to: int array, multiples that widths are made of.
        limit: int, highest cost allowed; nanoseconds of a latency.
        dense: int, cost of the dense model.
        device: str, what a latency was measured on.
        scope: str, the part of the model that counts; empty for all of it.
    """

    kind: str
    value: float
    cost: object
    sizes: np.ndarray
    min_widths: np.ndarray
    max_widths: np.ndarray
    round_to: np.ndarray
    limit: int
    dense: int
    device: str = ""
    scope: str = ""

    def __str__(self):
        """What was asked, as a share and in numbers."""
        part = f" of {self.scope}" if self.scope else ""
        asked = f"{self.kind}={self.value:g}{part}: at most "
        if self.kind == "latency":
            return (
                f"{asked}{self.limit / 1e6:.3f} of {self.dense / 1e6:.3f} ms "
                f"on {self.device}"
            )
        unit = "units" if self.kind == "sparsity" else self.kind
        return f"{asked}{self.limit:,} of {self.dense:,} {unit}"

    def uniform_share(self):
        """Width share that meets the budget if all groups get the same."""
        return uniform_share(
            self.sizes,
            self.cost,
            self.limit,
            min_widths=self.min_widths,
            max_widths=self.max_widths,
        )

    def uniform_widths(self):
        """Widths on the grid, as equal in share as the budget allows."""
        return allocate(
            [None] * len(self.sizes),
            self.sizes,
            self.cost,
            self.limit,
            allocation="uniform",
            min_widths=self.min_widths,
            max_widths=self.max_widths,
            round_to=self.round_to,
        )


def check_budget(**shares):
    """Finds the one budget that was given.

    Returns:
        `(kind, value)`.

    Raises:
        ValueError: If there is none or more than one, or it is out of range.
    """
    given = {kind: v for kind, v in shares.items() if v is not None}
    if len(given) != 1:
        raise ValueError(
            "Exactly one of the arguments `flops`, `params`, `sparsity` and "
            f"`latency` must be given. Received: {given or 'none'}. For half "
            "of the multiply-adds pass `flops=0.5`."
        )
    ((kind, value),) = given.items()
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not 0 < value < 1:
        meaning = "removed" if kind == "sparsity" else "kept"
        raise ValueError(
            f"Argument `{kind}` must be between 0 and 1, both excluded: the "
            f"share that is {meaning}. Received: {kind}={value!r}"
        )
    return kind, float(value)


def check_scope(scope, kind, value):
    """Raises if a budget cannot be that of a part of the model."""
    if scope is not None and kind == "latency":
        raise ValueError(
            "Argument `budget_scope` goes with `flops`, `params` or "
            "`sparsity`: a latency is that of the whole file. Received: "
            f"budget_scope={scope!r} and latency={value}"
        )


def make_budget(
    graph,
    model,
    kind,
    value,
    min_channels=1,
    max_channels=None,
    round_to=1,
    input_shape=None,
    latency_table=None,
    scope=None,
    streams=1.0,
):
    """Prices the model and checks that the budget can be met.

    Args:
        graph: the `ChannelGraph`.
        model: the model it was read from.
        kind: `"flops"`, `"params"`, `"sparsity"` or `"latency"`.
        value: float, the share that is kept; removed for `"sparsity"`.
        min_channels: see `ChexScheduler`.
        max_channels: see `ChexScheduler`.
        round_to: see `ChexScheduler`.
        input_shape: see `ChexScheduler`.
        latency_table: `LatencyTable`, needed for a latency.
        scope: `Scope`, or `None` for the whole model.
        streams: see `ChexScheduler`.

    Returns:
        A `Budget`.

    Raises:
        ValueError: If no channel can be removed, the budget is below what
            `min_channels` and `round_to` allow, or the table lacks a layer.
    """
    groups = [graph.groups[i] for i in prunable(graph)]
    if not groups:
        raise ValueError(
            "Argument `exclude` and the model leave no channel that can be "
            f"removed. Received: {len(graph.groups)} groups, all kept, such as "
            f"'{graph.groups[0].name}': {graph.groups[0].frozen}"
        )
    if kind == "latency":
        cost = latency_cost(graph, model, latency_table, input_shape)
    else:
        layers = None if scope is None else scope.layers
        cost = width_cost(graph, model, kind, input_shape, layers)
    sizes = np.array([group.size for group in groups])
    multiples = multiples_for(sizes) if round_to == "auto" else round_to
    highest = group_bounds(groups, "max_channels", max_channels, sizes)
    lowest = group_bounds(groups, "min_channels", min_channels, 1)
    _require_in_order(groups, lowest, highest)
    dense = cost(sizes)
    kept = 1 - value if kind == "sparsity" else value
    limit = int(np.floor(kept * dense + 1e-9))
    least = minimum_cost(
        sizes,
        cost,
        min_widths=lowest,
        max_widths=highest,
        round_to=multiples,
    )
    if least > limit:
        bounds = f"min_channels={min_channels} and round_to={round_to!r}"
        raise _unreachable(kind, value, least / dense, bounds)
    if streams < 1:
        lowest = stream_bounds(
            sizes,
            cost,
            limit,
            [group.is_stream for group in groups],
            streams,
            min_widths=lowest,
            round_to=multiples,
            max_widths=highest,
        )
    device = latency_table.where() if kind == "latency" else ""
    return Budget(
        kind,
        value,
        cost,
        sizes,
        lowest,
        highest,
        np.broadcast_to(multiples, sizes.shape),
        limit,
        dense,
        device,
        "" if scope is None else scope.text,
    )


def _unreachable(kind, value, share, bounds):
    """The error for a budget below the least share of the cost."""
    share = 1 - share if kind == "sparsity" else share
    bound = "at most" if kind == "sparsity" else "at least"
    return ValueError(
        f"Argument `{kind}` asks for less than {bounds} allow. Received: "
        f"{kind}={value}, but {bound} {share:.4f} can be reached. Choose such "
        "a budget, or smaller `min_channels` and `round_to`, or exclude fewer "
        "layers."
    )


def _require_in_order(groups, lowest, highest):
    for group, low, high in zip(groups, lowest, highest, strict=True):
        if low > high:
            raise ValueError(
                "Argument `min_channels` must not be above `max_channels`. "
                f"Received: at least {low} and at most {high} channels for "
                f"group '{group.name}'"
            )


def group_bounds(groups, name, bounds, default):
    """Turns `min_channels` or `max_channels` into one bound per group.

    Args:
        groups: list of `ChannelGroup`.
        name: str, the name of the argument.
        bounds: an int for all groups; or a dict from names or regular
            expressions of layers to ints, of which the last that matches a
            producer of a group counts; or None.
        default: int or int array for the groups that are left.

    Returns:
        Int array of shape `(groups,)`, at most the size of each group.

    Raises:
        ValueError: If a key of `bounds` matches no producer of any group.
    """
    sizes = np.array([group.size for group in groups])
    found = np.broadcast_to(default, sizes.shape).copy()
    if isinstance(bounds, Integral):
        found[:] = bounds
    for key, bound in bounds.items() if isinstance(bounds, dict) else ():
        names = [producer for group in groups for producer in group.producers]
        chosen = set(matching_names(names, key))
        if not chosen:
            raise ValueError(
                f"Argument `{name}` must name layers that make channels which "
                f"can be removed. Received: {key!r}, which is none of {names}"
            )
        for number, group in enumerate(groups):
            if chosen & set(group.producers):
                found[number] = bound
    return np.minimum(found, sizes)
