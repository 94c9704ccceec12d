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
        schedule: a name above, a callable that maps progress to a factor in
            [0, 1] by which `initial` is multiplied, or a pruning schedule of
            TensorFlow Model Optimization (`pruning_schedule_factor`).

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
    if is_pruning_schedule(schedule):
        return float(initial) * pruning_schedule_factor(progress, schedule)
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


def is_pruning_schedule(schedule):
    """Tells whether an object is a `PruningSchedule` of TFMOT, by its methods.

    >>> is_pruning_schedule("cosine")
    False
    """
    is_object = not isinstance(schedule, type)
    return is_object and callable(schedule) and hasattr(schedule, "get_config")


def pruning_schedule_factor(progress, schedule):
    """Factor of regrowing by a pruning schedule of TFMOT.

    Such a schedule says how sparse a network is at a step. What it still has
    to prune is what may still regrow: `factor = (final - s(t)) / (final -
    initial)` with `s` the sparsity at `t = progress * end_step`, the schedule's
    end being that of exploration. So the factor is 1 up to `begin_step`, falls
    as the schedule rises, and is 0 at `end_step`. For `PolynomialDecay` of
    `power` 3 that starts at step 0 it is `(1 - progress) ** 3`. A
    `ConstantSparsity` prunes all the time by the same rate: the factor is 1
    throughout. `frequency` plays no part: `interval` of the scheduler says when
    it explores.

    Args:
        progress: float in [0, 1].
        schedule: `ConstantSparsity` or `PolynomialDecay`, or another object
            with a `get_config` of the same form.

    Returns:
        Float in [0, 1].

    Raises:
        ValueError: If `schedule` is of another class, or never rises.
    """
    config = schedule.get_config()
    name = config.get("class_name")
    values = config.get("config", {})
    if name == "ConstantSparsity":
        return 1.0
    if name != "PolynomialDecay":
        raise ValueError(
            "Argument `schedule` must be a `PolynomialDecay` or "
            "`ConstantSparsity` where it is a pruning schedule. Received: "
            f"{name or type(schedule).__name__}. Give a callable that maps "
            "progress in [0, 1] to a factor in [0, 1] instead."
        )
    if not values["initial_sparsity"] < values["final_sparsity"]:
        raise ValueError(
            "Argument `schedule` must rise from its `initial_sparsity` to its "
            f"`final_sparsity`. Received: {values}"
        )
    begin, end = values["begin_step"], values["end_step"]
    if end == begin:
        return float(progress < 1.0)
    passed = (progress * end - begin) / (end - begin)
    return (1.0 - min(1.0, max(0.0, passed))) ** values["power"]


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
