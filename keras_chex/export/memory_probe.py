"""Runs one exported network once and prints how much memory that took.

A program of its own, started by path: it must not load what the network does
not need. Usage:

    python memory_probe.py KIND PATH THREADS BATCH_SIZE FREE_SIZE
"""

import json
import sys


def main(kind, path, threads, batch_size, free_size):
    """Prints a JSON object: bytes of memory on top of what libraries hold."""
    run = {"tflite": _tflite, "saved_model": _saved_model, "keras": _keras}
    load = run[kind](int(threads), int(batch_size), int(free_size))
    before = _reset_peak()
    load(path)
    sys.stdout.write(json.dumps({"bytes": max(_peak() - before, 0)}) + "\n")


def _tflite(threads, batch_size, free_size):
    import numpy as np

    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow.lite import Interpreter

    def load(path):
        interpreter = Interpreter(model_path=path, num_threads=threads)
        for detail in interpreter.get_input_details():
            shape = [
                n if n >= 0 else free_size for n in detail["shape_signature"]
            ]
            if len(shape) and detail["shape_signature"][0] < 0:
                shape[0] = batch_size
            interpreter.resize_tensor_input(detail["index"], shape)
        interpreter.allocate_tensors()
        for detail in interpreter.get_input_details():
            zeros = np.zeros(detail["shape"], detail["dtype"])
            interpreter.set_tensor(detail["index"], zeros)
        interpreter.invoke()

    return load


def _saved_model(threads, batch_size, free_size):
    del threads
    import tensorflow as tf

    def load(path):
        signature = tf.saved_model.load(path).signatures["serving_default"]
        _, specs = signature.structured_input_signature
        signature(
            **{
                name: tf.zeros(
                    _sizes(spec.shape, batch_size, free_size), spec.dtype
                )
                for name, spec in specs.items()
            }
        )

    return load


def _keras(threads, batch_size, free_size):
    del threads
    import keras
    import numpy as np

    from keras_chex.graph.keras_nodes import input_structure

    def load(path):
        model = keras.saving.load_model(path, compile=False)
        inputs = keras.tree.map_structure(
            lambda x: np.zeros(_sizes(x.shape, batch_size, free_size), x.dtype),
            input_structure(model),
        )
        model.predict_on_batch(inputs)

    return load


def _sizes(shape, batch_size, free_size):
    first, *others = shape
    return [first or batch_size, *(size or free_size for size in others)]


def _reset_peak():
    """Sets the peak back where the system can; returns the memory in use."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
    return _peak()


def _peak():
    """Bytes of the largest resident set so far."""
    try:
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError):
        import resource

        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else largest * 1024


if __name__ == "__main__":
    sys.path.pop(0)  # This folder, whose files would be taken for libraries.
    main(*sys.argv[1:])
