"""The plan a run starts with: groups, what is kept and why, expected cost."""

import dataclasses

from keras_chex.algorithms.exploration import initial_subset
from keras_chex.algorithms.grid import WidthGrid
from keras_chex.analysis.summary import align, share


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run is going to do.

    Attributes:
        budget: the `Budget`.
        clock: the `Clock`.
        unit: `"epoch"` or `"step"`.
        groups: tuple of `ChannelGroup`.
        start: float, cost share of the first sub-model.
        reachable: float, cost share that uniform widths can reach.
        notes: `{group name: str}`, what is special about a prunable group.
    """

    budget: object
    clock: object
    unit: str
    groups: tuple
    start: float
    reachable: float
    notes: dict

    def __str__(self):
        budget, clock = self.budget, self.clock
        asked = f"{budget.kind}={budget.value:g}"
        unit = "unit" if budget.kind == "sparsity" else budget.kind
        lines = [
            f"Channel exploration to {asked}: at most {budget.limit:,} of "
            f"{budget.dense:,} {unit}{'s' if unit == 'unit' else ''}.",
            f"Starts at {share(self.start, 1)} of the dense cost"
            + (" (dense)" if self.start == 1 else "")
            + f"; {len(clock.times)} exploration steps at {self.unit} "
            f"{', '.join(map(str, _short(clock.times)))} of {clock.total}.",
        ]
        if self.reachable < 0.99 * budget.limit / budget.dense:
            lines.append(
                f"Nearest reachable cost with uniform widths: "
                f"{share(self.reachable, 1)} of dense (wide steps of "
                "`round_to` or few channels)."
            )
        rows = [("group", "units", "")]
        for group in self.groups:
            note = f"kept: {group.frozen}" if group.frozen else ""
            note = note or self.notes.get(group.name, "")
            rows.append((group.name, str(group.size), note))
        return "\n".join([*lines, align(rows)])


def _short(times):
    return times if len(times) < 9 else (*times[:3], "...", *times[-2:])


def make_plan(graph, budget, clock, unit, arrays, regrow, round_to):
    """Works out what a run will start from and end with."""
    start = initial_subset(
        arrays, budget.cost, budget.limit, regrow=regrow, round_to=round_to
    )
    widths = [int(mask.sum()) for mask in start]
    bounds = WidthGrid(
        budget.sizes, budget.min_widths, round_to, budget.max_widths
    )
    notes = {
        group.name: f"stays at {width}: has no multiple of {round_to}"
        for group, width, exact in zip(
            arrays, bounds.lowest, bounds.exact, strict=True
        )
        if not exact
    }
    return Plan(
        budget,
        clock,
        unit,
        tuple(graph.groups),
        budget.cost(widths) / budget.dense,
        budget.reachable(round_to),
        notes,
    )
