import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_chex.algorithms.regrow import (
    FORMS,
    regrow_probabilities,
    residuals,
    sample_channels,
)
from tests.algorithms.golden_arrays import mask_of


def reference_residuals(columns, kept):
    """The definition, by a pseudo-inverse in float64."""
    columns = np.asarray(columns, dtype=np.float64)
    basis = columns[:, kept]
    projected = basis @ np.linalg.pinv(basis, rcond=1e-5) @ columns
    distance = np.square(columns - projected).sum(axis=0)
    distance[kept] = 0.0
    return distance


@pytest.mark.parametrize(
    "columns, kept, expected",
    [
        ([[2.0, 1.0, 5.0], [0.0, 3.0, 0.0]], [0], [0, 9, 0]),
        ([[2.0, 1.0, 5.0], [0.0, 3.0, 0.0]], [0, 1], [0, 0, 0]),
        ([[2.0, 1.0, 5.0], [0.0, 3.0, 0.0]], [], [4, 10, 25]),
        ([[2.0, 1.0, 5.0], [0.0, 3.0, 0.0]], [0, 1, 2], [0, 0, 0]),
        # a kept column of zeros spans nothing
        ([[0.0, 1.0], [0.0, 2.0]], [0], [0, 5]),
        # more kept columns than rows
        ([[1.0, 2.0, 3.0, 4.0]], [0, 1], [0, 0, 0, 0]),
        # a dormant column of zeros is in every span
        ([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]], [0], [0, 0, 4]),
    ],
)
def test_residuals_match_the_pencil(columns, kept, expected):
    columns = np.array(columns)
    found = residuals(columns, mask_of(kept, columns.shape[1]))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("rows, channels, count", [(60, 40, 25), (60, 40, 3)])
def test_residuals_are_those_of_the_pseudo_inverse(rows, channels, count):
    rng = np.random.default_rng(1)
    columns = rng.standard_normal((rows, channels)).astype("float32")
    kept = mask_of(rng.permutation(channels)[:count], channels)
    expected = reference_residuals(columns, kept)
    np.testing.assert_allclose(residuals(columns, kept), expected, atol=1e-9)
    gram = columns.astype("float64").T @ columns.astype("float64")
    found = residuals(columns, kept, gram=gram)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("copies", [1, 40])
def test_rank_deficient_kept_columns_are_seen_as_such(copies):
    # 8 kept directions, one of them kept `copies + 1` times
    rng = np.random.default_rng(2)
    base = rng.standard_normal((30, 8))
    noise = 1e-8 * rng.standard_normal((30, copies))
    outside = rng.standard_normal((30, 5))
    inside = base @ rng.standard_normal((8, 4))
    columns = np.hstack([base, base[:, :1] + noise, outside, inside])
    kept = np.arange(columns.shape[1]) < 8 + copies
    found = residuals(columns.astype("float32"), kept)
    expected = reference_residuals(
        np.hstack([base, outside]), np.arange(13) < 8
    )
    np.testing.assert_allclose(found[8 + copies : -4], expected[8:], atol=1e-5)
    assert (found[-4:] == 0).all()


def test_kept_columns_that_span_everything_leave_exactly_nothing():
    rng = np.random.default_rng(3)
    columns = rng.standard_normal((16, 64)).astype("float32")
    for count in (16, 19, 50):
        assert (residuals(columns, np.arange(64) < count) == 0).all()


def test_the_scale_of_a_kept_column_does_not_matter():
    rng = np.random.default_rng(4)
    columns = rng.standard_normal((20, 10))
    kept = np.arange(10) < 4
    scaled = columns * np.where(kept, [1e-6, 1, 1e3, 1, 1, 1, 1, 1, 1, 1], 1)
    np.testing.assert_allclose(
        residuals(scaled, kept), residuals(columns, kept), atol=1e-9
    )


@pytest.mark.parametrize(
    "form, expected",
    [
        ("softmax", [0, 1 / 6, 2 / 6, 3 / 6]),
        ("uniform", [0, 1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_probabilities_match_the_pencil(form, expected):
    energy = np.array([9.0, 0.0, np.log(2), np.log(3)])
    candidates = np.array([False, True, True, True])
    found = regrow_probabilities(energy, candidates, form)
    np.testing.assert_allclose(found, expected)


def test_unsquared_and_scale_free_forms_match_the_pencil():
    candidates = np.ones(2, dtype=bool)
    found = regrow_probabilities([0.0, np.log(3) ** 2], candidates, "unsquared")
    np.testing.assert_allclose(found, [0.25, 0.75])
    # eps / mean = 0 and 2
    found = regrow_probabilities([0.0, 7.0], candidates, "scale_free")
    np.testing.assert_allclose(found[1] / found[0], np.exp(2))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40, deadline=None)
@given(
    energy=st.lists(
        st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=9
    ),
    data=st.data(),
)
def test_probabilities_are_a_distribution_over_candidates(form, energy, data):
    candidates = np.array(
        data.draw(
            st.lists(st.booleans(), min_size=len(energy), max_size=len(energy))
        )
    )
    found = regrow_probabilities(np.array(energy), candidates, form)
    assert (found[~candidates] == 0).all()
    if candidates.any():
        assert (found[candidates] > 0).all()
        assert found.sum() == pytest.approx(1.0)
        order = np.argsort(np.array(energy)[candidates], kind="stable")
        assert (np.diff(found[candidates][order]) >= -1e-12).all()


@pytest.mark.parametrize("form", FORMS)
def test_residuals_of_zero_give_uniform_probabilities(form):
    candidates = np.array([True, False, True])
    found = regrow_probabilities(np.zeros(3), candidates, form)
    np.testing.assert_array_equal(found, [0.5, 0, 0.5])


@pytest.mark.parametrize("factor", [1e-12, 1e-3, 1e9])
def test_scale_free_form_ignores_the_scale(factor):
    energy = np.array([1.0, 2.0, 4.0])
    candidates = np.ones(3, dtype=bool)
    np.testing.assert_allclose(
        regrow_probabilities(factor * energy, candidates, "scale_free"),
        regrow_probabilities(energy, candidates, "scale_free"),
    )


def test_a_candidate_is_never_impossible():
    energy = np.array([0.0, 5000.0])
    found = regrow_probabilities(energy, np.ones(2, dtype=bool), "softmax")
    drawn = sample_channels(found, 2, np.random.default_rng(0))
    assert drawn.all()


def test_sampling_follows_the_probabilities_without_replacement():
    # First draw 0.5/0.3/0.2; channel 2 among the first two with probability
    # 0.2 + 0.5 * 0.2 / 0.5 + 0.3 * 0.2 / 0.7
    probabilities = np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(0)
    draws = 20_000
    one = sum(sample_channels(probabilities, 1, rng) for _ in range(draws))
    two = sum(sample_channels(probabilities, 2, rng) for _ in range(draws))
    np.testing.assert_allclose(one / draws, probabilities, atol=0.015)
    expected = 0.2 + 0.5 * 0.2 / 0.5 + 0.3 * 0.2 / 0.7
    assert two[2] / draws == pytest.approx(expected, abs=0.015)


@settings(max_examples=40, deadline=None)
@given(
    weights=st.lists(st.floats(0, 1), max_size=9),
    seed=st.integers(0, 2**32),
    data=st.data(),
)
def test_sampling_draws_exactly_the_count(weights, seed, data):
    weights = np.array(weights)
    count = data.draw(st.integers(0, int(np.sum(weights > 0))))
    mask = sample_channels(weights, count, np.random.default_rng(seed))
    again = sample_channels(weights, count, np.random.default_rng(seed))
    assert mask.sum() == count
    assert (weights[mask] > 0).all()
    np.testing.assert_array_equal(mask, again)


def test_sampling_draws_the_same_channels_on_every_machine():
    rng = np.random.default_rng([7, 120, 3])
    mask = sample_channels(np.full(12, 1 / 12), 4, rng)
    np.testing.assert_array_equal(np.flatnonzero(mask), [5, 6, 7, 10])


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: residuals(np.ones((2, 3)), np.array([0, 1])),
            "^Argument `kept` must be a bool array with one entry per channel. "
            r"Received: shape \(2,\), dtype int64 for 3 channels$",
        ),
        (
            lambda: regrow_probabilities([1.0], np.array([True]), "cubic"),
            r"^Argument `form` must be one of \['softmax', 'scale_free', "
            r"'unsquared', 'uniform'\]. Received: form='cubic'$",
        ),
        (
            lambda: regrow_probabilities([-1.0], np.array([True])),
            "^Argument `residuals` must not be negative or NaN. Pass squared "
            "distances. Received a minimum of -1.0$",
        ),
        (
            lambda: sample_channels([0.0, 1.0], 2, np.random.default_rng(0)),
            "^Argument `count` must be between 0 and the number of channels "
            "with a positive probability. Received: count=2 for 1 channels$",
        ),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
