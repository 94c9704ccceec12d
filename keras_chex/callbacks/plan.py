"""The plan a run starts with: groups, what is kept and why, expected cost."""

import dataclasses

import numpy as np

from keras_chex.algorithms.grid import WidthGrid
from keras_chex.algorithms.schedules import regrow_count, regrow_fraction
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
        training_share: float, expected mean multiply-adds of the run, as a
            share of those of the dense model.
        remarks: tuple of strings, lines about options.
    """

    budget: object
    clock: object
    unit: str
    groups: tuple
    start: float
    reachable: float
    notes: dict
    training_share: float
    remarks: tuple = ()

    def __str__(self):
        budget, clock = self.budget, self.clock
        lines = [
            f"Channel exploration to {budget}.",
            f"Starts at {share(self.start, 1)} of the dense cost"
            + (" (dense)" if self.start == 1 else "")
            + f"; {len(clock.times)} exploration steps at {self.unit} "
            f"{', '.join(map(str, _short(clock.times)))} of {clock.total}.",
            "Training is expected to take "
            f"{share(self.training_share, 1)} of the dense multiply-adds.",
        ]
        if self.reachable < 0.99 * budget.limit / budget.dense:
            lines.append(
                f"Nearest reachable cost with uniform widths: "
                f"{share(self.reachable, 1)} of dense (wide steps of "
                "`round_to` or few channels)."
            )
        lines += self.remarks
        rows = [("group", "units", "")]
        for group in self.groups:
            note = f"kept: {group.frozen}" if group.frozen else ""
            note = note or self.notes.get(group.name, "")
            rows.append((group.name, str(group.size), note))
        return "\n".join([*lines, align(rows)])


def _short(times):
    return times if len(times) < 9 else (*times[:3], "...", *times[-2:])


def make_plan(graph, budget, clock, options, start, flops_cost):
    """Works out what a run will start from and end with.

    Args:
        graph: the `ChannelGraph`.
        budget: `Budget`.
        clock: `Clock`.
        options: `Options`.
        start: list of ints, the widths that training starts with.
        flops_cost: `QuadraticCost`, multiply-adds.
    """
    groups = [group for group in graph.groups if group.frozen is None]
    bounds = WidthGrid(
        budget.sizes, budget.min_widths, budget.round_to, budget.max_widths
    )
    notes = {
        group.name: f"stays at {width}: has no multiple of {multiple}"
        for group, width, multiple, exact in zip(
            groups, bounds.lowest, bounds.round_to, bounds.exact, strict=True
        )
        if not exact
    }
    uniform = budget.uniform_widths()
    return Plan(
        budget,
        clock,
        options.unit,
        tuple(graph.groups),
        budget.cost(start) / budget.dense,
        budget.cost(uniform) / budget.dense,
        notes,
        _training_share(clock, options, start, uniform, bounds, flops_cost),
        tuple(
            f"Option {name}={getattr(options, name)!r} decides nothing with "
            f"sampling={options.sampling!r}."
            for name in options.unused()
        ),
    )


def _training_share(clock, options, start, uniform, bounds, flops_cost):
    """Mean multiply-adds of the run if widths stay uniform."""
    moments = [0, *(min(t, clock.total) for t in clock.times), clock.total]
    costs = [flops_cost(start)]
    for time in clock.times:
        progress = time / clock.end
        fraction = regrow_fraction(progress, options.regrow, options.schedule)
        if time == clock.end or options.sampling == "none":
            fraction = 0.0
        back = [regrow_count(fraction, size) for size in bounds.sizes]
        costs.append(flops_cost(bounds.at_least(uniform + np.array(back))))
    lengths = np.diff(moments)
    return float(
        np.dot(lengths, costs) / clock.total / flops_cost(bounds.sizes)
    )
