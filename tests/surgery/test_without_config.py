"""Classes that Keras has no config of: they were given classes, functions."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from tests import checks


class Block(layers.Layer):
    """Two convolutions, a weight of its own and all kinds of attributes."""

    def __init__(self, filters, norm, activation, **kwargs):
        super().__init__(**kwargs)
        self.convs = [
            layers.Conv2D(filters, 3, padding="same", name="first"),
            layers.Conv2D(filters, 1, name="second"),
        ]
        self.norms = {"first": norm(name="norm")}
        self.activation = activation
        self.scale = functools.partial(self.scaled, factor=0.5)
        self.again = self.convs[1]
        self.supports_masking = True

    def build(self, input_shape):
        self.gamma = self.add_weight(
            shape=(input_shape[-1],), initializer="normal", name="gamma"
        )

    def scaled(self, inputs, factor):
        return inputs * self.gamma * factor

    def call(self, inputs, training=False):
        x = self.norms["first"](self.convs[0](inputs), training=training)
        return inputs + self.scale(self.again(self.activation(x)))


class Net(keras.Model):
    """As `ResNet(BasicBlock, [2, 2])` of many a repository."""

    def __init__(self, block, counts):
        super().__init__()
        self.stem = layers.Conv2D(8, 3, name="stem")
        self.stages = [
            keras.Sequential(
                [
                    block(8, layers.BatchNormalization, ops.relu)
                    for _ in range(count)
                ]
            )
            for count in counts
        ]
        self.head = layers.Dense(3, name="head")
        self.seen = keras.metrics.Mean(name="seen")
        self.second = keras.optimizers.SGD(0.5)

    def call(self, inputs, training=False):
        x = self.stem(inputs)
        for stage in self.stages:
            x = stage(x, training=training)
        return self.head(ops.mean(x, axis=(1, 2)))


def net():
    model = Net(Block, (1, 1))
    model(np.zeros((2, 8, 8, 3)))
    checks.randomize(model)
    return model


def test_a_model_that_was_given_a_class_trains_and_is_stripped():
    model = net()
    with pytest.raises(NotImplementedError):
        model.get_config()
    before = model.get_weights()
    wrapped = keras_chex.wrap(model)
    x = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")
    assert checks.largest_difference(wrapped(x), model(x)) <= 1e-5
    assert wrapped.seen is not model.seen
    assert wrapped.second is not model.second
    assert float(wrapped.second.learning_rate) == 0.5
    wrapped.compile("sgd", "mse")
    scheduler = keras_chex.ChexScheduler(
        flops=0.5, interval=1, end=0.5, verbose=0
    )
    wrapped.fit(x, np.ones((8, 3)), epochs=2, verbose=0, callbacks=[scheduler])
    small = keras_chex.strip(wrapped)
    assert keras_chex.flops(small) <= 0.5 * keras_chex.flops(model)
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_is_frozen_stays_frozen():
    model = net()
    model.stages[1].layers[0].convs[0].trainable = False
    model.stem.trainable = False
    wrapped = keras_chex.wrap(model)
    free = [len(m.trainable_variables) for m in (model, wrapped)]
    assert free[0] == free[1] == len(net().trainable_variables) - 4


def test_it_is_compiled_as_the_model_is():
    model = net()
    model.compile(keras.optimizers.SGD(0.25), "mae")
    wrapped = keras_chex.wrap(model)
    assert float(wrapped.optimizer.learning_rate) == 0.25
    assert wrapped.loss == "mae"


def test_a_block_in_a_functional_model():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="stem")(inputs)
    x = Block(6, layers.LayerNormalization, ops.silu, name="block")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    checks.randomize(model)
    wrapped = keras_chex.wrap(model)
    assert "block/first" in keras_chex.active_channels(wrapped)
    keras_chex.set_active(wrapped, {"stem": [0, 2], "block/first": [1, 3]})
    small = keras_chex.strip(wrapped)
    x = checks.example_inputs(model)
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5
    assert small.get_layer("stem").filters == 2


def test_code_without_a_config_stays_code():
    class Apply(layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, inputs):
            return self.function(inputs)

    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="stem")(inputs)
    x = layers.GlobalAveragePooling2D()(Apply(ops.relu)(x))
    model = keras.Model(inputs, layers.Dense(2, name="head")(x))
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"stem": [0, 2]})
    small = keras_chex.strip(wrapped)
    x = checks.example_inputs(model)
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5


def test_weights_that_are_shared_are_refused():
    class Tied(keras.Model):
        def __init__(self, kind):
            super().__init__()
            self.stem = kind(4, name="stem")
            self.head = layers.Dense(3, name="head")

        def build(self, input_shape):
            self.stem.build(input_shape)
            self.tied = self.stem.kernel
            self.head.build((None, 4))

        def call(self, inputs):
            return self.head(ops.relu(self.stem(inputs)))

    model = Tied(layers.Dense)
    model(np.zeros((2, 5)))
    with pytest.raises(TypeError, match="Implement `get_config`"):
        keras_chex.wrap(model)
