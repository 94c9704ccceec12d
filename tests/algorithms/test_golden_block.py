"""Three exploration steps of the authors' code on one bottleneck."""

import numpy as np
import pytest

from keras_chex.algorithms.criteria import (
    column_subset,
    l1_norm,
    leverage_scores,
    top_k_mask,
)
from keras_chex.algorithms.memory import remember
from keras_chex.algorithms.ranking import rank_units, unit_priorities
from keras_chex.algorithms.regrow import regrow_probabilities, residuals
from keras_chex.algorithms.schedules import regrow_fraction
from tests.algorithms.golden_arrays import as_columns_oihw, load, mask_of

ARRAYS = load("block_steps")
STEPS = (0, 1, 2)
BN_OF = {"conv1": "bn1", "conv2": "bn2", "down": "down_bn"}
SPARSITY, INITIAL, END, INTERVAL = ARRAYS["params_S_d0_Tmax_dT"]

# Weights of the block: which layer's channels are on their first and second
# axis (None: channels that are never pruned).
ENDS = {
    "conv1.weight": ("conv1", None),
    "conv2.weight": ("conv2", "conv1"),
    "conv3.weight": (None, "conv2"),
    "down.weight": ("down", None),
    **{
        f"{bn}.{name}": (layer, None)
        for layer, bn in BN_OF.items()
        for name in ("weight", "bias", "running_mean", "running_var")
    },
}

layers = pytest.mark.parametrize("layer", BN_OF)
steps = pytest.mark.parametrize("step", STEPS)


def of_step(step, layer, name):
    return ARRAYS[f"step{step}/{layer}/{name}"]


def channel_mask(step, layer):
    """Active channels after exploration step `step`; -1 is the start."""
    prefix = "init_mask" if step < 0 else f"step{step}"
    suffix = "" if step < 0 else "/mask"
    return ARRAYS[f"{prefix}/{layer}{suffix}"].astype(bool)


def element_mask(step, weight):
    """Elements whose two ends are active, broadcast to the weight."""
    shape = ARRAYS[f"init/{weight}"].shape
    mask = np.ones(shape, dtype=bool)
    for axis, layer in enumerate(ENDS[weight]):
        if layer is not None:
            others = [1] * len(shape)
            others[axis] = -1
            mask &= channel_mask(step, layer).reshape(others)
    return mask


@layers
def test_start_keeps_the_largest_l1_norms(layer):
    columns = as_columns_oihw(ARRAYS[f"init/{layer}.weight"])
    expected = channel_mask(-1, layer)
    size = expected.size
    share = 1 - (SPARSITY - INITIAL)
    assert expected.sum() == int(share * size)  # the authors truncate
    found = top_k_mask(l1_norm(columns), int(expected.sum()))
    np.testing.assert_array_equal(found, expected)


@steps
def test_regrow_factor_follows_the_cosine(step):
    progress = (step + 1) * INTERVAL / END
    found = regrow_fraction(progress, INITIAL)
    assert found == pytest.approx(ARRAYS[f"step{step}/delta"], abs=1e-15)
    assert ARRAYS[f"step{step}/epoch"] == (step + 1) * INTERVAL


@steps
@pytest.mark.parametrize("rule", ["ratio_down", "ratio_up_cls"])
def test_widths_follow_the_global_rank_of_live_scales(step, rule):
    scales = [
        np.abs(ARRAYS[f"step{step}/before/{bn}.weight"])
        for bn in BN_OF.values()
    ]
    sizes = np.array([scale.size for scale in scales])
    sparsity = SPARSITY
    if rule == "ratio_up_cls":
        sparsity -= ARRAYS[f"step{step}/delta"]
    keep = sizes.sum() - int(sizes.sum() * sparsity) - 1
    ranked = rank_units(
        unit_priorities(scales, sizes, allocation="bn_scale_raw")
    )
    # The authors never bring back a channel by rank: zero scales are left out.
    keep = min(keep, sum(np.count_nonzero(scale) for scale in scales))
    found = np.bincount(ranked[:keep], minlength=3)
    kept_share = 1 - ARRAYS[f"step{step}/{rule}"]
    np.testing.assert_array_equal(found, np.round(kept_share * sizes))


@steps
@layers
def test_pruning_keeps_what_the_authors_keep(step, layer):
    live = as_columns_oihw(ARRAYS[f"step{step}/before/{layer}.weight"])
    k = int(of_step(step, layer, "num_keep"))
    scores = leverage_scores(live, k)
    np.testing.assert_allclose(
        np.sqrt(scores), of_step(step, layer, "scores"), atol=3e-6
    )
    expected = mask_of(of_step(step, layer, "kept_sorted"), live.shape[1])
    np.testing.assert_array_equal(column_subset(live, k), expected)
    # what is kept was active, and dormant channels score exactly nothing
    assert not (expected & ~channel_mask(step - 1, layer)).any()
    assert (scores[~channel_mask(step - 1, layer)] == 0).all()


@steps
@layers
def test_residuals_of_restored_channels_are_the_authors(step, layer):
    restored = as_columns_oihw(
        ARRAYS[f"step{step}/restored_unmasked/{layer}.weight"]
    )
    kept = mask_of(of_step(step, layer, "kept_sorted"), restored.shape[1])
    freedom = of_step(step, layer, "freedom")
    found = residuals(restored, kept)
    np.testing.assert_allclose(
        np.sqrt(found[freedom]), of_step(step, layer, "resid_norm"), atol=1e-5
    )
    probabilities = regrow_probabilities(found, ~kept, "unsquared")
    np.testing.assert_allclose(
        probabilities[freedom], of_step(step, layer, "prob_code"), atol=6e-7
    )


@steps
@layers
def test_new_mask_is_kept_and_grown(step, layer):
    freedom = of_step(step, layer, "freedom")
    grown = of_step(step, layer, "grown_sorted")
    size = channel_mask(step, layer).size
    kept = mask_of(of_step(step, layer, "kept_sorted"), size)
    np.testing.assert_array_equal(
        channel_mask(step, layer), kept | mask_of(grown, size)
    )
    np.testing.assert_array_equal(np.flatnonzero(~kept), np.sort(freedom))
    assert set(grown) <= set(freedom)
    assert grown.size == of_step(step, layer, "num_regrow")


@pytest.mark.parametrize("weight", ENDS)
def test_most_recently_used_values_come_back(weight):
    memory = ARRAYS[f"init/{weight}"]
    for step in STEPS:
        was_active = element_mask(step - 1, weight)
        is_active = element_mask(step, weight)
        live = ARRAYS[f"step{step}/before/{weight}"]
        value, memory = remember(live, memory, was_active, is_active)
        everything = np.where(is_active, value, memory)
        np.testing.assert_array_equal(
            everything, ARRAYS[f"step{step}/restored_unmasked/{weight}"]
        )
        masked = np.where(is_active, everything, 0)
        if weight.endswith(("weight", "bias")):
            np.testing.assert_array_equal(
                masked, ARRAYS[f"step{step}/after/{weight}"]
            )
