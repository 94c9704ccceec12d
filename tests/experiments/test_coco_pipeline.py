"""Batches of pictures with boxes: where these are, and the same again."""

import itertools

import numpy as np
import pytest

from experiments.common.coco_data import load_coco
from experiments.common.coco_geometry import letterbox
from experiments.common.coco_pipeline import (
    GROUND,
    MEAN,
    STD,
    CocoBatches,
    PictureChanges,
    most_objects,
    picture_batches,
    random_colour,
    random_placement,
    training_example,
)
from experiments.common.coco_shapes import COLOURS, write_shapes

pytest.importorskip("pycocotools")
SIZE, CANVAS = (60, 80), (64, 64)
AS_IT_IS = PictureChanges(mirror=False, zoom=(1.0, 1.0), colour=0.0)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return load_coco(
        write_shapes(folder, (("train", 9), ("val", 5)), SIZE, seed=3)
    )


def batches(task, **changes):
    return CocoBatches(task, CANVAS, 4, **changes)


def first(dataset, count):
    return [
        (x.numpy(), y["boxes"].numpy(), y["labels"].numpy())
        for x, y in itertools.islice(dataset, count)
    ]


def assert_equal(batch, other):
    for array, expected in zip(batch, other, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_a_run_that_goes_on_sees_the_same_batches(task):
    assert batches(task).steps == 2
    whole = first(batches(task).train(), 6)
    for found, expected in zip(
        first(batches(task).train(first_epoch=1), 4), whole[2:], strict=True
    ):
        assert_equal(found, expected)


def test_epochs_and_seeds_differ(task):
    zero, one = (first(batches(task, seed=s).train(), 4) for s in (0, 1))
    for other in (zero[2], one[0]):
        assert not np.array_equal(zero[0][0], other[0])


def test_batches_have_fixed_shapes_and_end_in_minus_one(task):
    most = most_objects(task.train)
    pictures, boxes, labels = first(batches(task).train(), 1)[0]
    assert pictures.shape == (4, *CANVAS, 3)
    assert boxes.shape == (4, most, 4)
    assert labels.shape == (4, most)
    nothing = labels == -1
    assert (boxes[nothing] == -1).all()
    assert (boxes[~nothing] >= 0).all()
    assert nothing.any() and not nothing.all()
    # Real labels come first.
    assert (np.diff(nothing.astype(int), axis=1) >= 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_boxes_follow_the_shapes_wherever_they_are_put(task, seed):
    part = task.train
    changes = PictureChanges(zoom=(0.6, 1.8), colour=0.0)
    for index in range(len(part)):
        rng = np.random.default_rng([seed, index])
        pixels, boxes, labels, placed, kept = training_example(
            part, index, CANVAS, changes, rng
        )
        assert len(boxes) == len(labels) == kept.sum()
        masks = placed.masks(part.masks(index))[kept]
        for box, label, mask in zip(boxes, labels, masks, strict=True):
            rows, columns = (np.flatnonzero(mask.any(axis=a)) for a in (1, 0))
            edges = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            assert np.abs(box - edges).max() <= 1
            colour = pixels[mask].mean(axis=0)
            assert np.abs(colour - COLOURS[label]).max() < 25


def test_without_changes_a_picture_is_as_in_evaluation(task):
    rng = np.random.default_rng(0)
    pixels, boxes, _, placed, _ = training_example(
        task.train, 0, CANVAS, AS_IT_IS, rng
    )
    assert placed.inner == letterbox(SIZE, CANVAS).inner
    top = placed.offset[0]
    expected = letterbox(SIZE, CANVAS).picture(task.train.image(0), GROUND)
    np.testing.assert_array_equal(pixels[top : top + 48], expected[:48])
    shifted = letterbox(SIZE, CANVAS).boxes(task.train.objects(0).boxes)
    np.testing.assert_allclose(boxes, shifted + [0, top, 0, top], atol=1e-4)


def test_placements_keep_to_their_range():
    rng = np.random.default_rng(0)
    changes = PictureChanges(zoom=(0.5, 2.0))
    drawn = [random_placement(SIZE, CANVAS, changes, rng) for _ in range(300)]
    widths = np.array([placed.inner[1] for placed in drawn]) / CANVAS[1]
    assert 0.5 <= widths.min() < 0.55 and 1.9 < widths.max() <= 2.0
    for placed in drawn:
        for start, length, limit in zip(
            placed.offset, placed.inner, CANVAS, strict=True
        ):
            # Large pictures cover the canvas, small ones lie within it.
            low, high = sorted((0, limit - length))
            assert low <= start <= high
    assert 0.4 < np.mean([placed.mirrored for placed in drawn]) < 0.6


def test_colours_change_within_their_range():
    image = np.full((4, 4, 3), (100, 150, 120), "uint8")
    drawn = np.array(
        [
            random_colour(
                image, PictureChanges(colour=0.2), np.random.default_rng(i)
            )[0, 0]
            for i in range(200)
        ]
    ).astype(float)
    grey = drawn.mean(axis=1)
    assert 95 < grey.min() < 105 and 140 < grey.max() < 155
    same = random_colour(image, AS_IT_IS, np.random.default_rng(0))
    np.testing.assert_array_equal(same, image)


def test_evaluation_shows_every_picture_once_in_order(task):
    found = first(batches(task).evaluation(), 10)
    assert [len(x) for x, _, _ in found] == [4, 1]
    pictures = np.concatenate([x for x, _, _ in found])
    labels = np.concatenate([y for _, _, y in found])
    for index, (picture, row) in enumerate(zip(pictures, labels, strict=True)):
        placed = letterbox(SIZE, CANVAS)
        pixels = placed.picture(task.test.image(index), GROUND)
        expected = (pixels / 255 - MEAN) / STD
        np.testing.assert_allclose(picture, expected, atol=1e-5)
        objects = task.test.objects(index)
        assert row[: len(objects)].tolist() == objects.labels.tolist()


def test_picture_batches_are_full(task):
    found = list(picture_batches(task.test, CANVAS, 3))
    assert [places for places, _, _ in found] == [[0, 1, 2], [3, 4]]
    assert [len(placed) for _, placed, _ in found] == [3, 2]
    last = found[1][2].numpy()
    assert last.shape == (3, *CANVAS, 3)
    np.testing.assert_array_equal(last[2], last[1])
