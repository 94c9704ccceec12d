"""Alternated timing: whose turn it is, and what a ratio is made of."""

import time

import pytest

from benchmarks.alternate import alternate, median_ratio


def test_functions_take_turns_forwards_and_backwards():
    calls = []
    functions = {name: lambda n=name: calls.append(n) for name in "abc"}
    alternate(functions, rounds=2, warmup=1)
    assert "".join(calls) == "abc" + "abc" + "cba"


def test_times_are_those_of_the_functions():
    seconds = alternate(
        {"slow": lambda: time.sleep(0.02), "fast": lambda: None},
        rounds=3,
        warmup=0,
    )
    assert len(seconds["slow"]) == len(seconds["fast"]) == 3
    assert min(seconds["slow"]) >= 0.02
    assert median_ratio(seconds["fast"], seconds["slow"]) < 0.5


def test_clock_can_be_chosen():
    ticks = iter(range(100))
    seconds = alternate(
        {"a": lambda: None, "b": lambda: next(ticks)},
        rounds=2,
        warmup=0,
        clock=lambda: next(ticks),
    )
    assert seconds == {"a": [1, 1], "b": [2, 2]}


def test_ratio_does_not_follow_the_speed_of_the_machine():
    # Twice as slow from round to round, always half of the reference.
    assert median_ratio([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]) == 0.5


def test_ratio_needs_as_many_rounds_of_both():
    with pytest.raises(ValueError, match="zip"):
        median_ratio([1.0], [1.0, 2.0])
