"""Layers given as the activation of others: which leave channels alone."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex


def network(activation, called=False):
    """`inner` has the activation; `first` is before it, `last` behind it."""
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(6, 3, name="first")(inputs)
    x = layers.Conv2D(8, 3, activation=activation, name="inner")(x)
    x = layers.Conv2D(6, 1, name="last")(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, layers.Dense(2)(model.output))
    if called:
        model(np.ones((1, 6, 6, 3)))
    return model


def reasons(model):
    groups = keras_chex.channel_groups(model)
    return {name: g.frozen for g in groups for name in g.producers}


@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize(
    "activation",
    [
        layers.PReLU,
        layers.LayerNormalization,
        lambda: layers.GroupNormalization(2),
        lambda: keras.Sequential([layers.Softmax()]),
    ],
)
def test_nothing_narrows_what_an_activation_may_hold(activation, called):
    found = reasons(network(activation(), called))
    assert "activation" in found["first"] or "weights" in found["first"]
    assert "inner" not in found and found["last"] is None


@pytest.mark.parametrize(
    "activation",
    [
        layers.Softmax,
        lambda: layers.Activation("softmax"),
        layers.UnitNormalization,
    ],
)
def test_channels_that_are_weighed_against_each_other_stay(activation):
    found = reasons(network(activation()))
    assert "may mix channels" in found["inner"]
    assert found["first"] is None and found["last"] is None


@pytest.mark.parametrize(
    "activation",
    [
        layers.ReLU,
        lambda: layers.LeakyReLU(negative_slope=0.1),
        lambda: layers.Activation("tanh"),
    ],
)
def test_others_leave_each_channel_alone(activation):
    model = network(activation())
    assert set(reasons(model).values()) - {"model output"} == {None}
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"first": [0, 3], "inner": [1, 2, 7]})
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3))
    got = keras_chex.strip(wrapped).predict(x, verbose=0)
    np.testing.assert_allclose(got, wrapped.predict(x, verbose=0), atol=1e-5)


def test_noise_of_a_fixed_shape_keeps_channels():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, name="first")(inputs)
    x = layers.AlphaDropout(0.2, noise_shape=(None, 1, 1, 8))(x)
    x = layers.Conv2D(4, 3, name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    found = reasons(keras.Model(inputs, layers.Dense(2)(x)))
    assert "fixed noise_shape" in found["first"]
