"""Copies of models and layers that say little of themselves."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from tests import checks


def test_a_layer_that_takes_only_arguments_of_its_own():
    class Halved(layers.Layer):
        def __init__(self, share):
            super().__init__()
            self.share = share

        def call(self, inputs):
            return inputs * self.share

    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(5, 3, name="first")(x)
    halved = Halved(0.5)
    halved.trainable = False
    x = layers.GlobalAveragePooling2D()(halved(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"first": [0, 3]})
    small = keras_chex.strip(wrapped)
    copy = small.get_layer(halved.name)
    assert (copy.share, copy.trainable) == (0.5, False)


def test_a_config_that_holds_layers_themselves_is_copied():
    """As in examples of Keras: `get_config` returns the parts."""

    class Net(keras.Model):
        def __init__(self, stem, trunk, **kwargs):
            super().__init__(**kwargs)
            self.stem, self.trunk = stem, trunk
            self.head = layers.Dense(3, name="head")

        def call(self, inputs):
            x = ops.mean(self.trunk(self.stem(inputs)), axis=(1, 2))
            return self.head(x)

        def get_config(self):
            parts = {"stem": self.stem, "trunk": self.trunk}
            return {**super().get_config(), **parts}

        @classmethod
        def from_config(cls, config):
            return cls(config["stem"], config["trunk"])

    trunk = keras.Sequential([layers.Conv2D(6, 3, name="conv")], name="trunk")
    model = Net(layers.Conv2D(5, 3, name="stem"), trunk)
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    expected = checks.as_numpy(model(x))
    wrapped = keras_chex.wrap(model)
    assert type(model.stem) is layers.Conv2D
    keras_chex.set_active(wrapped, {"stem": [1], "trunk/conv": [0, 2]})
    np.testing.assert_array_equal(checks.as_numpy(model(x)), expected)
    keras_chex.strip(wrapped)


def test_a_copy_that_shares_layers_is_refused():
    shared = layers.Conv2D(5, 3, name="shared")

    class Net(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.conv, self.head = shared, layers.Dense(2)

        def call(self, inputs):
            return self.head(ops.mean(self.conv(inputs), axis=(1, 2)))

    model = Net()
    model(np.zeros((1, 6, 6, 3)))
    with pytest.raises(TypeError, match="holds the very layer 'shared'"):
        keras_chex.wrap(model)


class Orthogonal(keras.regularizers.Regularizer):
    def __init__(self, share=0.1):
        self.share = share

    def __call__(self, weight):
        return self.share * ops.sum(ops.square(weight))

    def get_config(self):
        return {"share": self.share}


class L2(Orthogonal):
    """Named as one of Keras' own."""


@pytest.mark.parametrize("kind", [Orthogonal, L2])
def test_parts_of_layers_need_not_be_registered(kind):
    conv = layers.Conv2D(5, 3, kernel_regularizer=kind(0.5), name="conv")
    x = inputs = keras.Input((6, 6, 3))
    x = layers.GlobalAveragePooling2D()(conv(x))
    model = keras.Model(inputs, layers.Dense(2)(x))
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"conv": [0, 2]})
    small = keras_chex.strip(wrapped)
    assert type(small.get_layer("conv").kernel_regularizer) is kind
    loss = 0.5 * float(ops.sum(ops.square(small.get_layer("conv").kernel)))
    assert float(sum(small.losses)) == pytest.approx(loss)


def test_the_scope_of_the_user_holds_on():
    class Cut(layers.Layer):
        """Finds what it computes by a name that only a scope knows."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.cut = keras.saving.get_registered_object("cut")

        def call(self, inputs):
            return self.cut(inputs)

    x = inputs = keras.Input((6, 6, 3))
    with keras.saving.custom_object_scope({"cut": ops.relu}):
        x = Cut(name="cut")(layers.Conv2D(5, 3)(x))
        x = layers.GlobalAveragePooling2D()(x)
        model = keras.Model(inputs, layers.Dense(2)(x))
        small = keras_chex.strip(keras_chex.wrap(model))
    assert small.get_layer("cut").cut is ops.relu


@pytest.mark.parametrize("powers, fits", [(3, True), (7, False)])
def test_outputs_that_overflow_are_not_called_random(powers, fits, recwarn):
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(5, 3, kernel_initializer="ones", name="conv")(x)
    x = layers.Dense(2)(layers.GlobalMaxPooling2D()(1e4 * x))
    for _ in range(powers):
        x = x * x
    wrapped = keras_chex.wrap(keras.Model(inputs, x))
    keras_chex.set_active(wrapped, {"conv": [0, 2]})
    keras_chex.strip(wrapped)
    said = [str(w.message) for w in recwarn if "compared" in str(w.message)]
    assert len(said) == (not fits)
    assert all("not finite on random input" in text for text in said)


def test_a_model_without_a_call_is_refused_with_a_remedy():
    class Gan(keras.Model):
        def __init__(self, generator, **kwargs):
            super().__init__(**kwargs)
            self.generator = generator

    small = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="return self.generator"):
        keras_chex.channel_groups(Gan(small))
