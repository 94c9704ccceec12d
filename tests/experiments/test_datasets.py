"""Image sets: fixed splits that do not touch each other."""

import numpy as np
import pytest

from experiments.common import datasets


def rows(images):
    return {image.tobytes() for image in images}


def test_digits_are_halved_with_equal_shares_of_every_class():
    digits = datasets.load_digits()
    assert digits.input_shape == (8, 8, 1)
    assert (len(digits.train[0]), len(digits.test[0])) == (898, 899)
    counts = [np.bincount(labels) for _, labels in (digits.train, digits.test)]
    assert np.abs(counts[0] - counts[1]).max() <= 1
    assert digits.train[0].max() == 16


def test_digits_split_is_always_the_same():
    first, second = datasets.load_digits(), datasets.load_digits()
    np.testing.assert_array_equal(first.test[0], second.test[0])


def test_folds_share_out_the_training_half():
    digits = datasets.load_digits()
    tested = []
    for fold in range(datasets.FOLDS):
        tuning = datasets.load_digits(fold)
        assert not rows(tuning.test[0]) & rows(tuning.train[0])
        assert len(tuning.train[0]) + len(tuning.test[0]) == 898
        tested += tuning.test[0].tolist()
    assert sorted(tested) == sorted(digits.train[0].tolist())


def test_unknown_fold_is_refused():
    with pytest.raises(ValueError, match="Received: fold=3"):
        datasets.load_digits(fold=3)


def test_first_keeps_images_and_labels_together():
    digits = datasets.load_digits()
    few = digits.first(train=5, test=3)
    np.testing.assert_array_equal(few.train[0], digits.train[0][:5])
    np.testing.assert_array_equal(few.test[1], digits.test[1][:3])
    assert few.name == "digits"


def test_unknown_set_is_refused():
    with pytest.raises(ValueError, match="Received: name='imagenet'"):
        datasets.load_tfds("imagenet")


def test_digits_of_a_set_are_never_mirrored():
    assert "mnist" not in datasets.MIRRORED
    assert set(datasets.MIRRORED) < set(datasets.STATISTICS)
