import numpy as np
import pytest

from keras_chex.algorithms.budget import meet_limit
from keras_chex.algorithms.cost import QuadraticCost
from keras_chex.algorithms.grid import WidthGrid


def weighted_sum(*prices):
    """Cost `sum(price * width)`."""
    return QuadraticCost([1], [prices], [0], np.zeros((1, len(prices))), [1])


def meet(ideal, sizes, cost, limit, round_to=1, tolerance=0.01, floors=None):
    grid = WidthGrid(sizes, 1, round_to)
    ranks = np.arange(sum(sizes))
    # unit i of group g has rank i * groups + g: all groups in turn
    positions = [ranks[g :: len(sizes)][:n] for g, n in enumerate(sizes)]
    floors = grid.lowest if floors is None else np.array(floors)
    return meet_limit(
        np.array(ideal), positions, grid, floors, cost, limit, tolerance
    )


def test_what_rounding_leaves_goes_to_the_next_in_the_ranking():
    cost = weighted_sum(1, 1, 1)
    found = meet([4.6, 4.6, 4.6], [9, 9, 9], cost, 14)
    np.testing.assert_array_equal(found, [5, 5, 4])


def test_what_does_not_fit_is_skipped():
    cost = weighted_sum(10, 1, 1)
    found = meet([4.5, 4.5, 4.5], [9, 9, 9], cost, 50)
    np.testing.assert_array_equal(found, [4, 5, 5])


def test_a_swap_spends_what_filling_cannot():
    # 3 and 5 per quantum: (4, 4) costs 32, 34 needs one up and one down
    cost = weighted_sum(3, 5)
    found = meet([4.0, 4.0], [9, 9], cost, 34)
    np.testing.assert_array_equal(found, [3, 5])
    assert cost(found) == 34


def test_several_exchanges_at_once_are_found_by_trying_all():
    # (4, 4) costs 40; only 3 * 2 + 7 * 5 and 3 * 9 + 7 * 2 cost 41
    cost = weighted_sum(3, 7)
    found = meet([4.0, 4.0], [9, 9], cost, 41)
    np.testing.assert_array_equal(found, [2, 5])


def test_the_nearest_widths_that_spend_enough_are_taken():
    cost = weighted_sum(1, 1, 1)
    found = meet([4.0, 4.0, 4.0], [9, 9, 9], cost, 12)
    np.testing.assert_array_equal(found, [4, 4, 4])


def test_floors_are_kept_while_exchanging():
    cost = weighted_sum(3, 5)
    found = meet([4.0, 4.0], [9, 9], cost, 34, floors=[4, 4])
    np.testing.assert_array_equal(found, [4, 4])


@pytest.mark.parametrize("tolerance, expected", [(0.2, 32), (0.01, 34)])
def test_a_wide_tolerance_ends_the_search(tolerance, expected):
    cost = weighted_sum(3, 5)
    found = meet([4.0, 4.0], [9, 9], cost, 34, tolerance=tolerance)
    assert cost(found) == expected


def test_more_groups_than_can_be_combined_are_handled():
    rng = np.random.default_rng(0)
    prices = rng.integers(50, 90, 40) * 16
    cost = weighted_sum(*prices)
    sizes = [32] * 40
    limit = 0.5 * cost(np.array(sizes)) + 333
    found = meet([16.0] * 40, sizes, cost, limit, round_to=8, tolerance=2e-4)
    assert (1 - 2e-4) * limit <= cost(found) <= limit
    assert (found % 8 == 0).all()
