"""Bounds of single groups, and widths that are multiples of a number."""

import keras
import numpy as np
import pytest

import keras_chex
from tests import checks
from tests.zoo_topologies import bottleneck, conv_bn_relu, pooled_logits


def train(build, **options):
    """Trains a few epochs; returns the model and the plan it printed."""
    model = keras_chex.wrap(build())
    model.compile("sgd", "mse")
    x = checks.example_inputs(model)
    y = np.zeros((8, 4))
    scheduler = keras_chex.ChexScheduler(interval=1, end=3, **options)
    model.fit(x, y, epochs=4, verbose=0, callbacks=[scheduler])
    return {
        name: int(units.sum())
        for name, units in keras_chex.active_channels(model).items()
    }, scheduler


def wide():
    image = keras.Input((8, 6, 3), name="image")
    x = conv_bn_relu(image, 20, "c1")
    x = conv_bn_relu(x, 6, "c2")
    x = conv_bn_relu(x, 32, "c3")
    return keras.Model(image, pooled_logits(x))


def test_bounds_of_single_groups_are_held():
    sizes = {
        g.name: g.size
        for g in keras_chex.channel_groups(keras_chex.wrap(bottleneck()))
    }
    widths, scheduler = train(
        bottleneck,
        params=0.6,
        verbose=0,
        min_channels={"b1_1": sizes["b1_1"], ".*_2": 3},
        max_channels={"b2_1": 2},
    )
    assert widths["b1_1"] == sizes["b1_1"]
    assert widths["b1_2"] >= 3 and widths["b2_2"] >= 3
    assert widths["b2_1"] <= 2
    for step in scheduler.history:
        assert step["widths"]["b2_1"] <= 2


def test_widths_are_multiples_and_others_are_reported(capsys):
    widths, scheduler = train(wide, params=0.5, round_to=8)
    assert widths["c1"] % 8 == 0 and widths["c3"] % 8 == 0
    assert widths["c2"] == 6
    for step in scheduler.history:
        assert step["widths"]["c1"] % 8 == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.startswith("c2 ")]
    assert "stays at 6: has no multiple of 8" in line
    assert not any("multiple" in x for x in lines if x.startswith("c1 "))


@pytest.mark.parametrize("name", ["min_channels", "max_channels"])
def test_a_bound_of_no_group_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must name.*'b9'"):
        train(bottleneck, params=0.6, verbose=0, **{name: {"b9": 2}})


@pytest.mark.parametrize("bound", [0, 1.5, {"c1": 0}, {"c1": "2"}])
def test_a_bound_that_is_no_width_is_refused(bound):
    with pytest.raises(ValueError, match="`max_channels` must be"):
        keras_chex.ChexScheduler(params=0.5, max_channels=bound)
