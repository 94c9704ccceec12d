"""The options of `ChexScheduler`, checked before anything else happens."""

import dataclasses
from numbers import Integral, Real

from keras_chex.algorithms.criteria import CRITERIA
from keras_chex.algorithms.exploration import SAMPLINGS
from keras_chex.algorithms.ranking import ALLOCATIONS
from keras_chex.algorithms.regrow import FORMS
from keras_chex.algorithms.schedules import (
    SCHEDULES,
    is_pruning_schedule,
    regrow_fraction,
)
from keras_chex.callbacks.clock import UNITS
from keras_chex.layers.restore import RESTORES

INITIALS = ("uniform", "dense")
# Fisher information where the optimizer has some to tell, else uniform.
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Options:
    """How channels are explored; see `ChexScheduler` for what each means."""

    regrow: float
    interval: int
    end: float | int
    unit: str
    criterion: str
    sampling: str
    probability: str
    restore: str
    schedule: object
    allocation: str
    blend: float | None
    floor: float | None
    min_channels: int | dict
    max_channels: int | dict | None
    round_to: object
    seed: int
    verbose: int
    initial: str
    streams: float

    def __post_init__(self):
        self._one_of("unit", UNITS)
        self._one_of("criterion", CRITERIA)
        self._one_of("sampling", SAMPLINGS)
        self._one_of("probability", FORMS)
        self._one_of("restore", RESTORES)
        self._one_of("allocation", (AUTO, *ALLOCATIONS))
        self._one_of("initial", INITIALS)
        if not callable(self.schedule):
            self._one_of("schedule", tuple(SCHEDULES))
        if is_pruning_schedule(self.schedule):
            # One of an unknown kind is refused here, not in mid-training.
            regrow_fraction(0.0, 1.0, self.schedule)
        self._share("regrow", 0, 1)
        self._share("streams", 0, 1)
        self._departures()
        self._whole("interval", 1)
        if self.round_to != "auto":
            self._whole("round_to", 1, ', or "auto"')
        self._bounds("min_channels")
        if self.max_channels is not None:
            self._bounds("max_channels")
        self._whole("seed", 0)
        self._whole("verbose", 0)
        if isinstance(self.end, Integral):
            self._whole("end", 1)
        else:
            self._share("end", 0, 1)
            if self.end == 0:
                self._fail("end", "above 0, or a whole number of units")

    @property
    def asks_for_fisher(self):
        """Bool: whether there is no going on without Fisher information."""
        return "fisher" in (self.allocation, self.criterion)

    def unused(self):
        """Names of options that were chosen and decide nothing, as a list."""
        names = {
            "none": ("restore", "probability"),
            "gradual": ("restore", "probability"),
            "uniform": ("probability",),
        }.get(self.sampling, ())
        defaults = {"restore": "preserve", "probability": "scale_free"}
        return [n for n in names if getattr(self, n) != defaults[n]]

    def _departures(self):
        for name in ("blend", "floor"):
            if getattr(self, name) is not None:
                self._share(name, 0, 1)
                if self.allocation == "uniform":
                    raise ValueError(
                        f"Argument `{name}` says how far widths depart from "
                        "uniform ones, and so needs an allocation by scores. "
                        "Leave out one of the two, or name another allocation. "
                        f"Received: {name}={getattr(self, name)!r} and "
                        "allocation='uniform'"
                    )

    def _one_of(self, name, known):
        if getattr(self, name) not in known:
            self._fail(name, f"one of {list(known)}")

    def _share(self, name, low, high):
        value = getattr(self, name)
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            self._fail(name, f"a number from {low} to {high}")

    def _whole(self, name, lowest, otherwise=""):
        value = getattr(self, name)
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or value < lowest:
            self._fail(name, f"a whole number, at least {lowest}{otherwise}")

    def _bounds(self, name):
        value = getattr(self, name)
        if not isinstance(value, dict):
            self._whole(name, 1)
        elif not all(isinstance(n, Integral) and n > 0 for n in value.values()):
            self._fail(name, "an int, or a dict from layer names to ints")

    def _fail(self, name, rule):
        raise ValueError(
            f"Argument `{name}` must be {rule}. "
            f"Received: {name}={getattr(self, name)!r}"
        )
