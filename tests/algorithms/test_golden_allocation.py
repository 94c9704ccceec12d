"""Channel counts and schedules of the authors' code, and where ours differ."""

import numpy as np
import pytest

from keras_chex.algorithms.allocation import allocate
from keras_chex.algorithms.cost import channel_count_cost
from keras_chex.algorithms.ranking import rank_units, unit_priorities
from keras_chex.algorithms.schedules import regrow_count, regrow_fraction
from tests.algorithms.golden_arrays import load

SMALL = load("bn_alloc_small")
RESNET50 = load("bn_alloc_resnet50")
SCHEDULE = load("schedule")
SPARSITIES = (0.3, 0.5, 0.7)


def small_case(case):
    scores = [np.abs(SMALL[f"{case}/gamma{i}"]) for i in range(3)]
    return scores, np.array([score.size for score in scores])


def count_above_threshold(total, sparsity):
    """The authors' threshold is an element and must be exceeded: one less."""
    return total - int(total * sparsity) - 1


def raw_counts(scores, sizes, keep):
    ranked = rank_units(
        unit_priorities(scores, sizes, allocation="bn_scale_raw")
    )
    return np.bincount(ranked[:keep], minlength=len(sizes))


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("case", ["rand", "collapse"])
def test_exact_ranks_count_what_exceeds_the_authors_threshold(case, sparsity):
    scores, sizes = small_case(case)
    keep = count_above_threshold(sizes.sum(), sparsity)
    counts = raw_counts(scores, sizes, keep)
    expected = SMALL[f"{case}/S{sparsity}/num_keep_count"]
    np.testing.assert_array_equal(counts, expected)


@pytest.mark.parametrize("sparsity", [0.5, 0.7])
def test_dormant_channels_count_as_zero_scales(sparsity):
    scores, sizes = small_case("masked")
    keep = count_above_threshold(sizes.sum(), sparsity)
    expected = SMALL[f"masked/S{sparsity}/num_keep_count"]
    np.testing.assert_array_equal(raw_counts(scores, sizes, keep), expected)


def test_ours_brings_back_dormant_channels_where_active_ones_do_not_suffice():
    # 48 of 72 are active and 51 are asked for. The authors' threshold is 0
    # then and keeps 48; exact ranks keep 51, which `round` and budgets need.
    scores, sizes = small_case("masked")
    expected = SMALL["masked/S0.3/num_keep_count"]
    assert SMALL["masked/S0.3/threshold"] == 0
    np.testing.assert_array_equal(raw_counts(scores, sizes, 48), expected)
    cost = channel_count_cost(sizes)
    widths = allocate(scores, sizes, cost, 51, allocation="bn_scale_raw")
    assert widths.sum() == 51
    assert (widths >= expected).all()


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_ours_keeps_the_asked_number_among_ties(sparsity):
    # The authors drop all ties: 16 channels remain whatever was asked for.
    scores, sizes = small_case("ties")
    assert SMALL[f"ties/S{sparsity}/num_keep_count"].sum() == 16
    keep = round((1 - sparsity) * sizes.sum())
    cost = channel_count_cost(sizes)
    for allocation in ("bn_scale", "bn_scale_raw"):
        widths = allocate(scores, sizes, cost, keep, allocation=allocation)
        assert widths.sum() == keep


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_ours_never_empties_a_layer(sparsity):
    scores, sizes = small_case("collapse")
    assert SMALL[f"collapse/S{sparsity}/num_keep_count"][0] == 0
    keep = round((1 - sparsity) * sizes.sum())
    cost = channel_count_cost(sizes)
    raw = allocate(scores, sizes, cost, keep, allocation="bn_scale_raw")
    assert raw[0] == 1
    assert raw.sum() == keep
    robust = allocate(scores, sizes, cost, keep)
    assert (robust >= np.floor(0.5 * (1 - sparsity) * sizes)).all()


@pytest.mark.parametrize("sparsity", [0.4, 0.5, 0.7])
def test_resnet50_counts_are_the_authors(sparsity):
    sizes = RESNET50["channels"]
    scores = np.split(np.abs(RESNET50["gamma_concat"]), np.cumsum(sizes)[:-1])
    keep = count_above_threshold(sizes.sum(), sparsity)
    counts = raw_counts(scores, sizes, keep)
    kept_share = 1 - RESNET50[f"S{sparsity}/ratio"]
    np.testing.assert_array_equal(counts, np.round(kept_share * sizes))
    # int(C * (1 - ratio)) loses a channel here and there to rounding.
    np.testing.assert_array_equal(
        (sizes * kept_share).astype(int), RESNET50[f"S{sparsity}/num_keep_int"]
    )
    lost = counts - RESNET50[f"S{sparsity}/num_keep_int"]
    assert set(lost) <= {0, 1}


@pytest.mark.parametrize("sparsity", [0.4, 0.5, 0.7])
def test_resnet50_sparsity_budget_is_met_exactly(sparsity):
    sizes = RESNET50["channels"]
    scores = np.split(np.abs(RESNET50["gamma_concat"]), np.cumsum(sizes)[:-1])
    keep = round((1 - sparsity) * sizes.sum())
    widths = allocate(
        scores,
        sizes,
        channel_count_cost(sizes),
        keep,
        allocation="bn_scale_raw",
    )
    counts = raw_counts(scores, sizes, keep)
    # At S = 0.7 equation 4 empties a layer; a minimum width of 1 is ours.
    emptied = np.sum(counts == 0)
    assert emptied == (1 if sparsity == 0.7 else 0)
    assert widths.sum() == keep
    assert widths.min() >= 1
    assert np.abs(widths - counts).sum() == 2 * emptied


@pytest.mark.parametrize("tag", ["cls_1G", "cls_2G", "ssd", "odd_tmax"])
def test_cosine_schedule_is_the_authors_at_every_step(tag):
    initial, end, interval, _ = SCHEDULE[f"{tag}/params_d0_Tmax_dT_S"]
    epochs = SCHEDULE[f"{tag}/epochs"]
    found = [
        regrow_fraction(step * interval / end, initial)
        for step in range(1, epochs.size + 1)
    ]
    np.testing.assert_allclose(found, SCHEDULE[f"{tag}/delta"], atol=1e-15)
    np.testing.assert_array_equal(
        np.arange(1, epochs.size + 1) * interval, epochs
    )


def test_counts_are_rounded_up_without_rounding_error():
    sizes = SCHEDULE["int_trunc/C"]
    kept_share = 1 - SCHEDULE["int_trunc/ratio"]
    found = [
        regrow_count(*pair) for pair in zip(kept_share, sizes, strict=True)
    ]
    np.testing.assert_array_equal(found, SCHEDULE["int_trunc/paper_ceil"])
    truncated = SCHEDULE["int_trunc/num_keep_int"]
    np.testing.assert_array_equal(truncated, SCHEDULE["int_trunc/css_k_int"])
    assert (np.asarray(found) >= truncated).all()
    assert truncated[0] == 0 and found[0] == 1
