"""TFLite files of 8-bit integers: calibrated, compared, described."""

import errno
import json
import pathlib

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.export import conversion
from keras_chex.export.examples import MAX_EXAMPLES
from keras_chex.export.litert import open_interpreter, run_interpreter
from tests.export import models

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow")
pytestmark = pytest.mark.tensorflow

layers = keras.layers
INTEGERS = ("int8", "int8_full")


def images(count=64, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 8, 8, 3)).astype("float32")


def deep_model():
    """Depthwise, residual, gate and concatenation: one scale each."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.Conv2D(16, 1)(layers.ReLU()(y))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(16, 1, activation="sigmoid")(gate)
    x = layers.Add()([x, layers.Multiply()([y, gate])])
    x = layers.Concatenate()([x, layers.MaxPooling2D(3, 1, "same")(y)])
    x = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return models.with_statistics(keras.Model(inputs, x))


def dtypes(path):
    interpreter = open_interpreter(path)
    interpreter.allocate_tensors()
    ends = interpreter.get_input_details(), interpreter.get_output_details()
    return [detail["dtype"] for details in ends for detail in details]


@pytest.mark.parametrize("mode", INTEGERS)
def test_a_network_computes_in_integers(mode, tmp_path):
    path = tmp_path / "model.tflite"
    x = images()
    report = keras_chex.export_tflite(deep_model(), path, mode, x)
    assert report.mode == mode
    assert report.examples == 64
    assert 0 < report.relative_difference < 0.1
    assert report.top1_agreement > 0.8
    assert report.float_operations == ()
    expected = np.float32 if mode == "int8" else np.int8
    assert dtypes(path) == [expected] * 2


@pytest.mark.parametrize("mode", INTEGERS)
@pytest.mark.parametrize(
    "name", ["two_inputs_two_outputs", "dict_inputs_and_outputs"]
)
def test_structures_are_kept(mode, name, tmp_path):
    model = models.MODELS[name]()
    rng = np.random.default_rng(0)
    inputs = keras.tree.map_structure(
        lambda x: rng.normal(size=(40, *x.shape[1:])), model.input
    )
    report = keras_chex.export_tflite(
        model, tmp_path / "m.tflite", mode, inputs
    )
    assert report.relative_difference < 0.1
    assert report.top1_agreement is None


def test_the_batch_size_stays_free(tmp_path):
    model, x = models.image_model(), images(7)
    path = tmp_path / "model.tflite"
    keras_chex.export_tflite(model, path, "int8", x)
    got = run_interpreter(open_interpreter(path), {"image": x})["output_0"]
    expected = np.asarray(model(x, training=False))
    assert np.abs(got - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("mode", INTEGERS)
def test_examples_are_needed(mode, tmp_path):
    with pytest.raises(
        ValueError,
        match=f"quantize='{mode}' measures the ranges of activations on real "
        "inputs. Received: representative_data=None; give some hundred",
    ):
        keras_chex.export_tflite(
            models.image_model(), tmp_path / "model.tflite", mode
        )
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "stream",
    [
        lambda x: tf.data.Dataset.from_tensor_slices(x).batch(5),
        lambda x: tf.data.Dataset.from_tensors((x, np.zeros(len(x)))),
        lambda x: (x[i : i + 3] for i in range(0, len(x), 3)),
    ],
)
def test_examples_may_come_in_batches(stream, tmp_path):
    report = keras_chex.export_tflite(
        models.image_model(), tmp_path / "m.tflite", "int8", stream(images(12))
    )
    assert report.examples == 12


def test_examples_beyond_the_first_are_not_used(tmp_path):
    report = keras_chex.export_tflite(
        models.image_model(),
        tmp_path / "model.tflite",
        representative_data=images(MAX_EXAMPLES + 10),
    )
    assert report.examples == MAX_EXAMPLES


@pytest.mark.parametrize(
    "data, message",
    [
        (iter(()), "an iterable without a batch"),
        (np.zeros((4, 8, 8, 1)), r"an array of shape \(4, 8, 8, 1\)"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, "structure of the model's"),
    ],
)
def test_unfit_examples_are_refused(data, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        keras_chex.export_tflite(
            models.image_model(), tmp_path / "model.tflite", "int8", data
        )
    assert not any(tmp_path.iterdir())


def floating_model():
    inputs = keras.Input((6, 6, 6, 2))
    return keras.Model(inputs, layers.Conv3D(4, 3)(inputs))


def test_what_cannot_be_integer_is_named(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 6, 2))
    path = tmp_path / "model.tflite"
    report = keras_chex.export_tflite(floating_model(), path, "int8", x)
    assert report.float_operations == ("CONV_3D",)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="CONV_3D|LiteRT lacks|converter"):
        keras_chex.export_tflite(floating_model(), path, "int8_full", x)
    assert path.read_bytes() == before


def test_the_json_file_says_what_was_written(tmp_path):
    wrapped = keras_chex.wrap(models.image_model())
    group = keras_chex.channel_groups(wrapped)[0]
    keras_chex.set_active(wrapped, {group.name: [0, 2]})
    report = keras_chex.export_tflite(
        wrapped,
        tmp_path / "model.tflite",
        "int8",
        images(),
        metadata={"budget": {"flops": 0.5}},
    )
    text = (tmp_path / "model.tflite.json").read_text()
    entries = json.loads(text)
    assert entries["file"] == "model.tflite"
    assert entries["mode"] == "int8"
    assert entries["relative_difference"] == report.relative_difference
    assert entries["flops"] == keras_chex.flops(wrapped)
    assert entries["flops"] * 2 == entries["dense_flops"]
    assert entries["channels"][group.name] == {"active": 2, "of": 4}
    assert entries["budget"] == {"flops": 0.5}
    assert entries["versions"]["keras"] == keras.__version__
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    "metadata, error, message",
    [
        ("budget", TypeError, "must be a dict"),
        ({"mode": 1}, ValueError, r"\['mode'\]; choose other names"),
        ({"a": np.zeros(2)}, ValueError, "must hold what JSON can"),
    ],
)
def test_unfit_metadata_is_refused(metadata, error, message, tmp_path):
    path = tmp_path / "model.tflite"
    with pytest.raises(error, match=message):
        keras_chex.export_tflite(models.image_model(), path, metadata=metadata)
    assert not any(tmp_path.iterdir())


def test_the_report_reads_well(tmp_path):
    path = tmp_path / "model.tflite"
    report = keras_chex.export_tflite(
        models.image_model(), path, "dynamic", images(8)
    )
    first, second, third = report.describe().splitlines()
    assert first == f"{path}: dynamic, {report.bytes:,} bytes"
    assert second.endswith("of the largest output (8 examples)")
    assert third.startswith("same class as Keras: ")


def test_a_full_disk_leaves_the_earlier_pair(tmp_path, monkeypatch):
    path = tmp_path / "model.tflite"
    keras_chex.export_tflite(models.image_model(), path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match="could not be written to .*No space"):
        keras_chex.export_tflite(deep_model(), path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_wrong_file_is_noticed(tmp_path, monkeypatch):
    """The check can fail: calibrated on zeros, activations are cut off."""
    single = conversion.convert

    def on_zeros(saved_model, quantize, calibration):
        def zeros():
            for example in calibration():
                yield {n: np.zeros_like(x) for n, x in example.items()}

        return single(saved_model, quantize, zeros)

    monkeypatch.setattr("keras_chex.export.tflite.convert", on_zeros)
    with pytest.raises(RuntimeError, match="does not compute what the model"):
        keras_chex.export_tflite(
            deep_model(), tmp_path / "m.tflite", "int8", 10 * images()
        )
