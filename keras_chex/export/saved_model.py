"""Writes SavedModels that are known to compute what the model computes."""

import contextlib
import functools
import io

import keras

from keras_chex.export.plain_model import (
    HALF_PRECISION,
    compute_dtypes,
    plain_model,
)
from keras_chex.export.quiet import quiet_stderr
from keras_chex.export.staging import staged_folder
from keras_chex.export.verification import (
    check_same_outputs,
    full_float32,
    input_batches,
    named_outputs,
)
from keras_chex.graph.keras_nodes import functional_graph, input_structure

MARKER = "saved_model.pb"
TOLERANCE = 1e-4
HALF_PRECISION_TOLERANCE = 2e-2


def export_saved_model(model, path, representative_data=None):
    """Writes `model` as a TensorFlow SavedModel and verifies what it wrote.

    The folder is what `model.export(path)` writes: an endpoint `serve` and the
    signature `serving_default`, both for the batch sizes that the model takes;
    neither Keras nor this package is needed to run it. A wrapped model
    is stripped first. The folder is loaded again and its outputs are compared
    with those of the model before it is moved to `path`.

    Args:
        model: built `keras.Model`, plain or wrapped.
        path: `str` or `os.PathLike`, the folder. An earlier export there is
            replaced, once the new one is known to be right.
        representative_data: array, or list or dict of arrays as the model
            takes them, batch axis first: real examples on which to compare.
            `None` compares on random numbers.

    Returns:
        `path`.

    Raises:
        TypeError: If `model` is not a Keras 3 model or `path` is not a path.
        ValueError: If `model` is not built, `path` cannot be written or
            holds something else, or `representative_data` does not fit.
        RuntimeError: If Keras does not run on TensorFlow, or the written
            folder does not compute what the model computes.

    Example:

    ```python
    keras_chex.export_saved_model(model, "resnet20")
    serve = tf.saved_model.load("resnet20").signatures["serving_default"]
    ```
    """
    model = plain_model(model)
    with staged_folder(path, MARKER) as folder:
        write_saved_model(model, folder)
        _verify(model, folder, representative_data)
    return path


def write_saved_model(model, folder, batch_size=None):
    """Writes without verifying.

    Args:
        model: built `keras.Model`.
        folder: path.
        batch_size: int, the only one that a functional model shall take;
            `None` for those that it takes.
    """
    # Keras 3.8 lists the endpoints on stdout, whatever `verbose` says.
    with quiet_stderr(), contextlib.redirect_stdout(io.StringIO()):
        if functional_graph(model) is None:
            model.export(str(folder), verbose=False)
            return
        # As `model.export` does it, but for dicts of inputs in Keras 3.8 too.
        inputs = keras.tree.map_structure(
            lambda tensor: _spec(tensor, batch_size), input_structure(model)
        )
        archive = keras.export.ExportArchive()
        archive.track(model)
        serve = functools.partial(model.__call__, training=False)
        archive.add_endpoint("serve", serve, [inputs])
        archive.write_out(str(folder), verbose=False)


def _spec(tensor, batch_size):
    size = tensor.shape[0] or batch_size
    return keras.InputSpec(
        dtype=tensor.dtype, shape=(size, *tensor.shape[1:]), name=tensor.name
    )


def load_saved_model(folder):
    """Loads a SavedModel.

    Returns:
        The loaded object and a nest of `tf.TensorSpec`, one per argument of
        the model that it was written from.
    """
    import tensorflow as tf

    with quiet_stderr():
        loaded = tf.saved_model.load(str(folder))
    specs, _ = loaded.serve.concrete_functions[0].structured_input_signature
    return loaded, specs


def reference_outputs(model, specs, batch):
    """Runs the model on a batch.

    Returns:
        The batch and the outputs, each as a dict named as in the signature.
    """
    import tensorflow as tf

    with full_float32():
        outputs = model(*batch, training=False)
    names = [spec.name for spec in tf.nest.flatten(specs)]
    inputs = dict(zip(names, tf.nest.flatten(batch), strict=True))
    return inputs, named_outputs(outputs)


def _verify(model, folder, representative_data):
    import tensorflow as tf

    is_half = compute_dtypes(model) & set(HALF_PRECISION)
    tolerance = HALF_PRECISION_TOLERANCE if is_half else TOLERANCE
    loaded, specs = load_saved_model(folder)
    signature = loaded.signatures["serving_default"]
    for batch in input_batches(specs, representative_data):
        inputs, expected = reference_outputs(model, specs, batch)
        with full_float32():
            tensors = {name: tf.constant(x) for name, x in inputs.items()}
            received = named_outputs(signature(**tensors))
        check_same_outputs(expected, received, tolerance, "SavedModel")
