"""Batches: complete, reproducible from any epoch, augmented as said."""

import itertools

import numpy as np
import pytest

from experiments.common import pipeline


@pytest.fixture
def examples():
    """Ten images whose pixels all tell their label."""
    labels = np.arange(10, dtype="int32")
    images = np.ones((10, 4, 4, 2), "uint8") * labels[:, None, None, None]
    return images, labels


def take(dataset, count):
    return [(x.numpy(), y.numpy()) for x, y in itertools.islice(dataset, count)]


def test_an_epoch_shows_every_image_once(examples):
    batches = take(pipeline.train_batches(*examples, batch_size=5), 4)
    first = np.concatenate([labels for _, labels in batches[:2]])
    second = np.concatenate([labels for _, labels in batches[2:]])
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_images_keep_their_labels(examples):
    for images, labels in take(pipeline.train_batches(*examples, 4), 5):
        np.testing.assert_array_equal(images[:, 0, 0, 0], labels)


def test_incomplete_batch_is_left_out(examples):
    batches = take(pipeline.train_batches(*examples, batch_size=4), 4)
    assert [len(labels) for _, labels in batches] == [4] * 4
    seen = np.concatenate([labels for _, labels in batches[:2]])
    assert len(set(seen)) == 8


def test_a_later_start_continues_the_same_batches(examples):
    options = {"batch_size": 3, "seed": 5, "shift": 2, "flip": True}
    whole = take(pipeline.train_batches(*examples, **options), 9)
    later = take(pipeline.train_batches(*examples, **options, first_epoch=2), 3)
    for (x, y), (late_x, late_y) in zip(whole[6:], later, strict=True):
        np.testing.assert_array_equal(x, late_x)
        np.testing.assert_array_equal(y, late_y)


def test_another_seed_gives_another_order(examples):
    zero, one = (
        np.concatenate(
            [y for _, y in take(pipeline.train_batches(*examples, 5, seed), 2)]
        )
        for seed in (0, 1)
    )
    assert list(zero) != list(one)


def test_shift_moves_the_whole_image_and_fills_with_zeros():
    images = np.zeros((64, 8, 8, 1), "float32")
    images[:, 3, 4] = 1.0
    moved = np.array(pipeline.random_shift(images, 2, [0, 1]))
    assert moved.shape == images.shape
    np.testing.assert_array_equal(moved.sum(axis=(1, 2, 3)), 1)
    rows, columns = np.argwhere(moved[..., 0])[:, 1:].T
    assert set(rows) == set(range(1, 6))
    assert set(columns) == set(range(2, 7))
    assert not np.array_equal(rows - 3, columns - 4)


def test_flip_mirrors_about_half_of_the_images():
    images = np.zeros((200, 2, 4, 1), "float32")
    images[:, :, 0] = 1.0
    flipped = np.array(pipeline.random_flip(images, [3, 4]))
    mirrored = flipped[:, 0, 3, 0] == 1
    assert 70 < mirrored.sum() < 130
    assert (flipped[mirrored] == images[0, :, ::-1]).all()
    assert (flipped[~mirrored] == images[0]).all()


def test_evaluation_shows_everything_in_order(examples):
    batches = list(pipeline.evaluation_batches(*examples, batch_size=4))
    assert [len(labels) for _, labels in batches] == [4, 4, 2]
    np.testing.assert_array_equal(
        np.concatenate([labels for _, labels in batches]), examples[1]
    )


@pytest.mark.parametrize("batch_size", [0, 11])
def test_batch_size_must_fit_the_set(examples, batch_size):
    with pytest.raises(
        ValueError, match=f"Received: batch_size={batch_size} for 10 examples"
    ):
        pipeline.train_batches(*examples, batch_size)
