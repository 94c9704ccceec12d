"""Writes ONNX files that are known to compute what the model computes."""

import contextlib
import importlib.util
import io
import warnings

import keras

from keras_chex.export.plain_model import plain_model
from keras_chex.export.quiet import quiet_stderr
from keras_chex.export.staging import staged_file
from keras_chex.export.verification import (
    check_same_outputs,
    full_float32,
    input_batches,
    named_outputs,
    require_repeatable,
)
from keras_chex.graph.keras_nodes import all_layers, input_structure

TOLERANCE = 1e-4
_NEEDED = ("onnx", "onnxruntime", "tf2onnx")


def export_onnx(model, path, opset_version=None, representative_data=None):
    """Writes `model` as an ONNX file and verifies what it wrote.

    Keras' own exporter writes it, the batch size free. Before the file is
    moved to `path`, ONNX Runtime runs it on batches of two sizes, and its
    outputs are compared with those of the model. A wrapped model is stripped
    first.

    Args:
        model: built functional or Sequential Keras 3 model, plain or wrapped,
            that computes in float32.
        path: `str` or `os.PathLike`, ending in `.onnx`.
        opset_version: int, version of the operators of ONNX; `None` leaves the
            choice to the exporter.
        representative_data: array, or list or dict of arrays as the model
            takes them, batch axis first: real examples on which to compare.
            `None` compares on random numbers.

    Returns:
        `path`.

    Raises:
        ImportError: If `onnx`, `onnxruntime` or `tf2onnx` is not installed.
        TypeError: If `model` is not a Keras 3 model or `path` is not a path.
        ValueError: If `model` is not built or does not compute in float32,
            `path` cannot be written, `opset_version` is no positive integer,
            `representative_data` does not fit, or `model` draws random
            numbers in inference.
        RuntimeError: If Keras does not run on TensorFlow, the exporter lacks
            an operation, or the written file does not compute what the model
            computes.

    Example:

    ```python
    keras_chex.export_onnx(model, "resnet20.onnx")
    ```
    """
    model = plain_model(model)
    _check(model, opset_version)
    with staged_file(path, ".onnx") as staged:
        _require_packages()
        # Keras' exporter refuses a model that was never called.
        batches = _batches(model, representative_data)
        _write(model, staged, opset_version)
        _verify(staged, batches)
    return path


def _check(model, opset_version):
    whole = isinstance(opset_version, int) and opset_version > 0
    if opset_version is not None and (opset_version is True or not whole):
        raise ValueError(
            "Argument `opset_version` must be a positive integer or None. "
            f"Received: opset_version={opset_version!r}"
        )
    if not getattr(model, "inputs", None):
        raise ValueError(
            "Argument `model` must be a functional or Sequential model. "
            f"Received: '{model.name}' of class {type(model).__name__}. Build "
            "it as `keras.Model(inputs, outputs)`, or `wrap` and `strip` it."
        )
    others = {x.compute_dtype for x in all_layers(model)} - {"float32"}
    if others:
        raise ValueError(
            "Argument `model` must compute in float32: Keras' exporter to ONNX "
            f"knows nothing else. Received: layers in {sorted(others)}. Build "
            "the model under the policy 'float32' and copy the weights."
        )


def _require_packages():
    missing = [n for n in _NEEDED if importlib.util.find_spec(n) is None]
    if missing:
        raise ImportError(
            f"Exporting to ONNX needs {', '.join(missing)}, which is not "
            "installed: `pip install keras_chex[onnx]`"
        )


def _write(model, staged, opset_version):
    with (
        quiet_stderr(),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        # Keras looks in NumPy for what tf2onnx still uses of older ones.
        warnings.filterwarnings("ignore", r"In the future `np\.", FutureWarning)
        model.export(
            str(staged),
            format="onnx",
            verbose=False,
            opset_version=opset_version,
        )
    if not staged.is_file():
        raise RuntimeError("Keras' exporter wrote no ONNX file")


def _batches(model, representative_data):
    """Pairs of inputs by name and the outputs of the model for them."""
    import tensorflow as tf

    specs = keras.tree.map_structure(
        lambda t: tf.TensorSpec(t.shape, t.dtype, t.name),
        (input_structure(model),),
    )
    names = [spec.name for spec in tf.nest.flatten(specs)]
    pairs = []
    for batch in input_batches(specs, representative_data):
        if not pairs:
            require_repeatable(model, batch, "ONNX file")
        with full_float32():
            outputs = model(*batch, training=False)
        expected = named_outputs(outputs)
        if isinstance(outputs, dict):
            # The file has them in the order in which Keras flattens a dict.
            expected = dict(sorted(expected.items()))
        arrays = dict(zip(names, tf.nest.flatten(batch), strict=True))
        pairs.append((arrays, expected))
    return pairs


def _verify(staged, batches):
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(staged), providers=["CPUExecutionProvider"]
    )
    names = [entry.name for entry in session.get_inputs()]
    for arrays, expected in batches:
        given = {name: arrays[_stem(name, arrays)] for name in names}
        received = session.run(None, given)
        check_same_outputs(
            expected,
            dict(zip(expected, received, strict=True)),
            TOLERANCE,
            "ONNX file",
        )


def _stem(name, arrays):
    """The model input behind an input of the file."""
    for part in (name, name.split(":")[0]):
        if part in arrays:
            return part
    if len(arrays) == 1:
        return next(iter(arrays))
    raise RuntimeError(
        f"The ONNX file has an input {name!r}; the model has {sorted(arrays)}. "
        "Nothing was kept"
    )
