"""Optimizers: a wrapped model trains as the stripped one does."""

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.graph.keras_training import slots

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 3, 16)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9, weight_decay=0.01),
    "clipped": lambda: keras.optimizers.SGD(0.1, global_clipnorm=0.05),
    "adam": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "lamb": lambda: keras.optimizers.Lamb(0.01, weight_decay=0.1),
    "lion": lambda: keras.optimizers.Lion(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5),
    "adagrad": lambda: keras.optimizers.Adagrad(0.01),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01)
    ),
    "accumulated": lambda: keras.optimizers.SGD(
        0.1, momentum=0.9, gradient_accumulation_steps=2
    ),
    "average": lambda: keras.optimizers.Adam(
        0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
}


def wrapped(optimizer):
    keras.utils.set_random_seed(0)
    model = keras_chex.wrap(
        keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(8, name="hidden"),
                keras.layers.BatchNormalization(name="bn"),
                keras.layers.ReLU(),
                keras.layers.Dense(3, name="logits"),
            ]
        )
    )
    model.compile(optimizer, LOSS, run_eagerly=True)
    return model


def train(model, steps):
    for _ in range(steps):
        model.train_on_batch(X, Y)


def arrays(model):
    return [keras.ops.convert_to_numpy(w) for w in model.weights]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_four_steps_equal_those_of_the_stripped_model(name):
    model = wrapped(OPTIMIZERS[name]())
    keras_chex.set_active(model, {"hidden": [0, 3, 4, 7]})
    small = keras_chex.strip(model)
    small.compile(OPTIMIZERS[name](), LOSS, run_eagerly=True)
    train(model, 4)
    train(small, 4)
    for ours, theirs in zip(
        arrays(keras_chex.strip(model)), arrays(small), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_dormant_elements_stay_zero_whatever_went_before(name):
    model = wrapped(OPTIMIZERS[name]())
    train(model, 4)
    keras_chex.set_active(model, {"hidden": [0, 3, 4, 7]})
    train(model, 4)
    kernel = keras.ops.convert_to_numpy(model.get_layer("hidden").kernel)
    np.testing.assert_array_equal(kernel[:, [1, 2, 5, 6]], 0)
    assert np.abs(kernel[:, [0, 3, 4, 7]]).min() > 0


def test_returning_elements_have_their_value_and_fair_slots():
    model = wrapped(keras.optimizers.Adam(0.01))
    train(model, 4)
    kernel = model.get_layer("hidden").kernel
    before = keras.ops.convert_to_numpy(kernel)
    keras_chex.set_active(model, {"hidden": [0, 3, 4, 7]})
    train(model, 3)
    found = slots(model.optimizer, kernel)
    assert set(found) == {"_momentums", "_velocities"}
    velocity = keras.ops.convert_to_numpy(found["_velocities"])
    mean = velocity[:, [0, 3, 4, 7]].mean()
    keras_chex.set_active(model, {"hidden": np.arange(8)})
    after = keras.ops.convert_to_numpy(kernel)
    np.testing.assert_array_equal(after[:, 1], before[:, 1])
    momentum = keras.ops.convert_to_numpy(found["_momentums"])
    velocity = keras.ops.convert_to_numpy(found["_velocities"])
    np.testing.assert_array_equal(momentum[:, [1, 2, 5, 6]], 0)
    np.testing.assert_allclose(velocity[:, [1, 2, 5, 6]], mean, rtol=1e-5)
    # No returning weight moves by more than a few learning rates.
    train(model, 1)
    moved = keras.ops.convert_to_numpy(kernel) - after
    assert np.abs(moved).max() < 0.03


def test_moving_averages_take_over_the_returning_values():
    model = wrapped(keras.optimizers.SGD(0.1, use_ema=True))
    train(model, 4)
    kernel = model.get_layer("hidden").kernel
    keras_chex.set_active(model, {"hidden": [0, 3]})
    average = slots(model.optimizer, kernel)["_model_variables_moving_average"]
    train(model, 2)
    array = keras.ops.convert_to_numpy(average)
    np.testing.assert_array_equal(array[:, [1, 2, 4, 5, 6, 7]], 0)
    keras_chex.set_active(model, {"hidden": [0, 1]})
    array = keras.ops.convert_to_numpy(average)
    np.testing.assert_array_equal(
        array[:, 1], keras.ops.convert_to_numpy(kernel)[:, 1]
    )
    np.testing.assert_array_equal(array[:, 3], 0)


def test_channels_can_change_before_an_optimizer_is_built():
    model = wrapped("adam")
    assert not model.optimizer.built
    keras_chex.set_active(model, {"hidden": [2]})
    train(model, 1)
    kernel = keras.ops.convert_to_numpy(model.get_layer("hidden").kernel)
    np.testing.assert_array_equal(np.flatnonzero(np.abs(kernel).sum(0)), [2])
