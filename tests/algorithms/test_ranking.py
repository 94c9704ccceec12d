import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_chex.algorithms.ranking import (
    ALLOCATIONS,
    rank_units,
    unit_priorities,
)

SCORE_VALUES = st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0])
GROUP_SCORES = st.one_of(
    st.none(), st.lists(SCORE_VALUES, min_size=1, max_size=8)
)


def priorities_of(scores, **options):
    sizes = [len(score) for score in scores]
    return unit_priorities([np.array(s) for s in scores], sizes, **options)


def test_raw_scores_are_ranked_over_all_groups():
    found = priorities_of([[3, 9], [5, 8]], allocation="bn_scale_raw")
    np.testing.assert_array_equal(found, [[0.875, 0.125], [0.625, 0.375]])


def test_raw_ties_go_to_the_lower_group():
    ranked = rank_units(
        priorities_of([[1, 1], [1, 1, 1]], allocation="bn_scale_raw")
    )
    np.testing.assert_array_equal(ranked, [0, 0, 1, 1, 1])


def test_scores_of_two_kinds_are_not_compared():
    """Scales that are near-ties against norms that differ."""
    gammas, norms = [[1.0, 1.01], [1.02, 0.99]], [[0.2, 1.5], [2.0, 0.1]]
    kinds = ["gamma", "gamma", "norm", "norm"]
    found = priorities_of([*gammas, *norms], kinds=kinds)
    alone = [priorities_of(gammas), priorities_of(norms)]
    for one, other in zip(found, [*alone[0], *alone[1]], strict=True):
        np.testing.assert_array_equal(one, other)
    mixed = priorities_of([*gammas, *norms])
    assert np.min(mixed[:2]) > np.min(mixed[2:])
    raw = priorities_of(
        [*gammas, *norms], kinds=kinds, allocation="bn_scale_raw"
    )
    np.testing.assert_array_equal(
        raw, priorities_of([*gammas, *norms], allocation="bn_scale_raw")
    )


def test_bn_scale_ignores_the_scale_of_a_group():
    first = priorities_of([[1.0, 2.0, 0.0], [3.0, 1.0]])
    second = priorities_of([[10.0, 20.0, 0.0], [0.3, 0.1]])
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bn_scale_normalises_over_active_units_only():
    # active units of both groups are equal, so both share the upper range
    found = priorities_of([[2.0, 2.0, 0.0, 0.0], [7.0, 7.0]])
    np.testing.assert_allclose(found[1], [1 - 1 / 6, 1 - 3 / 6])
    np.testing.assert_allclose(found[0], [1 - 1 / 6, 1 - 3 / 6, 1 / 4, 1 / 12])


@pytest.mark.parametrize("allocation", ["bn_scale", "uniform"])
def test_equal_scores_give_position_quantiles(allocation):
    sizes = [1, 3, 8]
    for scores in ([np.full(n, 0.5) for n in sizes], [None] * 3):
        found = unit_priorities(scores, sizes, allocation=allocation)
        for priority, size in zip(found, sizes, strict=True):
            expected = 1 - (np.arange(size) + 0.5) / size
            np.testing.assert_allclose(priority, expected, atol=1e-12)


def test_rounding_of_float32_is_a_tie():
    noisy = np.float32(1.0) + np.arange(8, dtype="float32") * 6e-8
    found = unit_priorities([noisy, np.ones(8)], [8, 8])
    np.testing.assert_allclose(found[0], found[1])


def test_blend_mixes_position_and_score():
    scores = [[3, 9], [5, 8]]
    uniform, raw, half = (
        np.array(priorities_of(scores, allocation="bn_scale_raw", blend=blend))
        for blend in (0.0, 1.0, 0.5)
    )
    np.testing.assert_allclose(half, (uniform + raw) / 2)
    np.testing.assert_array_equal(uniform, [[0.75, 0.25], [0.75, 0.25]])


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@settings(max_examples=60, deadline=None)
@given(scores=st.lists(GROUP_SCORES, min_size=1, max_size=4), data=st.data())
def test_priorities_fall_inside_each_group(allocation, scores, data):
    blend = data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    sizes = [4 if score is None else len(score) for score in scores]
    arrays = [None if score is None else np.array(score) for score in scores]
    found = unit_priorities(arrays, sizes, allocation=allocation, blend=blend)
    for priority, size in zip(found, sizes, strict=True):
        assert priority.shape == (size,)
        assert (np.diff(priority) < 0).all()
        assert 0 < priority[-1] and priority[0] < 1
    ranked = rank_units(found)
    np.testing.assert_array_equal(
        np.bincount(ranked, minlength=len(sizes)), sizes
    )


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: unit_priorities([None], [2], allocation="taylor"),
            r"^Argument `allocation` must be one of \['bn_scale', "
            r"'bn_scale_raw', 'uniform', 'fisher', 'cost'\]. "
            "Received: allocation='taylor'$",
        ),
        (
            lambda: unit_priorities([None], [2], blend=1.5),
            "^Argument `blend` must be between 0 and 1. Received: blend=1.5$",
        ),
        (
            lambda: unit_priorities([None], [2, 3]),
            "^Argument `scores` must have one entry per group. "
            "Received: 1 entries for 2 groups$",
        ),
        (
            lambda: unit_priorities([None, np.ones(2)], [2, 3]),
            "^Argument `scores` must hold one value of at least 0 for every "
            r"unit. Received: shape \(2,\), minimum 1.0 for group 1 of size 3$",
        ),
        (
            lambda: unit_priorities([np.array([-1.0, 1.0])], [2]),
            r"Received: shape \(2,\), minimum -1.0 for group 0 of size 2$",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
