"""Logs of long runs: rate and speed in every epoch, files for TensorBoard."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments.common.run_log import EventFile, SpeedLog
from experiments.common.training import Stopwatch


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    rate = keras.optimizers.schedules.PolynomialDecay(0.5, 4, 0.1)
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def fit(model, callbacks, epochs=2):
    x, y = np.ones((8, 2)), np.ones((8, 1))
    fitted = model.fit(
        x, y, batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0
    )
    return fitted.history


def events(directory):
    """Values by tag and epoch of all files in a directory."""
    found = {}
    for path in sorted(directory.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                number = tf.make_ndarray(value.tensor).item()
                found[value.tag, event.step] = number
    return found


def test_rate_and_speed_are_logged(model):
    stopwatch = Stopwatch()
    history = fit(model, [stopwatch, SpeedLog(stopwatch, images=8)])
    assert history["learning_rate"] == pytest.approx([0.3, 0.1])
    assert all(speed > 0 for speed in history["images_per_second"])


def test_all_logs_are_written_for_tensorboard(model, tmp_path):
    history = fit(model, [EventFile(tmp_path)])
    assert events(tmp_path) == {
        ("loss", 1): pytest.approx(history["loss"][0]),
        ("loss", 2): pytest.approx(history["loss"][1]),
    }


def test_a_later_start_adds_its_epochs(model, tmp_path):
    fit(model, [EventFile(tmp_path)], epochs=1)
    fit(model, [EventFile(tmp_path)], epochs=2)
    assert ("loss", 2) in events(tmp_path)
