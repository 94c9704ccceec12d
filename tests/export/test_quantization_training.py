"""Quantisation-aware training: float layers are told, the file is int8."""

import sys

import numpy as np
import pytest

import keras_chex
from keras_chex.export.litert import open_interpreter
from tests.checks import prepare
from tests.zoo import ROWS

tf = pytest.importorskip("tensorflow", reason="needs TensorFlow")
pytest.importorskip("tf_keras", reason="needs tf_keras")
pytest.importorskip("tensorflow_model_optimization", reason="needs TFMOT")
pytestmark = pytest.mark.tensorflow


def measured(model, x, **options):
    """A quantisation-aware model that has seen some batches."""
    tuned = keras_chex.quantize_aware(model, **options)
    for _ in range(4):
        tuned(x, training=True)
    return tuned


# Models with the layers that TFMOT leaves float.
FLOAT = {
    "dense_concat": ("d1_bn", "d2_bn", "transition_bn", "d3_bn", "last_bn"),
    "raw_operations": ("multiply",),
    "preprocessing": ("rescale", "normalize", "halve"),
}
FLOAT_TOO = {
    "residual_projection": (),
    "preactivation": ("b1_1_bn", "b2_1_bn", "last_bn"),
    "nested_functional": (),
    "spatial_layers": (),
    "prelu": ("prelu", "prelu_everywhere"),
}


@pytest.mark.parametrize(
    "name",
    [*FLOAT, *(pytest.param(n, marks=pytest.mark.large) for n in FLOAT_TOO)],
)
def test_file_computes_what_the_tuned_model_computes(name, tmp_path):
    model, x = prepare(ROWS[name].build, ROWS[name].seed)
    tuned = measured(model, x)
    path = tmp_path / "model.tflite"
    written = keras_chex.export_qat_tflite(tuned, path, x)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == ["model.tflite", "model.tflite.json"]
    assert written.bytes == path.stat().st_size
    assert written.relative_difference < 0.2
    assert keras_chex.float_layers(tuned) == {**FLOAT, **FLOAT_TOO}[name]


def kernels(path):
    interpreter = open_interpreter(path)
    return [
        detail["dtype"]
        for detail in interpreter.get_tensor_details()
        if len(detail["shape"]) == 4 and detail["shape"][1] == 3
    ]


def test_kernels_are_int8_and_those_of_an_excluded_layer_are_not(tmp_path):
    model, x = prepare(ROWS["no_batch_normalization"].build)
    for exclude in ((), ("c2",)):
        tuned = measured(model, x, exclude=exclude)
        path = tmp_path / "model.tflite"
        keras_chex.export_qat_tflite(tuned, path, x)
        assert keras_chex.float_layers(tuned) == exclude
        assert kernels(path).count(np.int8) >= 3 - len(exclude)


def test_a_wrapped_model_is_stripped_and_trains(tmp_path):
    model, x = prepare(ROWS["plain"].build)
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"c1": [0, 2, 3]})
    tuned = keras_chex.quantize_aware(wrapped)
    assert tuned.get_layer("quant_c1").layer.filters == 3
    tuned.compile("sgd", "mse")
    y = np.asarray(wrapped(x, training=False))
    losses = tuned.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    written = keras_chex.export_qat_tflite(tuned, tmp_path / "m.tflite", x)
    assert written.relative_difference < 0.2


def test_shared_layers_are_refused():
    with pytest.raises(ValueError, match=r"call every layer once.*'shared'"):
        keras_chex.quantize_aware(ROWS["shared_on_itself"].build())


@pytest.mark.parametrize("exclude", [("nobody",), "c1"])
def test_excluding_what_is_no_layer_is_refused(exclude):
    with pytest.raises(ValueError, match="`exclude` must be a list of names"):
        keras_chex.quantize_aware(ROWS["plain"].build(), exclude)


@pytest.mark.parametrize(
    "function",
    [
        keras_chex.float_layers,
        lambda model: keras_chex.export_qat_tflite(model, "model.tflite"),
    ],
)
def test_a_model_without_quantization_is_refused(function):
    with pytest.raises(TypeError, match="`quantize_aware` made. Received"):
        function(ROWS["plain"].build())


def test_missing_tfmot_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    with pytest.raises(ImportError, match=r"keras_chex\[tfmot\]"):
        keras_chex.quantize_aware(ROWS["plain"].build())


def test_a_file_of_another_network_is_not_kept(monkeypatch, tmp_path):
    from keras_chex.export import quantization_training

    model, x = prepare(ROWS["no_batch_normalization"].build)
    tuned = measured(model, x)
    convert = quantization_training._convert

    def after_a_change(saved_model):
        tuned.set_weights([w + 1 for w in tuned.get_weights()])
        return convert(saved_model)

    monkeypatch.setattr(quantization_training, "_convert", after_a_change)
    with pytest.raises(RuntimeError, match="int8 file does not compute"):
        keras_chex.export_qat_tflite(tuned, tmp_path / "m.tflite", x)
    assert not list(tmp_path.iterdir())
