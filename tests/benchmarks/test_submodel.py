"""The uniform sub-model that benchmarks time meets its share of the FLOPs."""

import keras
import numpy as np
import pytest

import keras_chex
from benchmarks.submodel import uniform_submodel


@pytest.fixture(scope="module")
def wrapped():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(32, 3, name="first"),
            layers.Conv2D(64, 3, name="second"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )
    return keras_chex.wrap(model)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_share_of_the_flops_is_met_from_below(wrapped, share):
    dense = keras_chex.flops(wrapped)
    everything = keras_chex.active_channels(wrapped)
    keras_chex.set_active(wrapped, uniform_submodel(wrapped, share))
    flops = keras_chex.flops(wrapped)
    keras_chex.set_active(
        wrapped, {n: everything[n] for n in ("first", "second")}
    )
    assert 0.9 * share * dense < flops <= share * dense


def test_groups_get_the_same_share(wrapped):
    chosen = uniform_submodel(wrapped, 0.5)
    assert abs(len(chosen["first"]) / 32 - len(chosen["second"]) / 64) < 0.04


def test_widths_are_rounded(wrapped):
    chosen = uniform_submodel(wrapped, 0.5, round_to=8)
    assert all(len(indices) % 8 == 0 for indices in chosen.values())


def test_model_is_left_as_it_was(wrapped):
    uniform_submodel(wrapped, 0.5)
    active = keras_chex.active_channels(wrapped)
    assert all(np.all(mask) for mask in active.values())
