"""A wrapped model is exported as the small model that it computes."""

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.export.litert import open_interpreter, run_interpreter
from tests.export import models

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow")
pytestmark = pytest.mark.tensorflow


def narrow_model():
    """A wrapped model with a third of the channels of its convolution."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(48, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    wrapped = keras_chex.wrap(models.with_statistics(model))
    keras_chex.set_active(wrapped, {"conv": np.arange(0, 48, 3)})
    return wrapped


@pytest.fixture(scope="module")
def wrapped():
    return narrow_model()


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(5, 8, 8, 3)).astype("float32")


def test_tflite_file_computes_what_the_wrapped_model_computes(
    wrapped, images, tmp_path
):
    path = keras_chex.export_tflite(wrapped, tmp_path / "model.tflite")
    received = run_interpreter(open_interpreter(path), {"image": images})
    expected = wrapped(images, training=False)
    np.testing.assert_allclose(received["output_0"], expected, atol=1e-4)


def test_saved_model_computes_what_the_wrapped_model_computes(
    wrapped, images, tmp_path
):
    path = keras_chex.export_saved_model(wrapped, tmp_path / "model")
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    received = serve(image=tf.constant(images))["output_0"]
    expected = wrapped(images, training=False)
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_file_has_the_size_of_the_small_model(wrapped, tmp_path):
    narrow = keras_chex.export_tflite(wrapped, tmp_path / "narrow.tflite")
    stripped = keras_chex.strip(wrapped)
    plain = keras_chex.export_tflite(stripped, tmp_path / "plain.tflite")
    weights = 4 * stripped.count_params()
    assert narrow.bytes == plain.bytes
    assert narrow.bytes < weights + 4096


def test_wrapped_model_is_timed_as_the_small_model(wrapped):
    result = keras_chex.benchmark(wrapped, runs=1, warmup=1)
    assert result.name == wrapped.name
    assert result.bytes < 4 * wrapped.count_params()


def test_exporting_leaves_the_wrapped_model_as_it_was(
    wrapped, images, tmp_path
):
    before = wrapped(images, training=False)
    keras_chex.export_tflite(wrapped, tmp_path / "model.tflite")
    assert keras_chex.active_channels(wrapped)["conv"].sum() == 16
    np.testing.assert_array_equal(wrapped(images, training=False), before)
