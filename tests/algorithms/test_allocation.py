import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_chex.algorithms.allocation import (
    allocate,
    minimum_cost,
    uniform_share,
)
from keras_chex.algorithms.cost import QuadraticCost, channel_count_cost
from keras_chex.algorithms.ranking import ALLOCATIONS
from tests.algorithms.networks import basic_resnet, bottleneck_resnet

allocations = pytest.mark.parametrize("allocation", ALLOCATIONS)


@st.composite
def problems(draw, widths=(16, 24, 32)):
    """A residual network, scores with dormant units, and a limit."""
    width = draw(st.sampled_from(widths))
    blocks = st.integers(1, 3)
    if draw(st.booleans()):
        sizes, cost = basic_resnet((draw(blocks), draw(blocks)), width)
    else:
        sizes, cost = bottleneck_resnet((draw(blocks), draw(blocks)), width)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    spread = draw(st.sampled_from([0.0, 0.05, 1.0]))
    scores = [
        np.abs(1 + spread * rng.standard_normal(n)) * rng.uniform(0.3, 3)
        for n in sizes
    ]
    for score in scores:
        score[rng.random(score.size) < 0.2] = 0.0
    share = draw(st.floats(0.05, 0.99))
    return sizes, cost, scores, share * cost(sizes)


def is_allowed(widths, sizes, round_to):
    return ((widths % round_to == 0) | (widths == sizes)).all()


@pytest.mark.parametrize(
    "allocation, limit, expected",
    [
        ("bn_scale_raw", 4, [3, 1]),
        ("bn_scale_raw", 5, [4, 1]),
        ("uniform", 4, [2, 2]),
        ("uniform", 6, [3, 3]),
        ("uniform", 8, [4, 4]),
    ],
)
def test_channel_budgets_match_the_pencil(allocation, limit, expected):
    scores = [np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.5, 0.1, 0.1, 0.0])]
    cost = channel_count_cost([4, 4])
    found = allocate(scores, [4, 4], cost, limit, allocation=allocation)
    np.testing.assert_array_equal(found, expected)


def test_fisher_information_is_weighed_against_the_cost():
    scores = [np.array([1.0, 0.9, 0.8, 0.7]), np.array([1.2, 1.1, 1.0, 0.9])]
    cost = channel_count_cost([4, 4], [1, 4])
    found = allocate(scores, [4, 4], cost, 8, allocation="fisher")
    np.testing.assert_array_equal(found, [4, 1])
    # The scale of all scores together says nothing.
    small = [score * 1e-9 for score in scores]
    found = allocate(small, [4, 4], cost, 8, allocation="fisher")
    np.testing.assert_array_equal(found, [4, 1])


@allocations
@pytest.mark.parametrize("round_to", [1, 3, 8])
@settings(max_examples=25, deadline=None)
@given(problem=problems(), blend=st.sampled_from([0.0, 0.4, 1.0]))
def test_limit_grid_and_minimum_hold(allocation, round_to, problem, blend):
    sizes, cost, scores, limit = problem
    minimum = np.minimum(3, sizes)
    lowest = minimum_cost(sizes, cost, min_widths=minimum, round_to=round_to)
    options = {
        "allocation": allocation,
        "min_widths": minimum,
        "round_to": round_to,
        "blend": blend,
    }
    if lowest > limit:
        with pytest.raises(ValueError, match=f"minimum of {lowest} "):
            allocate(scores, sizes, cost, limit, **options)
        return
    widths = allocate(scores, sizes, cost, limit, **options)
    assert cost(widths) <= limit
    assert (widths >= minimum).all() and (widths <= sizes).all()
    assert is_allowed(widths, sizes, round_to)


@allocations
@settings(max_examples=40, deadline=None)
@given(problem=problems(widths=(24, 32, 64)))
def test_single_channels_come_within_one_percent(allocation, problem):
    sizes, cost, scores, limit = problem
    widths = allocate(scores, sizes, cost, limit, allocation=allocation)
    assert 0.99 * limit <= cost(widths) <= limit


@pytest.mark.parametrize("allocation", ["bn_scale", "uniform"])
@pytest.mark.parametrize("round_to", [1, 2, 8])
@settings(max_examples=25, deadline=None)
@given(problem=problems(widths=(16, 32, 64)))
def test_equal_scales_stay_within_one_quantum_of_uniform(
    allocation, round_to, problem
):
    sizes, cost, _, limit = problem
    limit = max(limit, 1.2 * minimum_cost(sizes, cost, round_to=round_to))
    if limit > cost(sizes):
        return
    share = uniform_share(sizes, cost, limit, min_widths=round_to)
    uniform = np.maximum(share * sizes, round_to)
    options = {"round_to": round_to, "allocation": allocation}
    scores = [np.ones(n) for n in sizes]
    near = allocate(scores, sizes, cost, limit, tolerance=1.0, **options)
    assert (np.abs(near - uniform) < round_to + 1e-6).all()
    # the last percent may take groups of a coarse grid further away
    close = allocate(scores, sizes, cost, limit, **options)
    assert cost(close) >= cost(near)
    if cost(near) >= 0.99 * limit:
        np.testing.assert_array_equal(close, near)


@allocations
@settings(max_examples=25, deadline=None)
@given(problem=problems())
def test_a_higher_limit_does_not_give_a_cheaper_network(allocation, problem):
    sizes, cost, scores, limit = problem
    costs = [
        cost(allocate(scores, sizes, cost, raised, allocation=allocation))
        for raised in limit * np.linspace(1.0, 1.5, 6)
    ]
    assert (np.diff(costs) >= -0.01 * np.array(costs[1:])).all()


@allocations
def test_a_limit_of_everything_keeps_everything(allocation):
    sizes, cost = basic_resnet()
    scores = [np.zeros(n) for n in sizes]
    found = allocate(scores, sizes, cost, cost(sizes), allocation=allocation)
    np.testing.assert_array_equal(found, sizes)


@allocations
def test_a_limit_of_the_minimum_keeps_the_minimum(allocation):
    sizes, cost = basic_resnet()
    scores = [np.ones(n) for n in sizes]
    lowest = minimum_cost(sizes, cost, min_widths=2)
    found = allocate(
        scores, sizes, cost, lowest, allocation=allocation, min_widths=2
    )
    np.testing.assert_array_equal(found, np.full(sizes.size, 2))


def test_drifted_streams_do_not_collapse():
    # Scales of residual streams drift, block-internal ones stay at 1.
    sizes, cost = basic_resnet()
    streams = [0, 4, 8]
    rng = np.random.default_rng(0)
    scores = [np.abs(1 + 0.03 * rng.standard_normal(n)) for n in sizes]
    for group in streams:
        scores[group] *= 0.7
    limit = 0.25 * cost(sizes)
    uniform = uniform_share(sizes, cost, limit) * sizes
    raw = allocate(scores, sizes, cost, limit, allocation="bn_scale_raw")
    assert (raw[streams] < 0.75 * uniform[streams]).all()
    assert raw[0] == 2
    robust = allocate(scores, sizes, cost, limit)
    assert (robust[streams] > 0.8 * uniform[streams]).all()


def test_no_group_falls_below_its_floor():
    sizes, cost = basic_resnet()
    scores = [np.ones(n) for n in sizes]
    # one channel above all others: its group has little else
    scores[5] = np.full(sizes[5], 1e-3)
    scores[5][0] = 10.0
    limit = 0.5 * cost(sizes)
    share = uniform_share(sizes, cost, limit)
    for floor in (0.5, 0.9):
        widths = allocate(scores, sizes, cost, limit, floor=floor)
        assert widths[5] >= int(floor * share * sizes[5])
        assert cost(widths) <= limit
    assert allocate(scores, sizes, cost, limit, floor=0.0)[5] < 10


def test_blend_moves_the_widths_step_by_step():
    sizes, cost = basic_resnet()
    rng = np.random.default_rng(0)
    scores = [rng.exponential(1.0, n) ** rng.uniform(0.5, 2) for n in sizes]
    limit = 0.5 * cost(sizes)
    uniform = allocate(scores, sizes, cost, limit, allocation="uniform")
    distances = []
    for blend in (0.0, 0.25, 0.5, 1.0):
        widths = allocate(scores, sizes, cost, limit, blend=blend)
        distances.append(np.abs((widths - uniform) / sizes).mean())
    assert distances[0] == 0.0
    assert distances == sorted(distances)
    assert distances[-1] > 0.05


def test_groups_without_scores_stay_uniform():
    sizes, cost = basic_resnet()
    limit = 0.5 * cost(sizes)
    uniform = allocate([None] * sizes.size, sizes, cost, limit)
    expected = allocate(
        [None] * sizes.size, sizes, cost, limit, allocation="uniform"
    )
    np.testing.assert_array_equal(uniform, expected)


@pytest.mark.parametrize("seed", range(8))
def test_coarse_grids_reach_the_nearest_cost_below(seed):
    # 8 and 16 wide, multiples of 8: hardly any widths to choose from
    rng = np.random.default_rng(seed)
    sizes, cost = basic_resnet((1, 2, 1), width=8)
    limit = rng.uniform(0.3, 0.95) * cost(sizes)
    if minimum_cost(sizes, cost, round_to=8) > limit:
        limit = minimum_cost(sizes, cost, round_to=8) * 1.05
    scores = [rng.random(n) for n in sizes]
    widths = allocate(
        scores, sizes, cost, limit, round_to=8, allocation="bn_scale_raw"
    )
    choices = [range(8, n + 1, 8) for n in sizes]
    costs = [cost(np.array(w)) for w in itertools.product(*choices)]
    best = max(c for c in costs if c <= limit)
    assert cost(widths) == best or cost(widths) >= 0.99 * limit


@pytest.mark.parametrize("limit, expected", [(12, 0.25), (48, 1.0), (60, 1.0)])
def test_uniform_share_of_a_channel_budget_is_linear(limit, expected):
    cost = channel_count_cost([16, 32])
    found = uniform_share([16, 32], cost, limit)
    assert found == pytest.approx(expected, abs=1e-9)


def test_uniform_share_solves_the_quadratic():
    # 3 w * 100 + w * w: 100 % is 40000, the share solves 30000 r + 10000 r^2
    cost = QuadraticCost([100, 1], [[0], [1]], [3, 0], [[1], [1]], [0, 0])
    share = uniform_share([100], cost, 0.5 * cost([100]))
    assert 30000 * share + 10000 * share**2 == pytest.approx(20000, abs=0.01)


def test_minimum_cost_follows_the_grid():
    cost = channel_count_cost([16, 6])
    assert minimum_cost([16, 6], cost) == 2
    assert minimum_cost([16, 6], cost, min_widths=[3, 2]) == 5
    assert minimum_cost([16, 6], cost, min_widths=[3, 2], round_to=8) == 14


def test_the_reachable_minimum_is_named():
    cost = channel_count_cost([16, 16])
    message = (
        "^Argument `limit` is below the reachable minimum of 16 "
        r"\(every group at its lowest width, multiples of 8\). Raise the "
        "budget, or lower the minimum widths or `round_to`. Received: limit=9$"
    )
    with pytest.raises(ValueError, match=message):
        allocate([None, None], [16, 16], cost, 9, round_to=8)
    with pytest.raises(ValueError, match="reachable minimum of 2 "):
        uniform_share([16, 16], cost, 1)


@pytest.mark.parametrize("name", ["floor", "tolerance"])
def test_shares_out_of_range_are_named(name):
    cost = channel_count_cost([16])
    message = (
        f"^Argument `{name}` must be between 0 and 1. Received: {name}=1.5$"
    )
    with pytest.raises(ValueError, match=message):
        allocate([None], [16], cost, 9, **{name: 1.5})
