"""Models that draw random numbers in inference: what files make of them."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="files are written by it"
)


@keras.saving.register_keras_serializable("tests")
class MonteCarloDropout(layers.Dropout):
    """Dropout that never ends, to see how sure a network is."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


def monte_carlo():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu")(inputs)
    x = MonteCarloDropout(0.5)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(x), name="monte_carlo")


def test_litert_has_no_random_numbers(tmp_path):
    with pytest.raises(RuntimeError, match="lacks operations .*Random"):
        keras_chex.export_tflite(monte_carlo(), tmp_path / "model.tflite")
    assert not list(tmp_path.iterdir())


def test_an_onnx_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="this ONNX file would repeat"):
        keras_chex.export_onnx(monte_carlo(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_saved_model_goes_on_drawing(tmp_path):
    import tensorflow as tf

    path = keras_chex.export_saved_model(monte_carlo(), tmp_path / "model")
    serve = tf.saved_model.load(str(path)).signatures["serving_default"]
    x = tf.ones((2, 8, 8, 3))
    one, other = (serve(x)["output_0"].numpy() for _ in range(2))
    assert np.abs(one - other).max() > 1e-3
