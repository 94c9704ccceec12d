import numpy as np
import pytest

from keras_chex.algorithms.schedules import (
    SCHEDULES,
    regrow_count,
    regrow_fraction,
)

TABLE = {
    "cosine": [0.3, 0.2560660, 0.15, 0.0439340, 0.0],
    "linear": [0.3, 0.225, 0.15, 0.075, 0.0],
    "constant": [0.3, 0.3, 0.3, 0.3, 0.3],
    "none": [0.0, 0.0, 0.0, 0.0, 0.0],
}


def test_every_schedule_is_in_the_table():
    assert set(TABLE) == set(SCHEDULES)


@pytest.mark.parametrize("schedule", TABLE)
def test_schedules_match_the_table_of_the_docstring(schedule):
    found = [
        regrow_fraction(progress, 0.3, schedule)
        for progress in (0, 0.25, 0.5, 0.75, 1)
    ]
    np.testing.assert_allclose(found, TABLE[schedule], atol=1e-7)


@pytest.mark.parametrize("schedule", TABLE)
@pytest.mark.parametrize("initial", [0.0, 0.2, 1.0])
def test_schedules_stay_in_range_and_never_rise(schedule, initial):
    found = [
        regrow_fraction(progress, initial, schedule)
        for progress in np.linspace(0, 1, 101)
    ]
    assert 0.0 <= min(found) and max(found) <= initial
    assert (np.diff(found) <= 1e-15).all()


def test_a_callable_is_a_factor_of_the_initial_fraction():
    assert regrow_fraction(0.5, 0.4, lambda progress: progress**2) == 0.1


@pytest.mark.parametrize(
    "fraction, size, expected",
    [
        (0.0, 10, 0),
        (0.01, 10, 1),
        (0.3, 10, 3),
        (0.07, 100, 7),
        (1.0, 10, 10),
        (0.75, 3, 3),
    ],
)
def test_counts_are_rounded_up(fraction, size, expected):
    assert regrow_count(fraction, size) == expected


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: regrow_fraction(1.1, 0.3),
            "^Argument `progress` must be between 0 and 1. "
            "Received: progress=1.1$",
        ),
        (
            lambda: regrow_fraction(0.5, -0.3),
            "^Argument `initial` must be between 0 and 1. "
            "Received: initial=-0.3$",
        ),
        (
            lambda: regrow_fraction(0.5, 0.3, "exponential"),
            r"^Argument `schedule` must be one of \['cosine', 'linear', "
            r"'constant', 'none'\] or a callable that maps progress in "
            r"\[0, 1\] to a factor in \[0, 1\]. Received: "
            "schedule='exponential'$",
        ),
        (
            lambda: regrow_fraction(0.5, 0.3, 7),
            "Received: schedule=7$",
        ),
        (
            lambda: regrow_fraction(0.5, 0.3, lambda progress: 2.0),
            "^Argument `schedule` must return factors between 0 and 1. "
            "Received: 2.0 at progress=0.5$",
        ),
        (
            lambda: regrow_count(float("nan"), 3),
            "^Argument `fraction` must be between 0 and 1. "
            "Received: fraction=nan$",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
