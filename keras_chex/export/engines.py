"""What a network can be run by: LiteRT, or TensorFlow in two forms."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np

from keras_chex.export import memory_probe
from keras_chex.export.examples import FREE_SIZE
from keras_chex.export.litert import open_interpreter
from keras_chex.export.quiet import quiet_stderr
from keras_chex.export.saved_model import MARKER, load_saved_model
from keras_chex.export.tflite import export_tflite
from keras_chex.graph.keras_nodes import input_structure

TFLITE, SAVED_MODEL, KERAS = "tflite", "saved_model", "keras"


def file_of(path_or_model, temporary):
    """Finds, or makes, the file to run.

    Args:
        path_or_model: see `benchmark`.
        temporary: `pathlib.Path` for the file that a model becomes.

    Returns:
        Name, path and kind: one of `TFLITE`, `SAVED_MODEL` and `KERAS`.

    Raises:
        TypeError: If `path_or_model` is neither a path nor a model.
        ValueError: If nothing that can be run is at the path.
    """
    if not isinstance(path_or_model, str | os.PathLike):
        export_tflite(path_or_model, temporary)
        return path_or_model.name, temporary, TFLITE
    path = pathlib.Path(path_or_model)
    if path.is_file() and path.suffix in (".tflite", ".keras"):
        return path.name, path, path.suffix[1:]
    if (path / MARKER).is_file():
        return path.name, path, SAVED_MODEL
    raise ValueError(
        "Argument `path_or_model` must be an existing '.tflite' or '.keras' "
        "file, the folder of a SavedModel, or a Keras model. Received: "
        f"{str(path)!r}"
    )


def prepared(kind, path, threads, batch_size):
    """Makes a function that runs a network once on random numbers.

    Args:
        kind: what `file_of` returned.
        path: `pathlib.Path`.
        threads: int, threads of LiteRT; TensorFlow uses its own setting.
        batch_size: int, examples per inference; `None` for what the file
            takes, one where it takes any number.

    Returns:
        `(function, int)`, the second the examples per inference.

    Raises:
        ValueError: If the file is broken, or takes another number of examples.
    """
    make = {TFLITE: _litert, SAVED_MODEL: _signature, KERAS: _model}[kind]
    try:
        return make(path, threads, batch_size)
    except _BatchSizeError as error:
        raise ValueError(
            f"Argument `batch_size` must be {error} for '{path}', which takes "
            f"no other. Received: batch_size={batch_size}"
        ) from None
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        first, *_ = str(error).splitlines() or [type(error).__name__]
        raise ValueError(
            f"Argument `path_or_model` must be a sound file. Received: "
            f"{str(path)!r}, which cannot be run: {first}"
        ) from error


def size_of(path):
    """Bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def peak_memory(kind, path, threads, batch_size):
    """Memory that loading a network and running it once takes.

    Args:
        kind: what `file_of` returned.
        path: `pathlib.Path`.
        threads: int, threads of LiteRT.
        batch_size: int, examples per inference.

    Returns:
        Int, bytes of the resident set at its peak, beyond what the libraries
        held before, in a process of its own; `None` where that process fails.
    """
    numbers = map(str, (threads, batch_size, FREE_SIZE))
    probe = pathlib.Path(memory_probe.__file__)
    folders = [str(probe.parents[2]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(probe), kind, str(path), *numbers],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return None
    return json.loads(done.stdout.splitlines()[-1])["bytes"]


def _litert(path, threads, batch_size):
    interpreter, examples = open_interpreter(path, threads), 1
    for detail in interpreter.get_input_details():
        sizes = detail["shape_signature"]
        shape = [FREE_SIZE if size < 0 else int(size) for size in sizes]
        if sizes.size:
            examples = _examples(max(int(sizes[0]), 0), batch_size)
            shape[0] = examples
        interpreter.resize_tensor_input(detail["index"], shape)
    with quiet_stderr():
        interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        values = _draw(detail["shape"])
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    return interpreter.invoke, examples


def _signature(path, threads, batch_size):
    del threads
    import tensorflow as tf

    loaded, specs = load_saved_model(path)
    signature = loaded.signatures["serving_default"]
    inputs = {
        spec.name: tf.cast(_draw(_sizes(spec.shape, batch_size)), spec.dtype)
        for spec in tf.nest.flatten(specs)
    }

    def run():
        outputs = signature(**inputs)
        for output in outputs.values():
            output.numpy()

    run.loaded = loaded  # A signature does not keep its model alive.
    return run, _examples_of(tf.nest.flatten(specs), batch_size)


def _model(path, threads, batch_size):
    del threads
    model = keras.saving.load_model(path, compile=False)
    inputs = keras.tree.map_structure(
        lambda x: _draw(_sizes(x.shape, batch_size)).astype(x.dtype),
        input_structure(model),
    )
    model.make_predict_function()
    examples = _examples_of(model.inputs, batch_size)
    return lambda: model.predict_on_batch(inputs), examples


def _examples_of(inputs, batch_size):
    return _examples(inputs[0].shape[0], batch_size)


def _sizes(shape, batch_size):
    first, *others = shape
    others = [size or FREE_SIZE for size in others]
    return [_examples(first, batch_size), *others]


def _examples(fixed, batch_size):
    """How many examples an input takes; `fixed` is 0 or None where it is open.

    Raises:
        _BatchSizeError: If that is another number than the one asked for.
    """
    if fixed and batch_size and fixed != batch_size:
        raise _BatchSizeError(fixed)
    return fixed or batch_size or 1


class _BatchSizeError(ValueError):
    """Its message is the batch size that a file has."""


def _draw(shape):
    return np.random.default_rng(0).uniform(0.0, 1.0, shape)
