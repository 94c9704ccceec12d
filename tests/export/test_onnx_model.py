"""ONNX files: what is written runs and computes the same, or is not kept."""

import importlib.util

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.export import onnx_model
from tests.export import models

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
pytest.importorskip("tf2onnx", reason="needs tf2onnx")
pytestmark = pytest.mark.tensorflow
NAMES = [name for name in models.MODELS if name != "subclassed_model"]


@pytest.mark.parametrize("name", NAMES)
def test_written_file_is_the_only_trace(name, tmp_path):
    keras_chex.export_onnx(models.MODELS[name](), tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_batch_size_is_free_and_a_wrapped_model_is_stripped(tmp_path):
    wrapped = keras_chex.wrap(models.sequence_model())
    path = keras_chex.export_onnx(wrapped, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(path))
    x = np.random.default_rng(0).normal(size=(5, 16, 2)).astype("float32")
    (entry,) = session.get_inputs()
    (received,) = session.run(None, {entry.name: x})
    expected = keras_chex.strip(wrapped)(x, training=False)
    np.testing.assert_allclose(received, expected, atol=1e-5)


def test_opset_version_is_the_one_asked_for(tmp_path):
    import onnx

    path = tmp_path / "model.onnx"
    keras_chex.export_onnx(models.image_model(), path, opset_version=15)
    versions = {e.domain: e.version for e in onnx.load(path).opset_import}
    assert versions[""] == 15


@pytest.mark.parametrize("version", [0, "15", True])
def test_bad_opset_versions_are_refused(version, tmp_path):
    with pytest.raises(ValueError, match="`opset_version` must be a positive"):
        keras_chex.export_onnx(
            models.image_model(), tmp_path / "m.onnx", version
        )


def test_wrong_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`path` must end with '.onnx'"):
        keras_chex.export_onnx(models.image_model(), tmp_path / "model.tflite")


def test_own_call_is_refused(tmp_path):
    with pytest.raises(ValueError, match="functional or Sequential model"):
        keras_chex.export_onnx(
            models.MODELS["subclassed_model"](), tmp_path / "m.onnx"
        )


def test_half_precision_is_refused(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, dtype="mixed_float16")]
    )
    with pytest.raises(ValueError, match=r"float32.*Received: .*'float16'"):
        keras_chex.export_onnx(model, tmp_path / "m.onnx")


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"onnx, .*keras_chex\[onnx\]"):
        keras_chex.export_onnx(models.image_model(), tmp_path / "m.onnx")


def test_file_that_computes_something_else_is_not_kept(monkeypatch, tmp_path):
    write = onnx_model._write

    def write_other(model, staged, opset_version):
        for weight in model.weights:
            weight.assign(2.0 * weight + 1.0)
        write(model, staged, opset_version)

    monkeypatch.setattr(onnx_model, "_write", write_other)
    with pytest.raises(RuntimeError, match="ONNX file does not compute"):
        keras_chex.export_onnx(models.image_model(), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
