"""Batches from arrays: same in every run, augmented in training only."""

import itertools

import keras
import numpy as np

from experiments.common.array_feed import (
    ShiftAndFlip,
    array_batches,
    shift_and_flip,
)


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_epochs_are_permutations_that_depend_on_the_seed_and_the_epoch():
    images = np.arange(10).reshape(10, 1, 1, 1)
    labels = np.arange(10)

    def epochs(seed, first, count):
        batches = array_batches(images, labels, 5, seed, first)
        taken = itertools.islice(batches, 2 * count)
        for x, y in taken:
            np.testing.assert_array_equal(x.ravel(), y)
            yield y

    whole = np.array(list(epochs(3, 0, 4))).reshape(4, 10)
    np.testing.assert_array_equal(np.sort(whole), [np.arange(10)] * 4)
    assert len({tuple(order) for order in whole}) == 4
    later = np.array(list(epochs(3, 2, 2))).reshape(2, 10)
    np.testing.assert_array_equal(later, whole[2:])
    assert (np.array(list(epochs(4, 0, 4))).reshape(4, 10) != whole).any()


def test_windows_and_mirrors_by_hand():
    image = np.arange(1.0, 7.0, dtype="float32").reshape(1, 2, 3, 1)
    images = np.repeat(image, 4, axis=0)
    # rows and columns of the windows in images with a margin of one zero
    offsets = np.array([[1, 2, 0, 1], [1, 1, 1, 2]])[..., None]
    mirrored = np.array([False, False, False, True])[:, None]
    got = numpy(shift_and_flip(images, offsets, mirrored, 1))[..., 0]
    expected = [
        [[1, 2, 3], [4, 5, 6]],
        [[4, 5, 6], [0, 0, 0]],
        [[0, 0, 0], [1, 2, 3]],
        [[0, 3, 2], [0, 6, 5]],
    ]
    np.testing.assert_array_equal(got, expected)


def test_augmentation_depends_on_seed_and_step_alone():
    images = np.random.default_rng(0).normal(size=(6, 5, 5, 2))
    layer = ShiftAndFlip(2, True, seed=7)
    steps = [numpy(layer(images, training=True)) for _ in range(4)]
    assert not np.array_equal(steps[0], steps[1])
    again = ShiftAndFlip.from_config(layer.get_config())
    again.start_at(2)
    for expected in steps[2:]:
        got = numpy(again(images, training=True))
        np.testing.assert_array_equal(got, expected)
    other = numpy(ShiftAndFlip(2, True, seed=8)(images, training=True))
    assert not np.array_equal(other, steps[0])


def test_nothing_changes_outside_training_or_without_augmentation():
    images = np.random.default_rng(0).normal(size=(6, 5, 5, 2))
    images = images.astype("float32")
    np.testing.assert_array_equal(numpy(ShiftAndFlip(2, True)(images)), images)
    layer = ShiftAndFlip(0, False)
    np.testing.assert_array_equal(numpy(layer(images, training=True)), images)


def test_half_of_the_images_are_mirrored():
    image = np.zeros((400, 1, 2, 1), "float32")
    image[:, :, 0] = 1.0
    out = numpy(ShiftAndFlip(0, True, seed=1)(image, training=True))
    assert 0.4 < out[:, 0, 1, 0].mean() < 0.6
