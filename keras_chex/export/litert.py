"""Opens and runs `.tflite` files: LiteRT, or TensorFlow's own interpreter."""

import warnings

from keras_chex.export.quiet import quiet_stderr

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
    with quiet_stderr(), warnings.catch_warnings():
        # TensorFlow's interpreter says that LiteRT is its successor.
        warnings.filterwarnings(
            "ignore", message=r"(?s).*from the ai_edge_litert package"
        )
        return interpreter_class(model_path=str(path), num_threads=threads)


def run_interpreter(interpreter, inputs):
    """Runs the model's signature on a dict of arrays; returns such a dict."""
    with quiet_stderr():
        runner = interpreter.get_signature_runner(SIGNATURE)
        return runner(**inputs)


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
