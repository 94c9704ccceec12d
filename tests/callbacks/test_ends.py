"""Runs that end before their time, and arguments of other number types."""

import keras
import numpy as np
import pytest

import keras_chex
from tests import checks


def network(**options):
    keras.utils.set_random_seed(0)
    model = keras_chex.wrap(
        keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(16, "relu", name="one"),
                keras.layers.Dense(16, "relu", name="two"),
                keras.layers.Dense(2),
            ]
        )
    )
    model.compile("adam", "mse", run_eagerly=checks.EAGER)
    return model, keras_chex.ChexScheduler(interval=1, verbose=0, **options)


def test_a_run_that_diverged_returns_its_history():
    model, scheduler = network(flops=0.5)
    x = np.full((8, 6), np.nan)
    stop = keras.callbacks.TerminateOnNaN()
    with pytest.warns(UserWarning, match="channels stay as they are.*diverged"):
        history = model.fit(
            x, np.ones((8, 2)), epochs=4, verbose=0, callbacks=[scheduler, stop]
        )
    assert np.isnan(history.history["loss"][0])


def test_numbers_of_numpy_are_numbers():
    model, scheduler = network(
        flops=np.float32(0.5),
        end=np.int64(2),
        regrow=np.float64(0.2),
        round_to=np.int64(2),
        min_channels={"one": np.int64(4)},
    )
    x = np.ones((8, 6))
    model.fit(x, x[:, :2], epochs=4, verbose=0, callbacks=[scheduler])
    assert keras_chex.summary(model).flops <= 0.5 * 16 * (6 + 16 + 2)
    assert keras_chex.active_channels(model)["one"].sum() >= 4


def test_bounds_that_exclude_each_other():
    model, scheduler = network(
        flops=0.5, min_channels={"one": 6}, max_channels={"one": 3}
    )
    with pytest.raises(ValueError, match="at least 6 and at most 3 .*'one'"):
        scheduler.plan(model, epochs=4)


@pytest.mark.parametrize("exclude", [None, 5])
def test_what_excludes_nothing(exclude):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    with pytest.raises(TypeError, match=f"Received: exclude={exclude}"):
        keras_chex.wrap(model, exclude=exclude)
