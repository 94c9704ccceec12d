"""Writes TFLite files that are known to compute what the model computes."""

import pathlib
import re
import tempfile

from keras_chex.export.litert import open_interpreter, run_interpreter
from keras_chex.export.plain_model import computing_in_float32, plain_model
from keras_chex.export.quiet import quiet_stderr
from keras_chex.export.saved_model import (
    load_saved_model,
    reference_outputs,
    write_saved_model,
)
from keras_chex.export.staging import staged_file
from keras_chex.export.verification import check_same_outputs, input_batches

# How far outputs may be from those of the Keras model, as a share of the
# largest one. For quantized files this finds what is broken, not what is
# inaccurate: a sound 8-bit MobileNetV2 with random weights is off by 0.21.
TOLERANCES = {None: 1e-4, "float16": 1e-1, "dynamic": 5e-1}


def export_tflite(
    model,
    path,
    quantize=None,
    representative_data=None,
):
    """Writes `model` as a `.tflite` file and verifies what it wrote.

    A wrapped model is stripped first; a mixed-precision model is written with
    float32 computations. The file keeps the free batch size of the model: an
    interpreter starts with batch 1, and `resize_tensor_input` or a signature
    runner takes any other. Before the file is moved to `path` it is run, on
    batches of two sizes, and its outputs are compared with those of the model.

    Args:
        model: built `keras.Model`, plain or wrapped, with one or more inputs,
            whose outputs are a tensor, a list or a dict of tensors.
        path: `str` or `os.PathLike` ending with `.tflite`. A file there is
            replaced, once the new one is known to be right.
        quantize: `None` keeps float32, and outputs equal to 1e-4 of the
            largest one; `"float16"` stores weights in half the bytes and
            computes in float32; `"dynamic"` stores the weights of larger
            layers in 8 bits and computes these in 8 bits where LiteRT can.
            Quantized files are refused only where they are grossly wrong (0.1
            and 0.5 of the largest output): measure their accuracy on your own
            test data.
        representative_data: array, or list or dict of arrays as the model
            takes them, batch axis first: real examples on which to compare.
            `None` compares on random numbers.

    Returns:
        `path`.

    Raises:
        TypeError: If `model` is not a Keras 3 model or `path` is not a path.
        ValueError: If `model` is not built, `path` cannot be written,
            `quantize` is unknown or `representative_data` does not fit.
        RuntimeError: If Keras does not run on TensorFlow, LiteRT lacks an
            operation (3-D pooling, for one), or the written file does not
            compute what the model computes.

    Example:

    ```python
    keras_chex.export_tflite(model, "resnet20.tflite")
    ```
    """
    if quantize not in TOLERANCES:
        raise ValueError(
            f"Argument `quantize` must be one of {list(TOLERANCES)}. "
            f"Received: quantize={quantize!r}"
        )
    model = plain_model(model)
    with (
        staged_file(path, ".tflite") as staged,
        tempfile.TemporaryDirectory() as folder,
        computing_in_float32(model),
    ):
        saved_model = pathlib.Path(folder) / "saved_model"
        write_saved_model(model, saved_model)
        _, specs = load_saved_model(saved_model)
        batches = input_batches(specs, representative_data)
        staged.write_bytes(_convert(saved_model, quantize))
        interpreter = open_interpreter(staged)
        for batch in batches:
            inputs, expected = reference_outputs(model, specs, batch)
            received = run_interpreter(interpreter, inputs)
            check_same_outputs(
                expected, received, TOLERANCES[quantize], "TFLite file"
            )
    return path


def _convert(saved_model, quantize):
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    with quiet_stderr():
        try:
            return converter.convert()
        except ConverterError as error:
            failure = error
    lacking = sorted(
        set(re.findall(r"'tf\.(\w+)' op is neither", str(failure)))
    )
    if not lacking:
        raise RuntimeError("The TFLite converter failed") from failure
    raise RuntimeError(
        f"LiteRT lacks operations of this model: {', '.join(lacking)}. Replace "
        "them, or write a SavedModel with `export_saved_model`"
    ) from failure
