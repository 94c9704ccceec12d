"""What a trained network costs: operations, parameters, bytes, milliseconds."""

import numpy as np

import keras_chex
from keras_chex.export import compare_latency

from .run_directory import replacing

TFLITE = "model.tflite"


def export_and_measure(model, images, directory):
    """Writes a plain model in all formats and measures what came out.

    Leaves `model.keras`, `saved_model/` and `model.tflite` in the directory.

    Args:
        model: a plain `keras.Model` with logits.
        images: an `ImageSet`.
        directory: `pathlib.Path` of this contender.

    Returns:
        Dict with `accuracy` (share of the test set), `flops` (multiply-adds of
        one image), `params`, `tflite_bytes`.
    """
    examples = images.test[0][:32].astype("float32")
    costs = export(model, examples, directory)
    return {"accuracy": accuracy(model, images), **costs}


def export(model, examples, directory):
    """Writes a plain model in all formats.

    Leaves `model.keras`, `saved_model/` and `model.tflite` in the directory.

    Args:
        model: a plain `keras.Model` with logits.
        examples: float array, images that the files are verified on. Raw pixels
            are far from the random numbers used without them.
        directory: `pathlib.Path` of this contender.

    Returns:
        Dict with `flops` (multiply-adds of one image), `params`,
        `tflite_bytes`.
    """
    with replacing(directory / "model.keras") as beside:
        model.save(beside)
    keras_chex.export_saved_model(model, directory / "saved_model")
    keras_chex.export_tflite(
        model, directory / TFLITE, representative_data=examples
    )
    return {
        "flops": int(keras_chex.flops(model)),
        "params": int(model.count_params()),
        "tflite_bytes": (directory / TFLITE).stat().st_size,
    }


def accuracy(model, images, batch_size=256):
    """Share of the test images whose largest logit is their label's."""
    pixels, labels = images.test
    logits = model.predict(pixels, batch_size=batch_size, verbose=0)
    return float(np.mean(logits.argmax(axis=-1) == labels))


def latencies(directories, runs=400):
    """Latency of exported models in LiteRT, one thread, one image.

    Args:
        directories: dict from a name to the directory of its `model.tflite`.
        runs: int, timed inferences of each model; the models take turns.

    Returns:
        Dict from the name to milliseconds, the median of the runs.
    """
    comparison = compare_latency(
        [directory / TFLITE for directory in directories.values()],
        runs=runs,
        memory=False,
    )
    medians = [result.median_ms for result in comparison.results]
    return dict(zip(directories, medians, strict=True))
