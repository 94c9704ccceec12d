"""One run's exploration of a model: reads arrays, decides, applies."""

import dataclasses
import time

import numpy as np

from keras_chex.algorithms.exploration import explore, initial_subset
from keras_chex.algorithms.schedules import regrow_fraction
from keras_chex.analysis.budget import prunable, width_cost
from keras_chex.analysis.summary import share
from keras_chex.callbacks.budget import make_budget
from keras_chex.callbacks.options import AUTO
from keras_chex.callbacks.plan import make_plan
from keras_chex.graph.channels import read_channels
from keras_chex.graph.exclusion import excluded_names, find_scope
from keras_chex.layers.active import read_active, require_wrapped, write_active
from keras_chex.layers.fisher import remembers_gradients, unit_information
from keras_chex.layers.group_arrays import read_groups
from keras_chex.layers.wrapped_model import wrappers


@dataclasses.dataclass(frozen=True)
class StepReport:
    """What one exploration step did; costs are shares of the dense model."""

    before: float
    allocated: float
    after: float
    active: int
    total: int
    regrown: int
    kind: str
    seconds: float
    remark: str = ""

    def __str__(self):
        name = "channels" if self.kind == "sparsity" else self.kind
        return (
            f"{share(self.before, 1)} -> {share(self.allocated, 1)} pruned -> "
            f"{share(self.after, 1)} of the dense {name}, {self.active} of "
            f"{self.total} units active, {self.regrown} regrown "
            f"({self.seconds:.1f} s){self.remark}"
        )


class Explorer:
    """Connects a wrapped model to the mathematics.

    Args:
        model: a model with `ChexWrapper` layers.
        budget: `(kind, value)`.
        options: `Options`.
        exclude: as in `ChexScheduler`.
        input_shape: as in `ChexScheduler`.
        latency_table: `LatencyTable`, for a budget that is a latency.
        budget_scope: as in `ChexScheduler`.
    """

    def __init__(
        self,
        model,
        budget,
        options,
        exclude=(),
        input_shape=None,
        latency_table=None,
        budget_scope=None,
    ):
        self.model = model
        self.options = options
        graph = read_channels(model)
        require_wrapped(model)
        names = excluded_names(graph, exclude)
        scope = find_scope(graph, budget_scope)
        if scope is not None:
            names = [*names, *scope.outside]
        self.graph = read_channels(model, names) if names else graph
        self.budget = make_budget(
            self.graph,
            model,
            *budget,
            options.min_channels,
            options.max_channels,
            options.round_to,
            input_shape,
            latency_table,
            scope,
            options.streams,
        )
        self.groups = [self.graph.groups[i] for i in prunable(self.graph)]
        self._costs = {
            kind: width_cost(self.graph, model, kind, input_shape)
            for kind in ("flops", "params")
        }
        if self.budget.kind == "latency":
            self._costs["latency"] = self.budget.cost
        self._wrappers = wrappers(model)

    @property
    def done(self):
        """Time of the last exploration step; -1 before the run."""
        return self._wrappers[0].clock[0]

    @property
    def origin(self):
        """Optimizer iterations at which the run began."""
        return self._wrappers[0].clock[1]

    @property
    def state_variables(self):
        """Integer variables: what is active, and the clock."""
        return [wrapper.state_variable for wrapper in self._wrappers]

    @property
    def kinds(self):
        """Names of the costs that `costs` gives as shares."""
        return tuple(self._costs)

    def plan(self, clock):
        """Describes the run."""
        return make_plan(
            self.graph,
            self.budget,
            clock,
            self.options,
            [int(mask.sum()) for mask in self._first()],
            self._costs["flops"],
        )

    def _first(self):
        """The units of each group that training starts with."""
        if self.options.initial == "dense":
            return [np.ones(size, bool) for size in self.budget.sizes]
        return initial_subset(
            self._arrays(),
            self.budget.cost,
            self.budget.limit,
            regrow=self.options.regrow,
            round_to=self.budget.round_to,
        )

    def begin(self, iterations, agree=list):
        """Cuts the model to the sub-model that training starts from.

        Args:
            iterations: int, steps that the optimizer has made before.
            agree: function from a list of bool arrays to the same list on all
                workers.
        """
        if self.options.asks_for_fisher and self.model.optimizer.built:
            # An optimizer that tells nothing is refused now, not later.
            unit_information(self.graph, self.model.optimizer)
        self._apply(agree(self._first()), 0, iterations)

    def explore(self, time_now, clock, agree=list):
        """Makes one exploration step.

        Args:
            time_now: int, time of the step.
            clock: `Clock`.
            agree: see `begin`.

        Returns:
            A `StepReport`.
        """
        started = time.perf_counter()
        options, progress = self.options, time_now / clock.end
        allocation, remark = self._allocation()
        reads = "fisher" in (allocation, options.criterion)
        last = time_now == clock.end
        fraction = regrow_fraction(progress, options.regrow, options.schedule)
        result = explore(
            self._arrays(self.model.optimizer if reads else None),
            self.budget.cost,
            self.budget.limit,
            regrow_fraction=0.0 if last else fraction,
            criterion=options.criterion,
            sampling=options.sampling,
            form=options.probability,
            allocation=allocation,
            blend=progress if options.blend is None else options.blend,
            floor=options.floor,
            round_to=self.budget.round_to,
            seed=options.seed,
            step=time_now,
        )
        self._apply(agree(result.active), time_now, self.origin)
        dense = self.budget.dense
        return StepReport(
            result.cost_before / dense,
            result.cost_allocated / dense,
            result.cost_after / dense,
            int(sum(mask.sum() for mask in result.active)),
            int(self.budget.sizes.sum()),
            int(sum(mask.sum() for mask in result.regrown)),
            self.budget.kind,
            time.perf_counter() - started,
            remark,
        )

    def _allocation(self):
        """How widths are shared in a step, and a remark for its report."""
        if self.options.allocation != AUTO:
            return self.options.allocation, ""
        optimizer = self.model.optimizer
        if remembers_gradients(self.graph, optimizer):
            return "fisher", ""
        return "uniform", (
            f"; uniform widths, as {type(optimizer).__name__} remembers no "
            "gradients"
        )

    def costs(self):
        """Shares of the dense model, units and widths at present."""
        active = read_active(self.graph)
        widths = {g.name: int(active[g.name].sum()) for g in self.groups}
        vector = list(widths.values())
        shares = {
            kind: cost(vector) / cost(self.budget.sizes)
            for kind, cost in self._costs.items()
        }
        return {**shares, "channels": sum(vector), "widths": widths}

    def _arrays(self, optimizer=None):
        active = read_active(self.graph)
        bounds = zip(
            self.budget.min_widths.tolist(),
            self.budget.max_widths.tolist(),
            strict=True,
        )
        names = (group.name for group in self.groups)
        return read_groups(
            self.graph,
            active,
            dict(zip(names, bounds, strict=True)),
            optimizer,
            self.options.criterion == "css_consumers",
        )

    def _apply(self, chosen, time_now, origin):
        masks = read_active(self.graph)
        for group, mask in zip(self.groups, chosen, strict=True):
            masks[group.name] = mask
        write_active(
            self.model,
            self.graph,
            masks,
            self.options.restore,
            [self.options.seed, time_now],
        )
        for wrapper in self._wrappers:
            wrapper.clock = time_now, origin
