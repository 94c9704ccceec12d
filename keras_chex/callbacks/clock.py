"""When exploration steps happen: interval and end, in epochs or steps."""

import dataclasses
from numbers import Integral

UNITS = ("epoch", "step")


@dataclasses.dataclass(frozen=True)
class Clock:
    """The times of the exploration steps of one run.

    Attributes:
        interval: int, epochs or optimizer steps between exploration steps.
        end: int, time of the last one, which meets the budget.
        total: int, length of the run.

    >>> clock = Clock(interval=2, end=7, total=10)
    >>> clock.due(-1, 3), clock.due(2, 3), clock.due(5, 9), clock.due(7, 9)
    (2, None, 7, None)
    >>> clock.times
    (2, 4, 6, 7)
    """

    interval: int
    end: int
    total: int

    @property
    def times(self):
        """All times at which a step happens."""
        return (*range(self.interval, self.end, self.interval), self.end)

    def due(self, done, now):
        """The latest step that time has come for, if it was not made yet.

        Args:
            done: int, time of the last step that was made.
            now: int; several steps may have been passed at once.

        Returns:
            int or None.
        """
        passed = [time for time in self.times if done < time <= now]
        return passed[-1] if passed else None


def make_clock(interval, end, unit, epochs, steps):
    """Fits interval and end to the length of a run.

    Args:
        interval: int, in units.
        end: float, share of the run; or int, in units.
        unit: `"epoch"` or `"step"`.
        epochs: int, epochs of the run.
        steps: int or None, steps per epoch where known.

    Returns:
        A `Clock`.

    Raises:
        ValueError: If the length is needed and unknown, or too short.

    >>> make_clock(2, 0.72, "epoch", 25, None)
    Clock(interval=2, end=18, total=25)
    """
    total = epochs if unit == "epoch" else steps and epochs * steps
    if total is None:
        raise ValueError(
            "Argument `unit='step'` needs the number of steps per epoch. "
            "Received: a data set of unknown length. Pass `steps_per_epoch` to "
            "`fit`, or use `unit='epoch'`."
        )
    whole = isinstance(end, Integral)
    last = int(end) if whole else max(1, round(end * total))
    if last > total:
        raise ValueError(
            f"Argument `end` must lie within the run. Received: end={end} "
            f"for a run of {total} {unit}s"
        )
    if interval > last:
        raise ValueError(
            "Argument `interval` must be at most the end of exploration. "
            f"Received: interval={interval} for end={end}, which is {last} of "
            f"{total} {unit}s. Train longer, choose a smaller interval, or use "
            "`unit='step'`."
        )
    return Clock(interval, last, total)
