import numpy as np
import pytest

from keras_chex.algorithms.allocation import allocate, uniform_share
from keras_chex.algorithms.cost import channel_count_cost
from keras_chex.algorithms.criteria import CRITERIA, column_subset
from keras_chex.algorithms.exploration import (
    SAMPLINGS,
    explore,
    initial_subset,
)
from keras_chex.algorithms.group import GroupArrays
from keras_chex.algorithms.regrow import (
    regrow_probabilities,
    residuals,
    sample_channels,
)
from tests.algorithms.networks import basic_resnet


def make_group(size, rows=40, active=None, seed=0, name="conv", **options):
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((rows, size)) * rng.uniform(0.5, 2, size)
    columns /= np.linalg.norm(columns)
    if active is None:
        active = np.ones(size, dtype=bool)
    scale = np.abs(1 + 0.1 * rng.standard_normal(size))
    options.setdefault("scale", scale)
    options.setdefault("fisher", rng.uniform(0.1, 1, size))
    options.setdefault("consumed", rng.standard_normal((rows, size)))
    return GroupArrays(
        name, columns.astype("float32"), active=active, **options
    )


def make_network(active_share=1.0, min_width=1):
    """Groups of a small residual network, some units dormant."""
    sizes, cost = basic_resnet((2, 2), width=16)
    rng = np.random.default_rng(3)
    groups = []
    for index, size in enumerate(sizes):
        active = np.zeros(size, dtype=bool)
        active[rng.permutation(size)[: round(active_share * size)]] = True
        rows = 9 * size if index % 2 else size // 2
        groups.append(
            make_group(
                size,
                rows,
                active,
                seed=index,
                name=f"group{index}",
                min_width=min_width,
            )
        )
    return groups, sizes, cost


def count(masks):
    return np.array([mask.sum() for mask in masks])


def single(group, width, **options):
    """One step on one group with a budget of `width` channels."""
    cost = channel_count_cost([group.size])
    return explore([group], cost, width, **{"regrow_fraction": 0.0, **options})


def test_start_keeps_the_largest_l1_norms_at_one_share():
    groups, sizes, cost = make_network()
    limit = 0.3 * cost(sizes)
    share = uniform_share(sizes, cost, limit)
    found = initial_subset(groups, cost, limit, regrow=0.2)
    for group, mask in zip(groups, found, strict=True):
        assert abs(mask.sum() - (share + 0.2) * group.size) <= 0.5
        norms = np.abs(group.columns).sum(axis=0)
        assert norms[mask].min() >= norms[~mask].max()


def test_start_is_dense_where_share_and_regrow_exceed_one():
    groups, sizes, cost = make_network()
    found = initial_subset(groups, cost, 0.5 * cost(sizes), regrow=0.3)
    assert all(mask.all() for mask in found)


def test_start_follows_the_grid():
    groups, sizes, cost = make_network()
    limit = 0.4 * cost(sizes)
    found = initial_subset(groups, cost, limit, regrow=0.1, round_to=8)
    assert set(count(found) % 8) == {0}
    assert not all(mask.all() for mask in found)


def test_one_group_is_pruned_by_column_subset_selection():
    group = make_group(24)
    result = single(group, 10)
    expected = column_subset(group.columns, 10)
    np.testing.assert_array_equal(result.active[0], expected)
    np.testing.assert_array_equal(result.kept[0], expected)
    assert not result.regrown[0].any()


@pytest.mark.parametrize("rows", [12, 40])
def test_dormant_columns_take_no_part_in_pruning(rows):
    active = np.arange(24) % 3 > 0
    group = make_group(24, rows, active)
    # remembered values that would win if they counted
    group.columns[:, ~active] *= 100.0
    live = np.where(active, group.columns, 0.0)
    result = single(group, 10)
    np.testing.assert_array_equal(result.active[0], column_subset(live, 10))


@pytest.mark.parametrize("rows", [12, 40])
@pytest.mark.parametrize("form", ["softmax", "scale_free", "unsquared"])
def test_regrowing_is_the_documented_draw(rows, form):
    active = np.arange(24) % 3 > 0
    group = make_group(24, rows, active)
    result = single(group, 10, regrow_fraction=0.2, form=form, seed=5, step=7)
    kept = result.kept[0]
    probabilities = regrow_probabilities(
        residuals(group.columns, kept), ~kept, form
    )
    rng = np.random.default_rng([5, 7, 0])
    expected = sample_channels(probabilities, 5, rng)  # ceil(0.2 * 24)
    np.testing.assert_array_equal(result.regrown[0], expected)
    np.testing.assert_array_equal(result.active[0], kept | expected)


def test_uniform_sampling_ignores_the_residuals():
    group = make_group(24)
    result = single(group, 10, regrow_fraction=0.2, sampling="uniform", step=3)
    kept = result.kept[0]
    rng = np.random.default_rng([0, 3, 0])
    expected = sample_channels(np.where(kept, 0, 1 / 14), 5, rng)
    np.testing.assert_array_equal(result.regrown[0], expected)


def test_without_sampling_nothing_is_regrown():
    result = single(make_group(24), 10, regrow_fraction=0.2, sampling="none")
    assert result.active[0].sum() == 10
    assert not result.regrown[0].any()


def test_gradual_pruning_has_the_widths_of_regrowing_and_exchanges_nothing():
    group = make_group(24, active=np.arange(24) < 18)
    options = {"regrow_fraction": 0.2}
    result = single(group, 10, sampling="gradual", **options)
    drawn = single(group, 10, **options)
    assert result.active[0].sum() == drawn.active[0].sum() == 10 + 5
    assert result.cost_allocated == drawn.cost_allocated
    assert not result.regrown[0].any()
    live = group.columns[:, :18]
    expected = np.flatnonzero(column_subset(live, 15))
    np.testing.assert_array_equal(np.flatnonzero(result.kept[0]), expected)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_missing_units_come_back_from_the_dormant(sampling):
    active = np.arange(24) < 6
    group = make_group(24, active=active)
    result = single(group, 10, sampling=sampling)
    np.testing.assert_array_equal(result.kept[0], active)
    assert result.active[0].sum() == 10
    assert (result.active[0] & active).sum() == 6
    if sampling in ("none", "gradual"):
        order = np.argsort(-residuals(group.columns, active))
        assert set(np.flatnonzero(result.regrown[0])) == set(order[:4])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_every_criterion_keeps_active_units_only(criterion):
    groups, sizes, cost = make_network(active_share=0.9)
    result = explore(
        groups,
        cost,
        0.4 * cost(sizes),
        regrow_fraction=0.1,
        criterion=criterion,
    )
    for group, kept in zip(groups, result.kept, strict=True):
        assert not (kept & ~group.active).any()


@pytest.mark.parametrize(
    "criterion, name", [("bn_scale", "scale"), ("fisher", "fisher")]
)
def test_given_criterion_keeps_the_largest(criterion, name):
    group = make_group(24)
    result = single(group, 10, criterion=criterion)
    value = getattr(group, name)
    assert value[result.active[0]].min() >= np.sort(value)[-10]


def test_consumers_choose_by_their_own_columns():
    group = make_group(12, seed=4)
    result = single(group, 5, criterion="css_consumers")
    expected = column_subset(group.consumed, 5)
    assert not np.array_equal(expected, column_subset(group.columns, 5))
    np.testing.assert_array_equal(result.active[0], expected)


def test_producers_choose_where_no_kernel_takes_the_channels():
    group = make_group(8, consumed=None)
    result = single(group, 4, criterion="css_consumers")
    expected = column_subset(group.columns, 4)
    np.testing.assert_array_equal(result.active[0], expected)


def test_fisher_criterion_without_information_is_refused():
    group = make_group(8, fisher=None)
    with pytest.raises(ValueError, match="^Argument `criterion='fisher'` nee"):
        single(group, 4, criterion="fisher")


@pytest.mark.parametrize("round_to", [1, 8])
@pytest.mark.parametrize("active_share", [0.5, 1.0])
@pytest.mark.parametrize("allocation", ["bn_scale", "bn_scale_raw", "uniform"])
def test_without_regrowing_the_budget_is_met(
    round_to, active_share, allocation
):
    groups, sizes, cost = make_network(active_share, min_width=2)
    limit = 0.4 * cost(sizes)
    result = explore(
        groups,
        cost,
        limit,
        regrow_fraction=0.0,
        round_to=round_to,
        allocation=allocation,
    )
    np.testing.assert_array_equal(count(result.active), result.widths)
    assert result.cost_after == result.cost_allocated == cost(result.widths)
    assert 0.95 * limit <= result.cost_after <= limit
    assert result.cost_before == cost(count(g.active for g in groups))
    expected = allocate(
        [np.where(g.active, g.scale, 0) for g in groups],
        sizes,
        cost,
        limit,
        allocation=allocation,
        min_widths=2,
        round_to=round_to,
    )
    np.testing.assert_array_equal(result.widths, expected)


@pytest.mark.parametrize("round_to", [1, 8, 5])
def test_regrown_widths_are_the_rounded_sum(round_to):
    groups, sizes, cost = make_network(0.8)
    result = explore(
        groups,
        cost,
        0.4 * cost(sizes),
        regrow_fraction=0.2,
        round_to=round_to,
    )
    active = count(result.active)
    wanted = result.widths + np.ceil(0.2 * sizes)
    rounded = np.minimum(np.ceil(wanted / round_to) * round_to, sizes)
    np.testing.assert_array_equal(active, rounded)
    assert result.cost_after == cost(active)
    for kept, regrown in zip(result.kept, result.regrown, strict=True):
        assert not (kept & regrown).any()


def test_a_step_repeats_whatever_the_threads_and_differs_between_steps():
    groups, sizes, cost = make_network()
    options = {"regrow_fraction": 0.2, "seed": 4}
    limit = 0.4 * cost(sizes)
    first, again, later = (
        explore(groups, cost, limit, step=step, workers=workers, **options)
        for step, workers in ((10, 1), (10, 3), (11, 2))
    )
    for one, other in zip(first.active, again.active, strict=True):
        np.testing.assert_array_equal(one, other)
    differs = [
        (one != other).any()
        for one, other in zip(first.active, later.active, strict=True)
    ]
    assert any(differs)


def test_the_draw_of_a_group_does_not_depend_on_the_others():
    group, other = make_group(24), make_group(16, seed=9)
    cost = channel_count_cost([24, 16])
    options = {"regrow_fraction": 0.2, "allocation": "uniform"}
    both = explore([group, other], cost, 20, **options)
    alone = single(group, int(both.widths[0]), **options)
    np.testing.assert_array_equal(both.active[0], alone.active[0])


def test_a_group_without_scales_is_allocated_like_a_uniform_one():
    groups, sizes, cost = make_network()
    bare = [GroupArrays(g.name, g.columns, None, g.active) for g in groups]
    limit = 0.4 * cost(sizes)
    found = explore(bare, cost, limit, regrow_fraction=0.0)
    expected = explore(
        groups, cost, limit, regrow_fraction=0.0, allocation="uniform"
    )
    np.testing.assert_array_equal(found.widths, expected.widths)


def test_arguments_are_left_as_they_were():
    groups, sizes, cost = make_network(0.7)
    before = [
        (g.columns.copy(), g.scale.copy(), g.active.copy()) for g in groups
    ]
    explore(groups, cost, 0.4 * cost(sizes), regrow_fraction=0.2)
    for group, arrays in zip(groups, before, strict=True):
        np.testing.assert_array_equal(group.columns, arrays[0])
        np.testing.assert_array_equal(group.scale, arrays[1])
        np.testing.assert_array_equal(group.active, arrays[2])


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"sampling": "softmax"},
            r"^Argument `sampling` must be one of \['importance', 'uniform', "
            r"'none', 'gradual'\]. Received: sampling='softmax'$",
        ),
        (
            {"form": "cubic"},
            r"^Argument `form` must be one of \['softmax', 'scale_free', "
            r"'unsquared', 'uniform'\]. Received: form='cubic'$",
        ),
        (
            {"criterion": "l3"},
            "Received: criterion='l3'$",
        ),
        (
            {"regrow_fraction": 1.5},
            "^Argument `regrow_fraction` must be between 0 and 1. "
            "Received: regrow_fraction=1.5$",
        ),
        (
            {"round_to": 0},
            "Received: round_to=0$",
        ),
        (
            {"workers": 0},
            "Received: workers=0$",
        ),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        single(make_group(8), 4, **options)


def test_scale_criterion_without_scales_names_the_groups():
    group = make_group(8, scale=None, name="stem")
    message = (
        "^Argument `criterion='bn_scale'` needs a BatchNorm scale for every "
        "channel group. Use `criterion='css'` or `criterion='l2'`, or exclude "
        "the layers without BatchNormalization. "
        r"Received: no scale for \['stem'\]$"
    )
    with pytest.raises(ValueError, match=message):
        single(group, 4, criterion="bn_scale")


def test_weights_that_diverged_name_the_group():
    group = make_group(8, name="stem")
    group.columns[0, 0] = np.nan
    message = (
        "^Argument `columns` of group 'stem' must be finite. Received NaN or "
        "infinity: the training probably diverged; lower the learning rate$"
    )
    with pytest.raises(ValueError, match=message):
        single(group, 4)


def test_an_unreachable_limit_is_an_error():
    message = "^Argument `limit` is below the reachable minimum of 3 "
    with pytest.raises(ValueError, match=message):
        single(make_group(8, min_width=3), 2)


def test_no_groups_are_an_error():
    message = (
        "^Argument `groups` must hold at least one channel group. "
        "Received: an empty list$"
    )
    with pytest.raises(ValueError, match=message):
        explore([], channel_count_cost([1]), 1, regrow_fraction=0.0)


@pytest.mark.parametrize(
    "columns, scale, message",
    [
        (
            np.ones((3, 4)),
            None,
            "^Argument `columns` must have one entry per unit of group 'conv' "
            r"on its last axis. Received: shape \(3, 4\) for 5 units$",
        ),
        (
            np.ones((3, 5)),
            np.ones(4),
            r"^Argument `scale` .* Received: shape \(4,\) for 5 units$",
        ),
    ],
)
def test_group_arrays_must_fit_together(columns, scale, message):
    with pytest.raises(ValueError, match=message):
        GroupArrays("conv", columns, scale, np.ones(5, dtype=bool))


def test_a_group_without_information_gets_a_uniform_width():
    groups = [
        make_group(8, name="known"),
        make_group(8, name="other", seed=1),
        make_group(8, name="unknown", fisher=None),
    ]
    groups[0].fisher[:] = 9.0
    groups[1].fisher[:] = 0.1
    result = explore(
        groups,
        channel_count_cost([8, 8, 8]),
        12,
        regrow_fraction=0.0,
        allocation="fisher",
        criterion="fisher",
    )
    known, other, unknown = result.widths
    assert known > unknown > other
    best = np.argsort(-np.linalg.norm(groups[2].columns, axis=0))[:unknown]
    assert set(np.flatnonzero(result.active[2])) == set(best)


def test_fisher_allocation_needs_what_it_shares_by():
    group = GroupArrays("conv", np.eye(4), None, np.ones(4, bool))
    with pytest.raises(ValueError, match="needs `GroupArrays.fisher`"):
        explore(
            [group],
            channel_count_cost([4]),
            2,
            regrow_fraction=0.0,
            allocation="fisher",
        )
