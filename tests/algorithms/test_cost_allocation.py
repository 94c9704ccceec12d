"""Widths by what layers cost, against the optimum worked out by hand."""

import numpy as np
import pytest

from keras_chex.algorithms.allocation import allocate, worth_by_rank
from keras_chex.algorithms.cost import QuadraticCost


def linear(prices):
    """A cost of so much for every unit of each group."""
    count = len(prices)
    none = np.zeros((count, count), int)
    return QuadraticCost(
        prices, np.eye(count, dtype=int), [0] * count, none, [1] * count
    )


def by_cost(sizes, prices, limit, layers=None, **options):
    layers = layers or [1] * len(sizes)
    worth = [worth_by_rank(n, k) for n, k in zip(sizes, layers, strict=True)]
    return allocate(
        worth, sizes, linear(prices), limit, allocation="cost", **options
    )


def test_worth_is_the_derivative_of_a_logarithm():
    worth = worth_by_rank(1000, 3)
    assert worth[:3] == pytest.approx([3, 1.5, 1])
    # The sum of 1 / k from 101 to 200 is near the logarithm of two.
    assert worth[100:200].sum() == pytest.approx(3 * np.log(2), rel=0.01)


@pytest.mark.parametrize(
    "sizes, prices, limit, expected",
    [
        # Of a sum of logarithms, each group may spend the same.
        ((100, 100), (1, 1), 100, (50, 50)),
        ((100, 100), (3, 1), 180, (30, 90)),
        ((100, 100, 100), (4, 2, 2), 240, (20, 40, 40)),
        # What is left over by a group that is whole goes to the other.
        ((100, 20), (1, 1), 100, (80, 20)),
        ((100, 100), (1, 0), 60, (60, 100)),
    ],
)
def test_widths_are_the_optimum_of_the_logarithms(
    sizes, prices, limit, expected
):
    found = by_cost(sizes, prices, limit, floor=0.0)
    assert np.abs(found - expected).max() <= 2
    assert linear(prices)(found) <= limit


def test_a_group_of_more_layers_is_worth_more():
    alike = by_cost((100, 100), (1, 1), 90, floor=0.0)
    more = by_cost((100, 100), (1, 1), 90, layers=[2, 1], floor=0.0)
    assert np.abs(alike - (45, 45)).max() <= 2
    assert np.abs(more - (60, 30)).max() <= 2


def test_no_group_falls_below_half_of_its_uniform_width():
    # Uniform: 19 of each; the optimum is 10 of the dear one.
    prices = (9, 1)
    found = by_cost((100, 100), prices, 190)
    assert found[0] >= 9 and found[1] > 60
    floored = by_cost((100, 100), (9, 1), 190, floor=1.0)
    assert np.abs(floored - (19, 19)).max() <= 1
