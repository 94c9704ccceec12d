import numpy as np
import pytest

from keras_chex.algorithms.allocation import (
    allocate,
    minimum_cost,
    uniform_share,
)
from keras_chex.algorithms.cost import QuadraticCost
from keras_chex.algorithms.latency_cost import LatencyCost, LatencyTerm


def chain(tile=1, constant=0):
    """3 -> w0 -> w1 -> 10 channels, with random rising tables."""
    rng = np.random.default_rng(0)

    def term(left, left_constant, right, right_constant, inputs, outputs):
        rises = rng.uniform(100, 2000, (len(inputs), len(outputs)))
        return LatencyTerm(
            left,
            left_constant,
            right,
            right_constant,
            inputs,
            outputs,
            rises.cumsum(0).cumsum(1),
            right_tile=tile,
        )

    return LatencyCost(
        [
            term([0, 0], 3, [1, 0], 0, [3], [8, 16]),
            term([1, 0], 0, [0, 1], 0, [4, 8, 16], [8, 24, 32]),
            term([0, 1], 0, [0, 0], 10, [16, 32], [16]),
            term([1, 1], 0, [1, 1], 0, [1], [16, 48]),
        ],
        num_groups=2,
        constant=constant,
    )


def test_times_between_knots_lie_on_straight_lines():
    term = LatencyTerm([1], 0, [1], 0, [2, 4], [2, 4], [[20, 30], [40, 90]])
    assert LatencyCost([term], 1)([2]) == 20
    assert LatencyCost([term], 1)([4]) == 90
    assert LatencyCost([term], 1)([3]) == (20 + 30 + 40 + 90) / 4


def test_below_the_first_knot_times_go_on_towards_zero():
    term = LatencyTerm([0], 3, [1], 0, [3], [10, 20], [[30, 50]])
    assert LatencyCost([term], 1)([5]) == 20
    steep = LatencyTerm([0], 3, [1], 0, [3], [10, 20], [[10, 50]])
    assert LatencyCost([steep], 1)([1]) == 1


def test_above_the_last_knot_times_stay():
    term = LatencyTerm([0], 3, [1], 0, [3], [10, 20], [[30, 50]])
    assert LatencyCost([term], 1)([40]) == 50


def test_widths_are_rounded_up_to_tiles():
    term = LatencyTerm([0], 3, [1], 0, [3], [8, 16], [[10, 30]], right_tile=8)
    cost = LatencyCost([term], 1)
    assert [cost([w]) for w in (1, 8, 9, 16)] == [10, 10, 30, 30]


def test_narrow_layers_may_have_a_kernel_of_half_the_tile():
    term = LatencyTerm(
        [0], 3, [1], 0, [3], [4, 8, 16], [[5, 10, 20]], 1, 8, right_least=4
    )
    cost = LatencyCost([term], 1)
    assert [cost([w]) for w in (1, 4, 5, 8, 9)] == [5, 5, 10, 10, 20]


def test_noise_does_not_make_a_wider_layer_faster():
    term = LatencyTerm([0], 3, [1], 0, [3], [8, 16, 24], [[10, 30, 20]])
    assert LatencyCost([term], 1)([24]) == 30


def test_times_rise_below_the_first_knots_too():
    term = LatencyTerm([1], 0, [1], 0, [2, 4], [2, 4], [[20, 30], [40, 90]])
    assert (np.diff(term.times, axis=0) >= 0).all()
    assert (np.diff(term.times, axis=1) >= 0).all()


def test_several_channels_per_unit_and_channels_that_stay():
    term = LatencyTerm([2], 1, [1], 4, [1, 9], [4, 8], [[0, 0], [80, 160]])
    # 2 units: 5 input channels, half way; 6 output channels, half way
    assert LatencyCost([term], 1, constant=7)([2]) == (80 + 160) / 4 + 7


@pytest.mark.parametrize("tile", [1, 8])
def test_changes_are_differences_of_costs(tile):
    cost = chain(tile, constant=11)
    widths, up, down = np.array([8, 16]), np.array([3, 5]), np.array([-4, -7])
    base = cost(widths)
    expected = [
        cost(widths + [3, 0]) - base,
        cost(widths + [0, 5]) - base,
    ]
    np.testing.assert_array_equal(cost.changes(widths, up), expected)
    assert cost.change(widths, 1, 5) == expected[1]
    pairs = cost.pair_changes(widths, up, down)
    assert pairs[0, 1] == cost(widths + [3, -7]) - base
    assert pairs[1, 0] == cost(widths + [-4, 5]) - base


def test_quadratic_costs_answer_the_same_questions():
    cost = QuadraticCost(
        [2, 3], [[1, 0], [0, 1]], [0, 1], [[0, 1], [1, 1]], [1, 0]
    )
    widths, up, down = np.array([8, 16]), np.array([3, 5]), np.array([-4, -7])
    base = cost(widths)
    assert cost.change(widths, 0, 3) == cost(widths + [3, 0]) - base
    np.testing.assert_array_equal(
        cost.changes(widths, up),
        [cost(widths + [3, 0]) - base, cost(widths + [0, 5]) - base],
    )
    pairs = cost.pair_changes(widths, up, down)
    assert pairs[0, 1] == cost(widths + [3, -7]) - base
    assert pairs[1, 0] == cost(widths + [-4, 5]) - base


def test_rows_of_widths_are_evaluated_at_once():
    cost = chain(8)
    rows = np.array([[3, 4], [16, 32], [9, 25]])
    found = cost.evaluate(rows)
    np.testing.assert_array_equal(found, [cost(row) for row in rows])


@pytest.mark.parametrize("tile", [1, 8])
def test_no_channel_makes_a_network_faster(tile):
    cost = chain(tile)
    for first in range(1, 17):
        times = cost.evaluate([[first, second] for second in range(1, 33)])
        assert (np.diff(times) >= 0).all()


@pytest.mark.parametrize("tile", [1, 8])
@pytest.mark.parametrize("round_to", [1, 4, 8])
@pytest.mark.parametrize("allocation", ["bn_scale", "bn_scale_raw", "uniform"])
def test_allocation_meets_a_latency(tile, round_to, allocation):
    cost = chain(tile, constant=500)
    sizes = [16, 32]
    rng = np.random.default_rng(1)
    scores = [rng.uniform(0, 1, size) for size in sizes]
    for share in (0.5, 0.8):
        limit = int(share * cost(sizes))
        widths = allocate(
            scores,
            sizes,
            cost,
            limit,
            allocation=allocation,
            round_to=round_to,
        )
        assert cost(widths) <= limit
        # The next step of a group is a whole tile of two layers.
        step = max(tile, round_to)
        raised = np.minimum(widths + step, sizes)
        assert cost(raised) > limit or (raised == widths).all()


def test_the_uniform_share_is_the_largest_that_the_limit_pays_for():
    term = LatencyTerm([0], 3, [1], 0, [3], [8, 16], [[10, 30]], right_tile=8)
    share = uniform_share([16], LatencyCost([term], 1), 29)
    assert share == 0.5
    assert minimum_cost([16], LatencyCost([term], 1), round_to=8) == 10


def test_an_unreachable_latency_is_refused():
    with pytest.raises(ValueError, match="reachable minimum"):
        allocate([None, None], [16, 32], chain(constant=10), 9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left_knots": [4, 4]}, "`left_knots` must hold rising"),
        ({"right_knots": []}, "`right_knots` must hold rising"),
        ({"times": [[1, 2]]}, "`times` must hold numbers"),
        ({"times": [[1, 2], [3, -1]]}, "`times` must hold numbers"),
        ({"times": [[1, 2], [3, np.nan]]}, "`times` must hold numbers"),
    ],
)
def test_wrong_tables_are_refused(change, message):
    arguments = {
        "left": [1],
        "left_constant": 0,
        "right": [1],
        "right_constant": 0,
        "left_knots": [2, 4],
        "right_knots": [2, 4],
        "times": [[1, 2], [3, 4]],
    }
    with pytest.raises(ValueError, match=message):
        LatencyTerm(**{**arguments, **change})


def test_terms_of_other_groups_are_refused():
    term = LatencyTerm([0], 3, [1], 0, [3], [8], [[10]])
    with pytest.raises(ValueError, match=r"`terms` must have `left` of shape"):
        LatencyCost([term], 2)
    with pytest.raises(ValueError, match="one width per channel group"):
        LatencyCost([term], 1)([1, 2])
