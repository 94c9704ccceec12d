"""One run of exploration: where it stands, what is due, what it reports."""

import dataclasses
import warnings

import keras

from keras_chex.algorithms.schedules import regrow_fraction
from keras_chex.callbacks.agreement import Agreement
from keras_chex.callbacks.clock import make_clock
from keras_chex.callbacks.exploration import Explorer
from keras_chex.callbacks.messages import print_message
from keras_chex.graph.keras_nodes import read_variable, sync_state
from keras_chex.layers.group_arrays import NotFiniteError


class Run:
    """One call of `fit`, or one loop written by hand.

    Args:
        scheduler: the `ChexScheduler`, for its arguments.
        model: a compiled model with `ChexWrapper` layers.
        epochs: int, length of the run.
        steps: int or None, batches in an epoch where known.

    Attributes:
        history: list of dicts, see `ChexScheduler`.
        epoch: int, the present epoch.
    """

    def __init__(self, scheduler, model, epochs, steps):
        require_supported(model)
        options = scheduler.options
        self.model = model
        self.options = options
        self.explorer = Explorer(
            model,
            scheduler.budget,
            options,
            scheduler.exclude,
            scheduler.input_shape,
            scheduler.table_for(model),
            scheduler.budget_scope,
        )
        self.updates = updates_per_epoch(model, steps)
        self.clock = make_clock(
            options.interval, options.end, options.unit, epochs, self.updates
        )
        self.plan = self.explorer.plan(self.clock)
        self.history = scheduler.history
        self.epoch = 0
        self._agreement = Agreement(model, self.explorer.state_variables)
        self._regrown = 0

    def start(self, epoch):
        """Begins the run, or goes on with one that was interrupted.

        Args:
            epoch: int, the first epoch that is going to be trained.
        """
        self.epoch = epoch
        self._say(str(self.plan))
        self._compare(f"epoch {epoch}")
        if not self._is_resumed():
            self.explorer.begin(self.iterations(), self._agreement.decide)
            self._record(0)
            return
        unit = self.options.unit
        self._say(
            f"Going on at {unit} {self.now()}; the last exploration step was "
            f"at {unit} {self.explorer.done}."
        )
        # A state saved after a batch may be older than the exploration step
        # that followed on this batch.
        self.explore_if_due()

    def _is_resumed(self):
        """Tells whether the model is in the middle of a run like this one.

        A model that was trained before also knows a last exploration step. Its
        optimizer has then made more steps than the first epoch has, though
        this run starts with that epoch.
        """
        done, now = self.explorer.done, self.now()
        made = self.iterations() - self.explorer.origin
        if done < 0 or done > now or made <= 0:
            return False
        if self.epoch > 0:
            return True
        within_first = self.updates is None or made <= self.updates
        return within_first and done < self.clock.end

    def now(self):
        """The time, in the unit of the clock."""
        if self.options.unit == "epoch":
            return self.epoch
        return self.iterations() - self.explorer.origin

    def explore_if_due(self):
        """Makes the exploration step whose time has come, if there is one.

        Returns:
            Bool: whether there was one.
        """
        sync_state(self.model)
        time = self.clock.due(self.explorer.done, self.now())
        if time is not None:
            self._explore(time)
        return time is not None

    def finish(self):
        """Cuts the model to the budget if it is not there yet.

        That is so where training was stopped early, and where a callback has
        brought back the weights of an early epoch.
        """
        sync_state(self.model)
        if self.explorer.done < self.clock.end:
            self._say(
                "\nTraining ended with channels as they were before the end "
                f"of exploration ({self.options.unit} {self.clock.end}); they "
                "are cut to the budget now, without training after it."
            )
            try:
                self._explore(self.clock.end)
            except NotFiniteError as error:
                # Whoever stopped the training, as `TerminateOnNaN` does, shall
                # have its history.
                warnings.warn(
                    f"The channels stay as they are: {error}", stacklevel=2
                )

    def logs(self):
        """What an epoch adds to the logs, and begins to count anew."""
        sync_state(self.model)
        costs = self.explorer.costs()
        regrown, self._regrown = self._regrown, 0
        return {
            **{f"chex/{kind}": costs[kind] for kind in self.explorer.kinds},
            "chex/channels": float(costs["channels"]),
            "chex/regrown": float(regrown),
        }

    def iterations(self):
        """Steps that the optimizer has made: int."""
        sync_state(self.model)
        return int(read_variable(self.model.optimizer.iterations))

    def _explore(self, time):
        step = self.iterations()
        self._compare(f"{self.options.unit} {time}")
        result = self.explorer.explore(time, self.clock, self._agreement.decide)
        self._regrown += result.regrown
        fingerprint = self._record(result.regrown)
        self._say(
            f"\nEpoch {self.epoch + 1}, step {step}: exploration "
            f"{self.clock.times.index(time) + 1}/{len(self.clock.times)}: "
            f"{result}, fingerprint {fingerprint}"
        )

    def _record(self, regrown):
        costs = self.explorer.costs()
        fingerprint = self._compare("applied")
        self.history.append(
            {
                "step": self.iterations(),
                "epoch": self.epoch,
                **{kind: costs[kind] for kind in self.explorer.kinds},
                "widths": costs["widths"],
                "regrown": regrown,
                "fingerprint": fingerprint,
            }
        )
        return fingerprint

    def _compare(self, moment):
        """Stops the run if another worker or replica is elsewhere."""
        options = dataclasses.asdict(self.options)
        del options["schedule"]  # A function has another address everywhere.
        del options["verbose"]
        factors = [
            round(
                regrow_fraction(t / self.clock.end, 1.0, self.options.schedule),
                6,
            )
            for t in self.clock.times
        ]
        budget = self.explorer.budget
        return self._agreement.check(
            f"{moment}, optimizer step {self.iterations()}, {budget.kind}="
            f"{budget.value:g}, limit {budget.limit}, {self.clock}, "
            f"factors {factors}, {options}"
        )

    def _say(self, text):
        if self.options.verbose:
            print_message(text)


def updates_per_epoch(model, steps):
    """Optimizer steps in an epoch of so many batches; None if unknown.

    With gradient accumulation, several batches make one.
    """
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    several = getattr(optimizer, "gradient_accumulation_steps", None) or 1
    return None if steps is None else max(1, steps // several)


def require_supported(model):
    """Raises where Keras itself fails in a way that is hard to read."""
    strategy = getattr(model, "distribute_strategy", None)
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return
    several = getattr(model, "steps_per_execution", 1)
    if several > 1 and not model.run_eagerly:
        raise ValueError(
            "Argument `steps_per_execution` of `compile` must be 1 under a "
            f"distribution strategy with {strategy.num_replicas_in_sync} "
            f'replicas: Keras {keras.__version__} fails there ("You must '
            'feed a value for placeholder tensor"), with or without this '
            f"package. Received: steps_per_execution={several}"
        )
