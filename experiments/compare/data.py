"""Image sets of the study, converted once to arrays that need only NumPy."""

import dataclasses
import importlib.util

import numpy as np

from ..common.datasets import MIRRORED, ImageSet, load_digits
from ..common.run_directory import replacing
from .locks import locked

# Names of `tensorflow_datasets` and of their test split.
SOURCES = {
    "cifar10": ("cifar10", "test"),
    "imagenette": ("imagenette/160px-v2", "validation"),
}
FLIPPED = (*MIRRORED, "imagenette")
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def load_images(setting, directory):
    """The images of a setting; the first time, they are converted.

    Converting needs TensorFlow and `tensorflow_datasets` (scikit-learn for the
    digits); a finished file needs neither, and may be copied to another
    machine.

    Args:
        setting: a `settings.Setting`.
        directory: `pathlib.Path` of the converted sets.

    Returns:
        An `ImageSet`.

    Raises:
        RuntimeError: If the set is not converted and TensorFlow is missing.
    """
    path = directory / f"{setting.dataset}_{setting.pixels}.npz"
    if not path.exists():
        with locked(path.with_suffix(".lock"), wait=True):
            if not path.exists():
                _convert(setting.dataset, setting.pixels, path)
    with np.load(path) as file:
        arrays = [file[name] for name in ARRAYS]
    images = ImageSet(
        name=setting.dataset,
        train=tuple(arrays[:2]),
        test=tuple(arrays[2:]),
        classes=int(arrays[1].max()) + 1,
        flip=setting.dataset in FLIPPED,
        **_statistics(arrays[0]),
    )
    if setting.holdout:
        images = held_out(images, setting.holdout)
    if setting.examples is None:
        return images
    return images.first(setting.examples, test=len(images.test[0]))


def held_out(images, count):
    """The last training images in place of the test set.

    Args:
        images: an `ImageSet`.
        count: int, below the number of training images.

    Returns:
        An `ImageSet`.
    """
    train = tuple(array[:-count] for array in images.train)
    test = tuple(array[-count:] for array in images.train)
    return dataclasses.replace(images, train=train, test=test)


def _statistics(pixels):
    """Means and deviations of pixels scaled to [0, 1], one per colour."""
    # Some 512 images tell them to one per cent, and need little memory.
    some = pixels[:: max(1, len(pixels) // 512)]
    scaled = some.reshape(-1, pixels.shape[-1]) / 255.0
    return {
        "mean": tuple(scaled.mean(axis=0).round(4).tolist()),
        "std": tuple(scaled.std(axis=0).round(4).tolist()),
    }


def _convert(name, pixels, path):
    """Writes one image set at one size."""
    if name == "digits":
        images = load_digits()
        pairs = (images.train, images.test)
    else:
        source, test = SOURCES[name]
        if importlib.util.find_spec("tensorflow_datasets") is None:
            raise RuntimeError(
                f"{path} is missing, and `tensorflow_datasets`, which makes "
                f"it of '{source}', is not installed here. Start a cell of "
                "the same setting where it is, and copy the file."
            )
        pairs = [_read(source, split, pixels) for split in ("train", test)]
    arrays = [array for pair in pairs for array in pair]
    with replacing(path) as beside:
        np.savez(beside, **dict(zip(ARRAYS, arrays, strict=True)))


def _read(source, split, pixels):
    """Reads a split, every image cut to a square and resized."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def square(image, label):
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        side = tf.minimum(height, width)
        image = tf.image.resize_with_crop_or_pad(image, side, side)
        image = tf.image.resize(
            tf.cast(image, tf.float32), (pixels, pixels), method="area"
        )
        return tf.cast(tf.round(image), tf.uint8), label

    builder = tfds.builder(source)
    if not builder.data_path.exists():
        builder.download_and_prepare()
    # The order of files, so that the arrays are the same on every machine.
    dataset = builder.as_dataset(
        split=split, as_supervised=True, shuffle_files=False
    )
    batches = list(dataset.map(square).batch(500).as_numpy_iterator())
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels).astype("int32")
