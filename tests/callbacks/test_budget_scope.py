"""Budgets that count a part of the model, such as its backbone."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from keras_chex.callbacks.exploration import Explorer


def convolution(x, filters, name):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def detector():
    """A nested backbone, and a head of its own layers."""
    image = keras.Input((8, 8, 3))
    x = convolution(convolution(image, 16, "a"), 24, "b")
    backbone = keras.Model(image, x, name="backbone")
    inputs = keras.Input((8, 8, 3))
    x = convolution(convolution(backbone(inputs), 12, "neck"), 10, "head")
    x = layers.Flatten()(layers.Conv2D(4, 1, name="boxes")(x))
    return keras.Model(inputs, x)


def backbone_flops(model):
    costs = {cost.name: cost.flops for cost in keras_chex.summary(model).layers}
    return sum(n for name, n in costs.items() if name.startswith("backbone/"))


def fitted(**options):
    model = keras_chex.wrap(detector())
    model.compile("sgd", "mse")
    scheduler = keras_chex.ChexScheduler(
        interval=1, end=2, verbose=0, **options
    )
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    model.fit(x, np.zeros((4, 256)), epochs=3, verbose=0, callbacks=[scheduler])
    return model


@pytest.mark.parametrize(
    "scope", ["backbone", ["backbone/a", "backbone/b"], r"backbone/.*"]
)
def test_the_part_meets_the_budget_and_the_rest_stays(scope):
    model = fitted(flops=0.5, budget_scope=scope)
    dense = backbone_flops(detector())
    # By hand: 64 positions of 3x3 kernels, 3 -> 16 -> 24 channels.
    assert dense == 64 * 9 * (3 * 16 + 16 * 24)
    assert 0.45 * dense < backbone_flops(model) <= 0.5 * dense
    active = keras_chex.active_channels(model)
    assert active["neck"].all() and active["head"].all()
    assert not active["backbone/a"].all()
    # What the head saves with a narrower backbone is no part of the budget.
    whole = keras_chex.flops(model) / keras_chex.flops(detector())
    assert whole > 0.5


def test_parameters_of_a_part_are_counted():
    model = fitted(params=0.5, budget_scope="backbone")
    found, names = keras_chex.summary(model), ("backbone/",)
    rows = [cost for cost in found.layers if cost.name.startswith(names)]
    dense = sum(cost.dense_params for cost in rows)
    assert 0.4 * dense < sum(cost.params for cost in rows) <= 0.5 * dense


def test_the_plan_names_the_part():
    model = keras_chex.wrap(detector())
    model.compile("sgd", "mse")
    scheduler = keras_chex.ChexScheduler(flops=0.5, budget_scope="backbone")
    text = str(scheduler.plan(model, epochs=10))
    assert "flops=0.5 of backbone: at most 124,416 of 248,832 flops" in text


def test_an_unknown_part_is_refused():
    model = keras_chex.wrap(detector())
    scheduler = keras_chex.ChexScheduler(flops=0.5, budget_scope="trunk")
    with pytest.raises(
        ValueError, match="Argument `budget_scope` must name layers.*'trunk'"
    ):
        Explorer(
            model,
            scheduler.budget,
            scheduler.options,
            budget_scope=scheduler.budget_scope,
        )


def test_a_latency_is_that_of_the_whole_file():
    with pytest.raises(ValueError, match="a latency is that of the whole file"):
        keras_chex.ChexScheduler(latency=0.5, budget_scope="backbone")
