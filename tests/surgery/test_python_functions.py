"""Layers that hold Python functions that Keras does not know by name."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from keras_chex.graph.keras_functions import trusted
from tests.checks import as_numpy, random_active
from tests.zoo_blocks import registered

X = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
SCALE = 1.5


def scaled(x):
    return ops.tanh(x) * SCALE


def relu(x):
    """Not what Keras calls so."""
    return ops.relu(x) - 0.25


def closure(shift):
    def shifted(x):
        return ops.relu(x) + shift

    return shifted


def outputs(model):
    return as_numpy(model(X, training=False))


def conv(**options):
    return layers.Conv2D(6, 3, **options)


# Makers: a layer is made once for each model.
LAYERS = {
    "lambda": lambda: layers.Lambda(lambda x: ops.relu(x) * SCALE),
    "lambda_of_function": lambda: layers.Lambda(scaled),
    "lambda_of_closure": lambda: layers.Lambda(closure(0.5)),
    "lambda_with_shape": lambda: layers.Lambda(
        lambda x: x * SCALE, output_shape=lambda shape: shape
    ),
    "activation": lambda: layers.Activation(scaled),
    "activation_named_as_keras_has_one": lambda: layers.Activation(relu),
    "activation_lambda": lambda: layers.Activation(lambda x: x * SCALE),
    "conv": lambda: conv(activation=scaled),
    # Keras finds an activation of this name, with another default.
    "conv_operation": lambda: conv(activation=ops.gelu),
    "conv_closure": lambda: conv(activation=closure(0.25)),
    "regularizer": lambda: conv(
        kernel_regularizer=lambda w: SCALE * ops.sum(w * w)
    ),
    "initializer": lambda: conv(
        kernel_initializer=lambda shape, dtype=None: ops.ones(shape) * SCALE
    ),
    "constraint": lambda: conv(kernel_constraint=lambda w: w * SCALE),
}


class Untouched(keras.Model):
    """A class of the user's own, functional all the same."""


@registered
class Around(layers.Layer):
    """A block that makes the layer itself."""

    def __init__(self, kind, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind
        self.inner, self.last = LAYERS[kind](), layers.Conv2D(5, 1)

    def call(self, x):
        return self.last(self.inner(x))

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


def nested(kind, x):
    inputs = keras.Input(x.shape[1:])
    return keras.Model(inputs, LAYERS[kind]()(inputs), name="nested")(x)


FORMS = {
    "flat": lambda kind, x: LAYERS[kind]()(x),
    "nested": nested,
    "block": lambda kind, x: Around(kind)(x),
}


def build(kind, form="flat", model_class=keras.Model):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = FORMS[form](kind, x)
    x = layers.Conv2D(8, 3, activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return model_class(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("kind", list(LAYERS))
@pytest.mark.filterwarnings("ignore:The object being serialized includes a")
def test_copies_call_the_function_itself(kind, form):
    model = build(kind, form)
    wrapped = keras_chex.wrap(model)
    np.testing.assert_array_equal(outputs(model), outputs(wrapped))
    groups = keras_chex.channel_groups(wrapped)
    keras_chex.set_active(wrapped, random_active(groups))
    small = keras_chex.strip(wrapped)
    np.testing.assert_allclose(
        outputs(wrapped), outputs(small), rtol=1e-5, atol=1e-6
    )
    assert small.count_params() < model.count_params()


@pytest.mark.filterwarnings("ignore:The object being serialized includes a")
def test_a_class_of_the_user_gets_the_function_itself():
    model = build("lambda", model_class=Untouched)
    np.testing.assert_array_equal(
        outputs(model), outputs(keras_chex.wrap(model))
    )


def test_losses_of_a_compiled_model_are_the_same_functions():
    def loss(y, prediction):
        return SCALE * ops.mean(ops.square(y - prediction))

    model = build("conv", model_class=Untouched)
    model.compile("sgd", loss, metrics=[scaled_error])
    wrapped = keras_chex.wrap(model)
    y = np.ones((2, 3))
    expected = model.evaluate(X, y, verbose=0)
    assert wrapped.evaluate(X, y, verbose=0) == pytest.approx(expected)


def scaled_error(y, prediction):
    return ops.mean(ops.abs(y - prediction)) * SCALE


def test_functions_of_one_name_stay_apart():
    first, second = (closure(shift) for shift in (1.0, 20.0))
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = layers.Conv2D(4, 3, activation=first)(x)
    x = layers.Activation(second)(x)
    model = keras.Model(inputs, layers.Conv2D(2, 1)(x))
    np.testing.assert_array_equal(
        outputs(model), outputs(keras_chex.wrap(model))
    )


def test_a_model_without_source_code_is_wrapped():
    names = {}
    exec("double = lambda x: 2 * x", names)
    model = build("conv")
    x = layers.Activation(names["double"])(model.get_layer("last").output)
    model = keras.Model(model.input, layers.Conv2D(2, 1)(x))
    wrapped = keras_chex.wrap(model)
    np.testing.assert_array_equal(outputs(model), outputs(wrapped))


def test_names_come_back_also_after_an_error():
    layer = layers.Activation(scaled)
    with pytest.raises(RuntimeError, match="stopped"):
        with trusted(layer):
            assert scaled.__name__ != "scaled"
            raise RuntimeError("stopped")
    assert scaled.__name__ == "scaled"


def test_a_function_that_is_registered_keeps_its_name():
    @keras.saving.register_keras_serializable("tests_functions")
    def doubled(x):
        return 2 * x

    layer = layers.Activation(doubled)
    with trusted(layer):
        assert doubled.__name__ == "doubled"
