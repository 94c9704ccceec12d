"""Image classification sets as arrays in memory, each with a fixed test set."""

import dataclasses

import numpy as np

# Channel means and deviations of the training pixels, scaled to [0, 1].
STATISTICS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    "mnist": ((0.1307,), (0.3081,)),
}
# A mirrored digit is another symbol; a mirrored dog or shoe is not.
MIRRORED = ("cifar10", "cifar100", "fashion_mnist")
# Parts of the digits' training half, for tuning.
FOLDS = 3


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Training and test images of one task.

    Attributes:
        name: string.
        train: pair of arrays, images `(examples, height, width, colours)` and
            integer labels `(examples,)`.
        test: likewise.
        classes: int.
        mean: floats, one for every colour, of pixels scaled to [0, 1].
        std: likewise, the standard deviation.
        flip: bool, whether a mirrored image keeps its label.
    """

    name: str
    train: tuple
    test: tuple
    classes: int
    mean: tuple = (0.0,)
    std: tuple = (1.0,)
    flip: bool = False

    @property
    def input_shape(self):
        return self.train[0].shape[1:]

    def first(self, train, test):
        """The same task with only the first examples, for smoke tests."""
        return dataclasses.replace(
            self,
            train=tuple(a[:train] for a in self.train),
            test=tuple(a[:test] for a in self.test),
        )


def load_digits(fold=None):
    """Handwritten digits of scikit-learn, 8x8 pixels from 0 to 16.

    One half trains and the other tests: the test set is as large as possible,
    because a single image in 899 is 0.11 points of accuracy.

    Args:
        fold: int, 0 to 2. This third of the *training* half takes the place
            of the test set, which stays unseen: for tuning. `None` for the
            test set.

    Returns:
        An `ImageSet` of 898 training and 899 test images; with a fold, of two
        thirds and one third of the 898.

    Raises:
        ValueError: If there is no such fold.
    """
    from sklearn import datasets, model_selection

    if fold not in (None, *range(FOLDS)):
        raise ValueError(
            f"Argument `fold` must be None or from 0 to {FOLDS - 1}. "
            f"Received: fold={fold}"
        )
    digits = datasets.load_digits()
    images = digits.images[..., np.newaxis].astype("float32")
    labels = digits.target.astype("int32")
    train, test = model_selection.train_test_split(
        np.arange(len(labels)), test_size=0.5, stratify=labels, random_state=0
    )
    if fold is not None:
        folds = model_selection.StratifiedKFold(FOLDS)
        kept, left_out = list(folds.split(train, labels[train]))[fold]
        train, test = train[kept], train[left_out]
    return ImageSet(
        name="digits",
        train=(images[train], labels[train]),
        test=(images[test], labels[test]),
        classes=10,
    )


def load_tfds(name, data_dir=None):
    """An image set of `tensorflow_datasets`, downloaded if it is not there.

    Args:
        name: string, a key of `STATISTICS`.
        data_dir: directory of prepared sets. Defaults to the environment
            variable `TFDS_DATA_DIR`, and to `~/tensorflow_datasets` without it.

    Returns:
        An `ImageSet` with the official test set; pixels are `uint8`.

    Raises:
        ValueError: If `name` is unknown.
    """
    if name not in STATISTICS:
        raise ValueError(
            f"Argument `name` must be one of {tuple(STATISTICS)}. "
            f"Received: name={name!r}"
        )
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=data_dir)
    if not builder.data_path.exists():
        builder.download_and_prepare()
    splits = {
        split: builder.as_dataset(
            split=split, batch_size=-1, as_supervised=True
        )
        for split in ("train", "test")
    }
    arrays = {
        split: (images.numpy(), labels.numpy().astype("int32"))
        for split, (images, labels) in splits.items()
    }
    mean, std = STATISTICS[name]
    return ImageSet(
        name=name,
        train=arrays["train"],
        test=arrays["test"],
        classes=builder.info.features["label"].num_classes,
        mean=mean,
        std=std,
        flip=name in MIRRORED,
    )


def steps_per_epoch(examples, batch_size):
    """Full batches in one pass over the training set.

    Args:
        examples: int.
        batch_size: int.

    Returns:
        int, at least 1.

    Raises:
        ValueError: If a batch is larger than the set.
    """
    if not 1 <= batch_size <= examples:
        raise ValueError(
            "Argument `batch_size` must be between 1 and the number of "
            f"training examples. Received: batch_size={batch_size} for "
            f"{examples} examples"
        )
    return examples // batch_size
