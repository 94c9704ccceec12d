"""Layers and functions that are code alone: what is read, what stays."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from keras_chex.graph.rules.activation import is_channelwise
from tests.checks import as_numpy, random_active
from tests.zoo_blocks import registered
from tests.zoo_code import DropPath, Mish, SplitGate

X = np.random.default_rng(0).normal(size=(6, 8, 6, 3)).astype("float32")


@registered
class DroppingBlock(layers.Layer):
    """Code alone, inside a block whose code is opened too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(8, 3, padding="same", name="conv")
        self.mish, self.drop = Mish(name="mish"), DropPath(name="drop")

    def build(self, shape):
        self.conv.build(shape)
        self.built = True

    def call(self, inputs, training=False):
        branch = self.mish(self.conv(inputs))
        return inputs + self.drop(branch, training=training)


def model_of(middle):
    inputs = keras.Input((8, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="first")(inputs)
    x = layers.Conv2D(5, 3, name="last")(middle(x))
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def residual(x):
    y = layers.Conv2D(8, 3, padding="same", name="branch")(Mish()(x))
    return x + DropPath(name="drop")(y)


def outputs(model, training=False):
    return as_numpy(model(X, training=training))


def seed_states(model):
    return [v for v in model.variables if "seed" in v.path]


@pytest.mark.parametrize(
    "middle, producers",
    [
        (residual, {"first", "branch"}),
        (lambda x: DroppingBlock(name="block")(x), {"first", "block/conv"}),
    ],
)
def test_layers_that_drop_paths_leave_channels_free(middle, producers):
    model = model_of(middle)
    before = [as_numpy(v) for v in model.variables]
    groups = keras_chex.channel_groups(model)
    free = {p for g in groups if not g.frozen for p in g.producers}
    assert free == producers
    after = [as_numpy(v) for v in model.variables]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)  # Nothing was drawn.


@pytest.mark.parametrize(
    "middle", [residual, lambda x: DroppingBlock(name="block")(x)]
)
def test_the_stripped_model_drops_paths_too(middle):
    wrapped = keras_chex.wrap(model_of(middle))
    groups = keras_chex.channel_groups(wrapped)
    keras_chex.set_active(wrapped, random_active(groups))
    small = keras_chex.strip(wrapped)
    assert any(isinstance(layer, DropPath) for layer in small.layers)
    np.testing.assert_allclose(
        outputs(wrapped), outputs(small), rtol=1e-5, atol=1e-6
    )
    for model in (wrapped, small):
        for state in seed_states(model):
            state.assign([5, 7])
    drawn = outputs(wrapped, training=True)
    np.testing.assert_allclose(
        drawn, outputs(small, training=True), rtol=1e-5, atol=1e-6
    )
    assert np.abs(drawn - outputs(wrapped)).max() > 1e-3


def test_code_that_splits_ties_the_halves():
    groups = keras_chex.channel_groups(model_of(SplitGate()))
    sizes = {g.name: (g.size, g.frozen) for g in groups}
    assert sizes["first"] == (4, None)


@pytest.mark.tensorflow
def test_a_lambda_of_another_library_keeps_its_channels():
    import tensorflow as tf

    model = model_of(layers.Lambda(lambda x: tf.nn.lrn(x), name="foreign"))
    groups = keras_chex.channel_groups(model)
    (first,) = [g for g in groups if g.name == "first"]
    assert "'foreign' (Lambda) cannot be called on symbolic" in first.frozen


def leaky(x):
    return ops.where(x > 0, x, 0.1 * x)


ALONE = {
    "identity": lambda x: x,
    "leaky": leaky,
    "quick_gelu": lambda x: x * ops.sigmoid(1.702 * x),
    "capped": lambda x: ops.minimum(ops.maximum(x, 0.0), 6.0),
    "squared": lambda x: x**2,
    "keras": lambda x: keras.activations.leaky_relu(x, negative_slope=0.2),
}
TOGETHER = {
    "softmax": lambda x: ops.softmax(x),
    "centred": lambda x: x - ops.mean(x, axis=-1, keepdims=True),
    "constants": lambda x: x * np.arange(6.0, dtype="float32"),
    "reversed": lambda x: ops.flip(x, axis=-1),
    "glu": lambda x: keras.activations.glu(x),
    "foreign": lambda x: np.maximum(x, 0),
    "number": lambda x: 3.0,
}


@pytest.mark.parametrize("name", list(ALONE))
def test_functions_of_each_element_are_channelwise(name):
    assert is_channelwise(ALONE[name])


@pytest.mark.parametrize("name", list(TOGETHER))
def test_other_functions_are_not_channelwise(name):
    assert not is_channelwise(TOGETHER[name])


@pytest.mark.tensorflow
def test_functions_of_tensorflow_are_known_by_name():
    import tensorflow as tf

    known = (tf.nn.relu, tf.nn.swish, tf.nn.gelu, tf.nn.leaky_relu, tf.tanh)
    assert all(map(is_channelwise, known))
    assert not is_channelwise(tf.nn.softmax)
