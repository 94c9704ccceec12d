"""A retrace gives back the memory of the function that it replaces."""

import gc

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.layers.traces import release_traces

tf = pytest.importorskip("tensorflow")

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="how TensorFlow traces"
)

X = np.ones((2, 8, 8, 3), "float32")
Y = np.ones((2, 2), "float32")


@pytest.fixture
def wrapped():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, activation="silu", name="first"),
            layers.BatchNormalization(),
            layers.Conv2D(8, 3, name="second"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )
    model = keras_chex.wrap(model)
    model.compile("sgd", "mse")
    return model


def graphs():
    """How many graphs of functions are in memory."""
    gc.collect()
    kind = tf.__internal__.FuncGraph
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


def use(model):
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    model.predict_on_batch(X)


def change(model, width):
    keras_chex.set_active(model, {"first": range(width), "second": range(4)})
    use(model)


def test_graphs_do_not_pile_up_when_widths_change(wrapped):
    change(wrapped, 3)
    change(wrapped, 4)
    before = graphs()
    for width in (5, 6, 7):
        change(wrapped, width)
    assert graphs() == before


@pytest.mark.slow
def test_graphs_do_not_pile_up_when_weights_are_set(wrapped):
    change(wrapped, 3)
    narrow = wrapped.get_weights()
    change(wrapped, 4)
    before, wide = graphs(), wrapped.get_weights()
    for weights in (narrow, wide, narrow, wide):
        wrapped.set_weights(weights)
        use(wrapped)
    assert graphs() == before


def test_a_released_function_still_runs(wrapped):
    wrapped.optimizer.learning_rate.assign(0.0)
    expected = wrapped.train_on_batch(X, Y)
    function = wrapped.train_function
    assert release_traces(function)
    gc.collect()
    logs = function(iter([(X, Y)]))
    assert float(logs["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_gradients_of_others_stay(wrapped):
    @tf.custom_gradient
    def doubled(x):
        return 2 * x, lambda upstream: 5 * upstream

    @tf.function
    def other(x):
        return doubled(x)

    x = tf.constant(3.0)
    concrete = other.get_concrete_function(x)
    change(wrapped, 3)
    change(wrapped, 4)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = concrete(x)
    assert float(tape.gradient(y, x)) == 5.0
