"""Checks one real model from training to the files that it is shipped as."""

import pathlib
import tempfile
import time

import keras
import numpy as np

import keras_chex
from benchmarks.model_record import errors_noted, exports_verdict
from benchmarks.model_weights import (
    calibrate,
    calibrate_narrow,
    choose_active,
    pictures,
    randomize,
)
from keras_chex.graph.channels import read_channels
from tests import checks


def check_exports(entry, share=0.5, round_to=8, seed=0):
    """Trains a narrow model for one step and compares what is exported of it.

    Both the wrapped model and the stripped one are exported, as SavedModel and
    as TFLite file, and these are run by TensorFlow and LiteRT.

    Args:
        entry: an `Entry` of `benchmarks.model_suite`.
        share: float, active channels of every group.
        round_to: int, widths are multiples of this.
        seed: int.

    Returns:
        Dict that JSON can hold.
    """
    record = {
        "model": entry.name,
        "family": entry.family,
        "suite": entry.suite,
        "share": share,
        "round_to": round_to,
        "seed": seed,
        "seconds": {},
        "differences": {},
        "bytes": {},
        "errors": {},
    }
    wrapped, x = _trained(entry, share, round_to, seed)
    models = {"wrapped": wrapped, "stripped": keras_chex.strip(wrapped)}
    expected = checks.as_numpy(wrapped(x, training=False))
    record["variation"] = float(checks.smallest_variation(expected))
    for source, model in models.items():
        for kind, export in (("saved_model", _saved), ("tflite", _tflite)):
            name = f"{kind} of {source}"
            start = time.perf_counter()
            with errors_noted(record, name):
                outputs, size = export(model, x, expected)
                difference = checks.largest_difference(outputs, expected)
                record["differences"][name] = float(difference)
                record["bytes"][name] = size
            seconds = time.perf_counter() - start
            record["seconds"][name] = round(seconds, 1)
    record["verdict"] = exports_verdict(record)
    return record


def _trained(entry, share, round_to, seed):
    """Returns a wrapped, narrow model after one step of `fit`, and pictures.

    The statistics are those of the active channels, as late in training.
    """
    keras.utils.set_random_seed(seed)
    plain = entry.build()
    x = pictures(plain, entry.batch, seed)
    randomize(plain, seed)
    calibrate(plain, x, seed)
    graph = read_channels(plain)
    active = choose_active(graph.groups, share, round_to, seed)
    calibrate_narrow(plain, graph, active, x, seed)
    wrapped = keras_chex.wrap(plain)
    groups = keras_chex.channel_groups(wrapped)
    keras_chex.set_active(wrapped, choose_active(groups, share, round_to, seed))
    wrapped.compile(
        optimizer=keras.optimizers.SGD(0.01, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    y = np.arange(len(x)) % wrapped.output_shape[-1]
    wrapped.fit(x, y, batch_size=len(x), verbose=0)
    return wrapped, x


def _saved(model, x, like):
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model"
        keras_chex.export_saved_model(model, path)
        loaded = tf.saved_model.load(str(path))
        outputs = loaded.serve(tf.constant(x))
        size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    return keras.tree.pack_sequence_as(like, keras.tree.flatten(outputs)), size


def _tflite(model, x, like):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.tflite"
        keras_chex.export_tflite(model, path)
        return checks.run_litert(path, x, like), path.stat().st_size
