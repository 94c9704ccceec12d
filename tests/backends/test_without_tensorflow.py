"""The package without TensorFlow: it loads, and says what it cannot do."""

import subprocess
import sys

import keras
import pytest

import keras_chex
from tests.zoo_topologies import plain

elsewhere = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="is about the other backends of Keras",
)


@elsewhere
def test_the_package_loads_and_works_where_tensorflow_is_not_installed():
    script = (
        "import sys; sys.modules['tensorflow'] = None; "
        "import keras, keras_chex; "
        "model = keras_chex.wrap(keras.Sequential([keras.Input((4,)), "
        "keras.layers.Dense(6, name='hidden'), keras.layers.Dense(2)])); "
        "keras_chex.set_active(model, {'hidden': [1, 4]}); "
        "print(keras_chex.strip(model).get_layer('hidden').units)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["2"]


@elsewhere
@pytest.mark.parametrize(
    "export",
    [
        keras_chex.export_saved_model,
        keras_chex.export_tflite,
        lambda model, path: keras_chex.benchmark(model),
    ],
    ids=["export_saved_model", "export_tflite", "benchmark"],
)
def test_exports_say_which_backend_they_need(export, tmp_path):
    rule = (
        "needs Keras on its TensorFlow backend. Received: backend "
        f"'{keras.backend.backend()}'. Save the model .* "
        "KERAS_BACKEND=tensorflow, where TensorFlow is installed"
    )
    with pytest.raises(RuntimeError, match=rule):
        export(plain(), tmp_path / "model.tflite")
    assert not any(tmp_path.iterdir())


def test_running_a_file_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    path = tmp_path / "model.tflite"
    path.write_bytes(b"")
    with pytest.raises(ImportError, match="needs LiteRT or TensorFlow"):
        keras_chex.benchmark(path)
