"""Decides which share of the channels an exploration step brings back."""

import math

from keras_chex.algorithms.arguments import check_share


def _cosine(progress):
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _linear(progress):
    return 1.0 - progress


def _constant(progress):
    return 1.0


def _none(progress):
    return 0.0


SCHEDULES = {
    "cosine": _cosine,
    "linear": _linear,
    "constant": _constant,
    "none": _none,
}


def regrow_fraction(progress, initial, schedule="cosine"):
    """Share of a group's channels to regrow, `initial * shape(progress)`.

    With `t` the index of the exploration step, `interval` and `end` in the
    same unit, `progress = t * interval / end`.

    | progress     | 0   | 0.25  | 0.5  | 0.75  | 1   |
    |--------------|-----|-------|------|-------|-----|
    | `"cosine"`   | 0.3 | 0.256 | 0.15 | 0.044 | 0   |
    | `"linear"`   | 0.3 | 0.225 | 0.15 | 0.075 | 0   |
    | `"constant"` | 0.3 | 0.3   | 0.3  | 0.3   | 0.3 |
    | `"none"`     | 0   | 0     | 0    | 0     | 0   |

    (for `initial=0.3`; `"cosine"` is the paper's equation 3)

    Args:
        progress: float in [0, 1].
        initial: float in [0, 1], the fraction at progress 0.
        schedule: a name above, or a callable that maps progress to a factor
            in [0, 1] by which `initial` is multiplied.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: If an argument, or what a callable returns, is out of
            range, or the schedule is unknown.

    Example:

    >>> round(regrow_fraction(0.25, 0.3), 3)
    0.256
    >>> round(regrow_fraction(0.25, 0.3, lambda p: (1 - p) ** 3), 3)
    0.127

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), equation 3
    """
    check_share("progress", progress)
    check_share("initial", initial)
    if isinstance(schedule, str) and schedule in SCHEDULES:
        return float(initial) * SCHEDULES[schedule](float(progress))
    if not callable(schedule):
        raise ValueError(
            f"Argument `schedule` must be one of {list(SCHEDULES)} or a "
            "callable that maps progress in [0, 1] to a factor in [0, 1]. "
            f"Received: schedule={schedule!r}"
        )
    factor = schedule(float(progress))
    if not 0.0 <= factor <= 1.0:
        raise ValueError(
            "Argument `schedule` must return factors between 0 and 1. "
            f"Received: {factor} at progress={progress}"
        )
    return float(initial) * float(factor)


def regrow_count(fraction, size):
    """Number of channels to regrow, `ceil(fraction * size)`.

    A product that is an integer but for rounding counts as that integer.

    >>> regrow_count(0.07, 100)   # 0.07 * 100 is 7.000000000000001
    7
    >>> regrow_count(0.01, 10)
    1

    Args:
        fraction: float in [0, 1].
        size: int, number of channels of the group.

    Returns:
        Int between 0 and `size`.

    Raises:
        ValueError: If `fraction` is out of range.
    """
    check_share("fraction", fraction)
    return min(size, math.ceil(round(fraction * size, 9)))
