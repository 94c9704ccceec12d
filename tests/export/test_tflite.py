"""TFLite files: what is written runs and computes the same, or is not kept."""

import json
import os
import sys

import keras
import numpy as np
import pytest

from keras_chex.export.litert import open_interpreter, run_interpreter
from keras_chex.export.tflite import export_tflite
from tests.export import models

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow")
pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("name", models.MODELS)
def test_written_files_are_the_only_trace(name, tmp_path):
    model = models.MODELS[name]()
    export_tflite(model, tmp_path / "model.tflite")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["model.tflite", "model.tflite.json"]


def test_outputs_equal_those_of_keras_at_another_batch_size(tmp_path):
    model = models.image_model()
    images = np.random.default_rng(1).normal(size=(7, 8, 8, 3))
    images = images.astype("float32")
    path = export_tflite(model, str(tmp_path / "model.tflite"))
    received = run_interpreter(open_interpreter(path), {"image": images})
    expected = model(images, training=False)
    np.testing.assert_allclose(received["output_0"], expected, atol=1e-4)


def test_outputs_are_told_apart_by_name(tmp_path):
    model = models.dict_inputs_and_outputs()
    rng = np.random.default_rng(1)
    inputs = {
        name: rng.normal(size=(3, 4)).astype("float32")
        for name in ("zebra", "apple")
    }
    path = export_tflite(model, tmp_path / "model.tflite")
    received = run_interpreter(open_interpreter(path), inputs)
    expected = model(inputs, training=False)
    assert received.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(received[name], values, atol=1e-4)


def test_first_run_is_at_batch_one(tmp_path):
    path = export_tflite(models.image_model(), tmp_path / "model.tflite")
    (detail,) = open_interpreter(path).get_input_details()
    assert detail["shape"].tolist() == [1, 8, 8, 3]
    assert detail["shape_signature"].tolist() == [-1, 8, 8, 3]


def wide_model():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )


@pytest.mark.parametrize(
    ("quantize", "share"), [("float16", 0.6), ("dynamic", 0.4)]
)
def test_quantized_file_is_smaller(quantize, share, tmp_path):
    model = wide_model()
    plain = export_tflite(model, tmp_path / "plain.tflite")
    small = export_tflite(model, tmp_path / "small.tflite", quantize)
    assert small.bytes == small.path.stat().st_size
    assert small.bytes < share * plain.bytes


def test_unknown_quantization_names_the_known_ones(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"Argument `quantize` must be one of \[None, 'float16', "
        r"'dynamic', 'int8', 'int8_full'\]. Received: quantize='int4'",
    ):
        export_tflite(models.image_model(), tmp_path / "m.tflite", "int4")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_model_is_written_in_float32(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        model = models.image_model()
    finally:
        keras.config.set_dtype_policy("float32")
    export_tflite(model, tmp_path / "model.tflite")
    assert model.layers[1].dtype_policy.name == policy


def test_difference_is_an_error_and_keeps_the_earlier_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"earlier")
    with pytest.raises(
        RuntimeError,
        match="The TFLite file does not compute what the model computes: "
        r"output 'output_0' differs by .* Nothing was kept",
    ):
        export_tflite(models.unfaithful_model(), path)
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def pooled_volume_model():
    inputs = keras.Input((6, 6, 6, 2))
    x = keras.layers.MaxPooling3D(2)(keras.layers.Conv3D(4, 3)(inputs))
    return keras.Model(inputs, x)


def test_operation_that_litert_lacks_is_named(tmp_path):
    with pytest.raises(
        RuntimeError,
        match="LiteRT lacks operations of this model: MaxPool3D. "
        "Replace them, or write a SavedModel with `export_saved_model`",
    ):
        export_tflite(pooled_volume_model(), tmp_path / "model.tflite")
    assert not any(tmp_path.iterdir())


def test_what_the_converter_minds_is_told(tmp_path):
    inputs = keras.Input((4, 4, 4, 2))
    x = keras.layers.Conv3D(4, 3, padding="same")(inputs)
    x = keras.layers.PReLU(shared_axes=[1, 2, 3])(x)
    with pytest.raises(
        RuntimeError,
        match="The TFLite converter failed: 'tfl.prelu' op .* Replace what it "
        "names, or write a SavedModel with `export_saved_model`",
    ):
        export_tflite(keras.Model(inputs, x), tmp_path / "model.tflite")
    assert not any(tmp_path.iterdir())


def recurrent_model(batch_size=None):
    inputs = keras.Input((8, 6, 1), batch_size=batch_size)
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    x = keras.layers.Reshape((8, 24))(x)
    x = keras.layers.Bidirectional(keras.layers.LSTM(5))(x)
    return keras.Model(inputs, keras.layers.Dense(3)(x))


@pytest.mark.parametrize("quantize", [None, "dynamic"])
def test_recurrent_layers_take_one_example_at_a_time(quantize, tmp_path):
    report = export_tflite(recurrent_model(), tmp_path / "m.tflite", quantize)
    assert report.batch_size == 1
    assert "for batches of 1 only" in report.describe()
    entries = json.loads((tmp_path / "m.tflite.json").read_text())
    assert entries["batch_size"] == 1
    (entry,) = open_interpreter(report).get_input_details()
    assert entry["shape"].tolist() == [1, 8, 6, 1]
    assert entry["shape_signature"].tolist() == [1, 8, 6, 1]


def test_sizes_that_are_lost_with_an_open_batch_are_fixed(tmp_path):
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Conv2DTranspose(4, 3, padding="same")(inputs)
    x = keras.layers.UpSampling2D(2)(keras.layers.UpSampling2D(2)(x))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1)(x))
    report = export_tflite(model, tmp_path / "model.tflite")
    assert report.batch_size == 1


def test_a_batch_size_of_its_own_stays(tmp_path):
    report = export_tflite(recurrent_model(2), tmp_path / "model.tflite")
    assert report.batch_size == 2


def test_other_models_take_batches_of_any_size(tmp_path):
    report = export_tflite(models.image_model(), tmp_path / "model.tflite")
    assert report.batch_size is None and "only" not in report.describe()


def test_tensorflow_runs_the_file_where_litert_is_missing(
    tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    path = export_tflite(models.image_model(), tmp_path / "model.tflite")
    assert isinstance(open_interpreter(path), tf.lite.Interpreter)


def test_examples_are_what_outputs_are_compared_on(tmp_path):
    model = models.embedding_model()
    report = export_tflite(
        model,
        tmp_path / "model.tflite",
        representative_data=np.full((5, 6), 19),
    )
    assert report.examples == 5


@pytest.mark.parametrize("pack", [lambda x: x, lambda x: [x]])
def test_examples_of_one_input_come_alone_or_in_a_list(pack, tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model([inputs], keras.layers.Dense(2)(inputs))
    examples = pack(np.ones((2, 4)))
    path = tmp_path / "model.tflite"
    report = export_tflite(model, path, representative_data=examples)
    assert os.fspath(report) == str(report) == str(path)


def test_unwritable_path_is_refused_before_the_work(tmp_path):
    with pytest.raises(ValueError, match="must end with '.tflite'"):
        export_tflite(models.unfaithful_model(), tmp_path / "model.lite")


def test_chatter_of_the_converter_stays_off_the_terminal(tmp_path, capfd):
    export_tflite(models.image_model(), tmp_path / "model.tflite")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""
