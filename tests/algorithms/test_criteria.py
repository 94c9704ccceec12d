import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_chex.algorithms.criteria import (
    CRITERIA,
    column_subset,
    l1_norm,
    l2_norm,
    leverage_scores,
    score_channels,
    top_k_mask,
)
from keras_chex.algorithms.spectrum import RANK_TOLERANCE


def reference_scores(columns, rank):
    """The definition, by a singular value decomposition."""
    _, values, right = np.linalg.svd(
        np.asarray(columns, dtype=np.float64), full_matrices=False
    )
    rank = min(rank, int(np.sum(values > RANK_TOLERANCE * values[0])))
    return np.square(right[:rank]).sum(axis=0)


def random_columns(rows, channels, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((rows, channels))
    return (columns * rng.uniform(0.2, 2.0, channels)).astype(dtype)


@pytest.mark.parametrize(
    "columns, rank, expected",
    [
        # longest axis first
        ([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]], 1, [1, 0, 0]),
        ([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]], 2, [1, 1, 0]),
        ([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]], 3, [1, 1, 1]),
        # two copies share one direction
        ([[3.0, 0.0, 0.0], [0.0, 2.0, 2.0]], 2, [1, 0.5, 0.5]),
        # one row: the share of the squared length, whatever the rank
        ([[3.0, 4.0]], 1, [0.36, 0.64]),
        ([[3.0, 4.0]], 2, [0.36, 0.64]),
        # a dormant column
        ([[0.0, 1.0], [0.0, 1.0]], 2, [0, 1]),
        ([[0.0, 0.0]], 1, [0, 0]),
        ([[2.0, 1.0]], 0, [0, 0]),
    ],
)
def test_leverage_scores_match_the_pencil(columns, rank, expected):
    found = leverage_scores(np.array(columns), rank)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "rows, channels",
    [(1, 1), (2, 1), (1, 5), (60, 20), (20, 60), (40, 40), (9, 64)],
)
def test_leverage_scores_are_those_of_the_svd(rows, channels, dtype):
    columns = random_columns(rows, channels, dtype=dtype)
    for rank in {1, channels // 4 + 1, channels // 2 + 1, channels}:
        found = leverage_scores(columns, rank)
        expected = reference_scores(columns, rank)
        np.testing.assert_allclose(found, expected, atol=2e-9)
        effective = min(rank, rows, channels)
        assert found.sum() == pytest.approx(effective, abs=1e-7)


@pytest.mark.parametrize("rows, channels, k", [(300, 128, 90), (100, 160, 70)])
def test_column_subset_is_that_of_the_svd(rows, channels, k):
    for seed in range(5):
        columns = random_columns(rows, channels, seed)
        expected = top_k_mask(reference_scores(columns, k), k)
        np.testing.assert_array_equal(column_subset(columns, k), expected)


def test_a_given_gram_matrix_changes_nothing():
    columns = random_columns(50, 20).astype("float64")
    columns[:, [3, 8]] = 0.0
    found = leverage_scores(columns, 9, gram=columns.T @ columns)
    np.testing.assert_array_equal(found, leverage_scores(columns, 9))


def test_numerical_rank_cuts_the_rank():
    rng = np.random.default_rng(0)
    exact = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 16))
    noise = 1e-7 * rng.standard_normal((40, 16))
    scores = leverage_scores((exact + noise).astype("float32"), rank=8)
    np.testing.assert_allclose(scores, reference_scores(exact, 3), atol=1e-5)


def test_dormant_columns_score_exactly_nothing():
    columns = random_columns(30, 12)
    columns[:, ::3] = 0.0
    for rank in (2, 8, 12):
        scores = leverage_scores(columns, rank)
        assert (scores[::3] == 0).all()
        assert (np.delete(scores, np.s_[::3]) > 0).all()


def test_tiny_columns_do_not_break_the_scores():
    assert (leverage_scores(np.full((3, 4), 1e-200), rank=2) == 0).all()
    assert (leverage_scores(np.full((3, 2), 1e-200), rank=2) == 0).all()
    assert column_subset(np.full((3, 4), 1e-200), k=2).sum() == 2


@pytest.mark.parametrize("rows, channels", [(24, 8), (3, 8)])
def test_equal_columns_are_decided_by_index(rows, channels):
    columns = np.tile(random_columns(rows, 1), channels)
    expected = np.arange(channels) < 3
    np.testing.assert_array_equal(column_subset(columns, 3), expected)


def test_live_columns_outside_of_the_leading_space_beat_dormant_ones():
    columns = np.zeros((4, 5))
    columns[0, 3] = 2.0
    columns[0, 1] = 2.0  # a copy: rank 1, but two columns are asked for
    expected = [False, True, False, True, False]
    np.testing.assert_array_equal(column_subset(columns, 2), expected)


def test_the_longer_of_two_equal_scores_wins():
    mask = top_k_mask([1.0, 1.0, 0.5], 1, tie_break=[2.0, 3.0, 9.0])
    np.testing.assert_array_equal(mask, [False, True, False])


@settings(max_examples=60, deadline=None)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), max_size=12),
    data=st.data(),
)
def test_top_k_mask_keeps_exactly_k_of_the_largest(scores, data):
    k = data.draw(st.integers(0, len(scores)))
    mask = top_k_mask(scores, k)
    scores = np.array(scores)
    assert mask.sum() == k
    if 0 < k < len(scores):
        assert scores[mask].min() >= scores[~mask].max()
        tied = np.flatnonzero(scores == scores[mask].min())
        assert (np.diff(mask[tied].astype(int)) <= 0).all()


@pytest.mark.parametrize(
    "criterion, expected",
    [
        ("css", [0.96, 0.04, 0.0]),
        ("css_consumers", [0.96, 0.04, 0.0]),
        ("l1", [7.0, 2.0, 0.0]),
        ("l2", [5.0, np.sqrt(2), 0.0]),
        ("bn_scale", [1.5, 2.0, 0.0]),
        ("fisher", [1.5, 2.0, 0.0]),
    ],
)
def test_criteria_match_the_pencil(criterion, expected):
    columns = np.array([[3.0, 1.0, 0.0], [-4.0, -1.0, 0.0]])
    scale = np.array([-1.5, 2.0, 7.0])
    found = score_channels(criterion, columns, scale, 1, rng=None)
    np.testing.assert_allclose(found, expected, atol=0.04)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_dormant_channels_score_nothing_under_every_criterion(criterion):
    columns = random_columns(6, 5)
    columns[:, 2] = 0.0
    rng = np.random.default_rng(0)
    scores = score_channels(criterion, columns, np.ones(5), 3, rng)
    assert scores[2] == 0
    assert (np.delete(scores, 2) > 0).all()


def test_random_criterion_depends_on_the_generator_only():
    columns = random_columns(6, 40)
    first, again, other = (
        score_channels("random", columns, None, 3, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_norms_match_the_pencil():
    columns = np.array([[3.0, 0.0], [-4.0, 1.0]])
    np.testing.assert_array_equal(l1_norm(columns), [7.0, 1.0])
    np.testing.assert_array_equal(l2_norm(columns), [5.0, 1.0])


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: top_k_mask(np.ones(4), k=5),
            "^Argument `k` must be between 0 and the number of scores. "
            "Received: k=5 for 4 scores$",
        ),
        (
            lambda: top_k_mask(np.array([1.0, np.nan]), k=1),
            "^Argument `scores` must not contain NaN. Received NaN at channels "
            r"\[1\]. The training probably diverged; lower the learning rate$",
        ),
        (
            lambda: column_subset(np.ones((2, 3)), k=-1),
            "Received: k=-1 for 3 scores$",
        ),
        (
            lambda: leverage_scores(np.ones((2, 3)), rank=-1),
            "^Argument `rank` must not be negative. Received: rank=-1$",
        ),
        (
            lambda: leverage_scores(np.ones(3), rank=1),
            r"^Argument `columns` must have shape `\(rows, channels\)`. Reshape"
            " the kernel so that its output channels are the last axis. "
            r"Received: shape \(3,\)$",
        ),
        (
            lambda: l1_norm(np.array([[np.inf]])),
            "^Argument `columns` must be finite. Received NaN or infinity: the "
            "training probably diverged; lower the learning rate$",
        ),
        (
            lambda: score_channels("l3", np.ones((2, 2)), None, 1, None),
            r"^Argument `criterion` must be one of \['css', 'css_consumers', "
            r"'l1', 'l2', 'bn_scale', 'fisher', 'random'\]. Received: "
            r"criterion='l3'$",
        ),
        (
            lambda: score_channels("bn_scale", np.ones((2, 2)), None, 1, None),
            "^Argument `criterion='bn_scale'` needs a BatchNorm scale. Use "
            "`criterion='css'` or `criterion='l2'`. Received: given=None$",
        ),
        (
            lambda: score_channels("fisher", np.ones((2, 2)), None, 1, None),
            "^Argument `criterion='fisher'` needs the Fisher information. Use "
            "`criterion='css'` or `criterion='l2'`. Received: given=None$",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
