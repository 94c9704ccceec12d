"""Costs against counts done by hand and against the published ones."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from keras_chex.analysis.budget import prunable, width_cost
from keras_chex.graph.channels import read_channels


@pytest.mark.parametrize(
    "layer,shape,expected",
    [
        (layers.Conv2D(4, 3), (8, 8, 3), 9 * 3 * 4 * 36),
        (layers.Conv2D(4, 3, strides=2, padding="same"), (8, 8, 3), 1728),
        (layers.Conv2D(4, 3, groups=2), (8, 8, 6), 9 * 3 * 4 * 36),
        (layers.DepthwiseConv2D(3), (8, 8, 3), 9 * 3 * 36),
        (layers.SeparableConv2D(4, 3), (8, 8, 3), (27 + 12) * 36),
        (layers.Conv2DTranspose(4, 2, strides=2), (8, 8, 3), 4 * 12 * 64),
        (layers.Dense(4), (5, 3), 5 * 12),
        (layers.Conv1D(4, 3), (8, 3), 36 * 6),
        (layers.Conv3D(4, 2), (3, 3, 3, 2), 64 * 8),
        (layers.BatchNormalization(), (8, 8, 3), 0),
    ],
)
def test_multiply_adds_of_one_layer(layer, shape, expected):
    model = keras.Sequential([keras.Input(shape), layer])
    assert keras_chex.flops(model) == expected
    assert keras_chex.summary(model).params == model.count_params()


def test_published_resnet50():
    model = keras.applications.ResNet50(weights=None)
    costs = keras_chex.summary(model)
    # Keras strides in the first 1x1 convolution: 3.86 G instead of 4.09 G.
    assert costs.flops == pytest.approx(3.86e9, rel=0.01)
    assert costs.params == model.count_params() == 25_636_712


def branchy():
    x = keras.Input((8, 8, 3))
    a = layers.Conv2D(6, 3, padding="same", name="a")(x)
    a = layers.BatchNormalization()(a)
    b = layers.Conv2D(6, 3, padding="same", name="b")(a)
    c = layers.Conv2D(4, 1, name="c")(layers.Add()([a, b]))
    y = layers.Concatenate()([a, c])
    y = layers.DepthwiseConv2D(3, name="dw")(y)
    y = layers.Conv2D(8, 3, groups=2, name="g")(y)
    y = layers.Flatten()(y)
    return keras.Model(x, layers.Dense(3)(y))


@pytest.mark.parametrize("kind", ["flops", "params"])
def test_width_cost_is_that_of_the_stripped_model(kind):
    model = keras_chex.wrap(branchy())
    graph = read_channels(model)
    cost = width_cost(graph, model, kind)
    groups = [graph.groups[i] for i in prunable(graph)]
    rng = np.random.default_rng(3)
    for _ in range(4):
        widths = [int(rng.integers(1, g.size + 1)) for g in groups]
        keras_chex.set_active(
            model,
            {
                g.name: rng.permutation(g.size)[:w]
                for g, w in zip(groups, widths, strict=True)
            },
        )
        stripped = keras_chex.strip(model)
        measured = {
            "flops": keras_chex.flops(stripped),
            "params": stripped.count_params(),
        }
        assert cost(widths) == measured[kind]
        assert getattr(keras_chex.summary(model), kind) == measured[kind]


@pytest.mark.parametrize(
    "shape", [8, (8, 8), (8, 8, 0), (8, 8, 3, 1), [(8, 8, 3)] * 2, "image", []]
)
def test_a_shape_that_does_not_fit_is_refused(shape):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    with pytest.raises(ValueError, match="`input_shape` must fit the inputs"):
        keras_chex.flops(model, input_shape=shape)


def test_a_shape_may_hold_integers_of_numpy():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    shape = (*np.asarray([5, 4]), 3)
    assert keras_chex.flops(model, input_shape=shape) == 3 * 2 * 27 * 4


def test_open_sizes_need_an_input_shape():
    model = keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 3)]
    )
    with pytest.raises(ValueError, match="`input_shape` is needed"):
        keras_chex.flops(model)
    assert keras_chex.flops(model, (8, 8, 3)) == 9 * 3 * 4 * 36
    with pytest.raises(ValueError, match="must fit the inputs"):
        keras_chex.flops(model, (8, 8, 4))


@pytest.mark.parametrize("shape", [None, (8, 8, 3)])
def test_sizes_that_code_makes_of_the_batch_size_are_known(shape):
    class Patches(layers.Layer):
        def call(self, inputs):
            patches = ops.image.extract_patches(inputs, 2)
            return ops.reshape(patches, (ops.shape(inputs)[0], -1, 12))

    x = inputs = keras.Input((8, 8, 3))
    x = layers.Dense(8, use_bias=False)(Patches()(x))
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
    assert keras_chex.flops(model, shape) == 16 * 12 * 8


def test_a_layer_called_twice_is_paid_twice_and_stored_once():
    x = keras.Input((8, 8, 4))
    conv = layers.Conv2D(4, 1, use_bias=False)
    model = keras.Model(x, conv(conv(x)))
    assert keras_chex.flops(model) == 2 * 16 * 64
    assert keras_chex.summary(model).params == 16


def test_layers_that_cannot_be_counted_are_named():
    rnn = layers.RNN(layers.LSTMCell(2), name="rnn")
    model = keras.Sequential([keras.Input((5, 3)), rnn])
    assert "rnn" in str(keras_chex.summary(model))
    assert "not counted" in str(keras_chex.summary(model))
