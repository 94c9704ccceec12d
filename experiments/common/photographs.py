"""Where photographs come from: record files, a folder of images, or noise.

All sources look alike. `ordered` and `shuffled` give records, small enough to
be shuffled by the thousand, and `read` makes the encoded image and the label
of one, in the parallel part of the pipeline.
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif")
SYNTHETIC = "synthetic"
EVALUATION_SPLITS = ("validation", "val", "test")
# Classes and training images, for plans without the data.
SIZES = {"imagenet2012": (1000, 1_281_167)}
FILES_AT_ONCE = 16
BUFFER = 4096


@dataclasses.dataclass(frozen=True)
class Photos:
    """A classification task of images of any size.

    Attributes:
        name: string.
        classes: int.
        train: source of training images.
        evaluation: source of the images that accuracy is measured on.
    """

    name: str
    classes: int
    train: object
    evaluation: object


class ListedImages:
    """Images of which there is a list: paths, or encoded images in memory.

    Args:
        contents: list of paths, or of encoded images as bytes.
        labels: list of ints.
        in_memory: bool, whether `contents` are images.
    """

    def __init__(self, contents, labels, in_memory=False):
        self.count = len(labels)
        self._contents = tf.constant(contents)
        self._labels = tf.constant(labels, tf.int32)
        self._in_memory = in_memory

    def first(self, count):
        """The source with only so many images, the same ones every time.

        They are drawn over the whole list, which may be sorted by class.
        """
        order = np.random.default_rng(0).permutation(self.count)[:count]
        chosen = np.sort(order)
        return ListedImages(
            tf.gather(self._contents, chosen),
            tf.gather(self._labels, chosen),
            self._in_memory,
        )

    def ordered(self, worker=0, workers=1):
        """Records in the order of the list.

        Args:
            worker: int; each gets its own part.
            workers: int.

        Returns:
            A finite `tf.data.Dataset`.
        """
        return tf.data.Dataset.range(self.count).shard(workers, worker)

    def shuffled(self, key, worker=0, workers=1):
        """Records in an order that depends on the key alone.

        Args:
            key: int tensor of shape `(2,)`.
            worker: int; each gets its own part.
            workers: int.

        Returns:
            A finite `tf.data.Dataset`.
        """
        order = _random_order(self.count, key)
        records = tf.data.Dataset.from_tensor_slices(tf.cast(order, tf.int64))
        return records.shard(workers, worker)

    def read(self, record):
        """Gives `(encoded image, label)` of one record."""
        content = tf.gather(self._contents, record)
        if not self._in_memory:
            content = tf.io.read_file(content)
        return content, tf.gather(self._labels, record)


class RecordFiles:
    """TFRecord files, shuffled by file and then by boxes of records.

    Args:
        files: list of `(path, skip, take)`, records of each file to use.
        count: int, number of all these records.
        read: function from a record to `(encoded image, label)`.
        buffer: int, records of a box, which come in random order. Up to three
            boxes are in memory.
    """

    def __init__(self, files, count, read, buffer=BUFFER):
        self.count = count
        self.read = read
        self._files = files
        self._buffer = min(buffer, count)

    def ordered(self, worker=0, workers=1):
        """As `ListedImages.ordered`."""
        records = _interleaved(self._files_dataset(), cycle=1)
        return records.shard(workers, worker)

    def shuffled(self, key, worker=0, workers=1):
        """As `ListedImages.shuffled`."""
        files = self._files_dataset(_random_order(len(self._files), key))
        # Files differ in length: with few of them, all workers read all.
        by_file = len(self._files) >= FILES_AT_ONCE * workers
        if by_file:
            files = files.shard(workers, worker)
        records = _interleaved(files, min(FILES_AT_ONCE, len(self._files)))
        if not by_file:
            records = records.shard(workers, worker)
        # `Dataset.shuffle` takes no seed that is known in the graph alone.
        boxes = records.batch(self._buffer).enumerate()
        boxes = boxes.map(
            lambda number, box: tf.gather(
                box, _random_order(tf.size(box), tf.random.fold_in(key, number))
            )
        )
        return boxes.prefetch(1).unbatch()

    def _files_dataset(self, order=None):
        columns = [tf.constant(x) for x in zip(*self._files, strict=True)]
        if order is not None:
            columns = [tf.gather(x, order) for x in columns]
        return tf.data.Dataset.from_tensor_slices(tuple(columns))


def load_photos(
    name, data_dir=None, train_examples=None, eval_examples=None, buffer=BUFFER
):
    """A data set of `tensorflow_datasets` with the features of `imagenet2012`.

    Args:
        name: string, such as `"imagenet2012"` or `"imagenette/320px-v2"`; or
            `"synthetic"`, noise of ten colours, which needs no data.
        data_dir: directory of prepared sets. Defaults to the environment
            variable `TFDS_DATA_DIR`, and to `~/tensorflow_datasets` without it.
        train_examples: int, number of training images to use; all if omitted.
        eval_examples: int, likewise for the evaluation.
        buffer: int, records that are shuffled together.

    Returns:
        `Photos`.

    Raises:
        ValueError: If the set is not stored as TFRecord files.
    """
    if name == SYNTHETIC:
        return synthetic_photos(train_examples or 256, eval_examples or 64)
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=data_dir)
    if not builder.data_path.exists():
        builder.download_and_prepare()
    info = builder.info
    if info.file_format.value != "tfrecord":
        raise ValueError(
            "Argument `name` must name a data set that is stored as TFRecord "
            f"files. Received: {name!r}, prepared as {info.file_format.value}. "
            'Prepare it anew with `tfds.builder(name, file_format="tfrecord")`'
        )
    encoded = {"image": tfds.decode.SkipDecoding()}

    def read(record):
        example = info.features.deserialize_example(record, decoders=encoded)
        return example["image"], tf.cast(example["label"], tf.int32)

    def source(split, limit):
        part = info.splits[split if limit is None else f"{split}[:{limit}]"]
        files = [
            (str(f.filename), f.skip, f.take) for f in part.file_instructions
        ]
        return RecordFiles(files, part.num_examples, read, buffer)

    (held_out,) = [s for s in EVALUATION_SPLITS if s in info.splits][:1]
    return Photos(
        name,
        info.features["label"].num_classes,
        source("train", train_examples),
        source(held_out, eval_examples),
    )


def load_folder(folder, train_examples=None, eval_examples=None):
    """Images in folders: `train/<class>/*.jpg`, and `val/` likewise.

    Args:
        folder: path with a folder `train` and one of `validation`, `val` and
            `test`. Classes are the folders in `train`, sorted by name.
        train_examples: int, number of training images to use; all if omitted.
        eval_examples: int, likewise for the evaluation.

    Returns:
        `Photos`.

    Raises:
        ValueError: If a folder or its images are missing, or the evaluation
            has a class that the training does not.
    """
    folder = pathlib.Path(folder)
    found = [s for s in EVALUATION_SPLITS if (folder / s).is_dir()]
    if not (folder / "train").is_dir() or not found:
        raise ValueError(
            "Argument `folder` must hold `train` and one of "
            f"{', '.join(EVALUATION_SPLITS)}. Received: folder={folder}"
        )
    classes = sorted(p.name for p in (folder / "train").iterdir() if p.is_dir())
    train, evaluation = (
        _listed(folder / split, classes) for split in ("train", found[0])
    )
    return Photos(
        folder.name,
        len(classes),
        train.first(train_examples or train.count),
        evaluation.first(eval_examples or evaluation.count),
    )


def synthetic_photos(train, evaluation, classes=10, size=96):
    """Noise around a colour that tells the label, as JPEG images in memory.

    Args:
        train: int, number of training images.
        evaluation: int, number of images to measure accuracy on.
        classes: int.
        size: int, the shorter side of the images; the longer is a third longer.

    Returns:
        `Photos`.
    """
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (classes, 3))

    def source(count):
        labels = (np.arange(count) % classes).tolist()
        noise = rng.integers(-40, 41, (count, size, size * 4 // 3, 3))
        pixels = (noise + colours[labels][:, None, None]).astype("uint8")
        jpegs = [tf.io.encode_jpeg(image).numpy() for image in pixels]
        return ListedImages(jpegs, labels, in_memory=True)

    return Photos(SYNTHETIC, classes, source(train), source(evaluation))


def _listed(folder, classes):
    paths = sorted(
        p for p in folder.glob("*/*") if p.suffix.lower() in SUFFIXES
    )
    unknown = {path.parent.name for path in paths} - set(classes)
    if unknown or not paths:
        reason = f"classes {sorted(unknown)}" if unknown else "no images"
        raise ValueError(
            "Argument `folder` must hold images of the training classes only, "
            f"as <class>/<image>. Received: {folder}, which has {reason}"
        )
    labels = [classes.index(path.parent.name) for path in paths]
    return ListedImages([str(path) for path in paths], labels)


def _interleaved(files, cycle):
    return files.interleave(
        _some_records,
        cycle_length=cycle,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _some_records(path, skip, take):
    records = tf.data.TFRecordDataset(path, buffer_size=1 << 20)
    return records.skip(tf.cast(skip, tf.int64)).take(tf.cast(take, tf.int64))


def _random_order(count, key):
    return tf.argsort(tf.random.stateless_uniform([count], key))
