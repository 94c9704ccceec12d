"""Cutting chosen channels out of a plain model."""

import keras
import numpy as np
import pytest

import keras_chex

layers = keras.layers


def network():
    x = keras.Input((6, 6, 3))
    a = layers.Conv2D(5, 3, padding="same", name="a")(x)
    b = layers.Conv2D(5, 3, padding="same", name="b")(layers.ReLU()(a))
    y = layers.Flatten()(layers.Add()([a, b]))
    return keras.Model(x, layers.Dense(2, name="logits")(y))


def test_coupled_layers_follow_and_the_rest_stays_exact():
    model = network()
    small = keras_chex.remove_channels(model, {"b": [0, 3]})
    assert small.get_layer("a").filters == small.get_layer("b").filters == 3
    for name in ("a", "b"):
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        kernel[..., [0, 3]], bias[[0, 3]] = 0, 0
        layer.set_weights([kernel, bias])
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")
    np.testing.assert_allclose(
        small.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5
    )


def test_a_mask_names_what_goes():
    model = network()
    by_index = keras_chex.remove_channels(model, {"b": [0, 3]})
    gone = np.array([True, False, False, True, False])
    by_mask = keras_chex.remove_channels(model, {"b": gone})
    for one, other in zip(by_index.weights, by_mask.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    whole = keras_chex.remove_channels(model, {"b": []})
    assert whole.get_layer("a").filters == 5


@pytest.mark.parametrize(
    "channels,message",
    [
        ({"a": [2.9]}, r"indices below 5, or a bool array of shape \(5,\)"),
        ({"a": [True, False]}, r"Received: \[True, False\]"),
        ({"c": [0]}, "Received: 'c', which is none of"),
        ({"a": [5]}, r"indices below 5, .*Received: \[5\]"),
        ({"logits": [0]}, "kept: model output"),
        ({"a": [0, 1], "b": [2, 3, 4]}, "Received: all 5 of a, b"),
    ],
)
def test_what_cannot_be_removed(channels, message):
    with pytest.raises(ValueError, match=message):
        keras_chex.remove_channels(network(), channels)


def test_a_wrapped_model_has_another_way():
    with pytest.raises(ValueError, match="Choose its channels with"):
        keras_chex.remove_channels(keras_chex.wrap(network()), {"a": [0]})
