"""Opens and runs `.tflite` files: LiteRT, or TensorFlow's own interpreter."""

import numpy as np

from keras_chex.export.quiet import no_word_of_litert, quiet_stderr

SIGNATURE = "serving_default"


def open_interpreter(path, threads=None):
    """Returns an interpreter for the `.tflite` file at `path`.

    `ai-edge-litert` runs it where it is installed, TensorFlow's interpreter
    where it is not. Tensors are not allocated yet: free sizes stand at 1, which
    not every network can compute on.

    Args:
        path: `str` or `os.PathLike` of the file.
        threads: int, threads of the interpreter; `None` leaves it the choice.

    Raises:
        ImportError: If neither is installed.
    """
    interpreter_class = _interpreter_class()
    # Both announce their delegates on stderr.
    with quiet_stderr(), no_word_of_litert():
        return interpreter_class(model_path=str(path), num_threads=threads)


def run_interpreter(interpreter, inputs):
    """Runs the model's signature on a dict of arrays; returns such a dict.

    Inputs and outputs are real numbers: where the file takes or gives 8-bit
    integers, they are converted with its scale and zero point.
    """
    with quiet_stderr():
        runner = interpreter.get_signature_runner(SIGNATURE)
        details = runner.get_input_details()
        outputs = runner(
            **{
                name: quantized(values, details[name])
                for name, values in inputs.items()
            }
        )
        details = runner.get_output_details()
    return {
        name: dequantized(values, details[name])
        for name, values in outputs.items()
    }


def quantized(values, detail):
    """Real numbers as a tensor of a file takes them.

    Args:
        values: array.
        detail: dict, what an interpreter tells about the tensor.

    Example:

    >>> detail = {"dtype": np.int8, "quantization": (0.5, -1)}
    >>> quantized(np.array([0.0, 1.0, 1000.0]), detail)
    array([ -1,   1, 127], dtype=int8)
    """
    scale, zero_point = detail["quantization"]
    if not scale:
        return values
    limits = np.iinfo(detail["dtype"])
    steps = np.round(np.asarray(values, "float64") / scale) + zero_point
    return np.clip(steps, limits.min, limits.max).astype(detail["dtype"])


def dequantized(values, detail):
    """The real numbers that a tensor of a file stands for.

    >>> detail = {"dtype": np.int8, "quantization": (0.5, -1)}
    >>> dequantized(np.array([-1, 1], "int8"), detail)
    array([0., 1.], dtype=float32)
    """
    scale, zero_point = detail["quantization"]
    if not scale:
        return values
    return ((values.astype("float32") - zero_point) * scale).astype("float32")


def _interpreter_class():
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return _tensorflow_interpreter_class()
    return Interpreter


def _tensorflow_interpreter_class():
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "Running '.tflite' files needs LiteRT or TensorFlow. Neither is "
            "installed: `pip install ai-edge-litert` (not for Windows) or "
            "`pip install tensorflow`"
        ) from error
    return tf.lite.Interpreter
