"""Batches of pictures with boxes and masks, and scores of what is seen."""

import itertools

import numpy as np
import pytest

from experiments.common import (
    mask_pictures,
    mask_pipeline,
    mask_recipe,
    mask_scores,
)
from experiments.common.coco_data import load_coco
from experiments.common.coco_geometry import letterbox
from experiments.common.coco_shapes import write_shapes
from experiments.common.mask_paste import paste_masks
from experiments.common.mask_pipeline import CELLS, MaskBatches


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return load_coco(write_shapes(folder, (("train", 9), ("val", 5))))


@pytest.fixture(scope="module")
def batches(task):
    return MaskBatches(task, (64, 128), 4, objects=6, zooms=(0.8, 1.6), seed=3)


def taken(dataset, count):
    return [
        (x.numpy(), {name: values.numpy() for name, values in y.items()})
        for x, y in itertools.islice(dataset, count)
    ]


def test_batches_go_on_where_they_were_interrupted(batches):
    assert batches.steps == 2
    unbroken = taken(batches.train(), 4)
    resumed = taken(batches.train(first_epoch=1), 2)
    for (x, y), (again, truth) in zip(unbroken[2:], resumed, strict=True):
        np.testing.assert_array_equal(x, again)
        for name, values in y.items():
            np.testing.assert_array_equal(values, truth[name])
    assert (unbroken[0][0] != unbroken[2][0]).any()


def test_batches_have_fixed_shapes(batches):
    for x, y in taken(batches.train(), 2):
        assert x.shape == (4, 64, 128, 3) and x.max() > 1
        assert y["boxes"].shape == (4, 6, 4)
        assert y["masks"].shape == (4, 6, CELLS, CELLS)
        real = y["labels"] >= 0
        assert real.any() and (y["boxes"][~real] == 0).all()
        assert (y["boxes"][real] <= [128, 64, 128, 64]).all()


def test_test_pictures_come_once_in_order(batches):
    found = taken(batches.test(), 10)
    assert [len(x) for x, _ in found] == [4, 1]
    np.testing.assert_array_equal(found[1][0], batches.pictures([4]))


@pytest.mark.parametrize("mirrored", [False, True])
def test_masks_within_boxes_are_the_masks_of_the_picture(task, mirrored):
    batches = MaskBatches(task, (96, 128), 1, objects=6)
    placement = letterbox((96, 128), (96, 128), 1.2)
    placement = type(placement)(
        placement.size, placement.canvas, placement.inner, (-9, -12), mirrored
    )
    rng = np.random.default_rng(0)
    for index in range(len(task.train)):
        _, truth = batches.example(task.train, index, placement, rng)
        real = truth["labels"] >= 0
        pasted = paste_masks(
            truth["masks"][real] / 255.0, truth["boxes"][real], (96, 128)
        )
        whole = placement.masks(task.train.masks(index))
        for mask in pasted:
            shares = [
                (mask & other).sum() / (mask | other).sum() for other in whole
            ]
            assert max(shares) > 0.85


def test_of_too_many_objects_some_are_left_out(task):
    batches = MaskBatches(task, (96, 128), 1, objects=1)
    placement = letterbox((96, 128), (96, 128))
    index = max(
        range(len(task.train)), key=lambda i: len(task.train.objects(i))
    )
    boxes = task.train.objects(index).boxes
    assert len(boxes) > 1
    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        _, truth = batches.example(task.train, index, placement, rng)
        seen.add(tuple(truth["boxes"][0].tolist()))
    assert seen == {tuple(box.tolist()) for box in boxes}


def outputs_of(batches, index, cells=28):
    """What a network that knows the truth would return."""
    placement = batches.placement(index)
    part = batches.task.test
    boxes = placement.boxes(part.objects(index).boxes)
    masks = [
        mask_pipeline.cells_of(mask, box)
        for mask, box in zip(
            part.masks(index), part.objects(index).boxes, strict=True
        )
    ]
    half = CELLS // cells
    masks = np.array(masks, "float32")[:, half // 2 :: half, half // 2 :: half]
    count = len(boxes)
    return {
        "boxes": np.concatenate([boxes, np.zeros((1, 4))]),
        "scores": np.array([0.9] * count + [0.0]),
        "labels": np.append(part.objects(index).labels, 0),
        "mask_logits": np.concatenate([masks / 127.5 - 1, masks[:1]]),
    }


def test_true_objects_have_full_precision(task):
    batches = MaskBatches(task, (64, 128), 2)
    results = []
    for index in range(len(task.test)):
        seen = outputs_of(batches, index)
        found = mask_scores.picture_results(seen, batches, index)
        assert len(found) == len(task.test.objects(index))
        results += found
    scores = mask_scores.scores(task.test, results)
    assert scores["box_AP"] == pytest.approx(1)
    assert scores["mask_AP50"] == pytest.approx(1)
    assert scores["mask_AP"] > 0.8
    masks = mask_pictures.masks_of(task.test, 0, results)
    assert len(masks) == len(task.test.objects(0))


def test_detections_are_asked_for_in_batches(task):
    class Knows:
        def __init__(self, batches):
            self.batches, self.index = batches, 0

        def predict_on_batch(self, pictures):
            found = [
                outputs_of(self.batches, self.index + place)
                for place in range(len(pictures))
            ]
            self.index += len(pictures)
            most = max(len(f["scores"]) for f in found)
            return {
                name: np.stack([_filled(f[name], most) for f in found])
                for name in found[0]
            }

    batches = MaskBatches(task, (64, 128), 2)
    results, raw = mask_scores.detections(Knows(batches), batches)
    assert mask_scores.scores(task.test, results)["box_AP"] == pytest.approx(1)
    assert len(raw["scores"]) == 2


def _filled(values, count):
    missing = [(0, count - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values, missing)


def test_gap_is_a_share_of_the_largest_value():
    one = {"a": np.array([1.0, -4.0]), "b": np.array([0.0])}
    other = {"a": np.array([1.0, -3.0]), "b": np.array([0.0])}
    assert mask_scores.largest_gap(one, other) == 0.25
    assert mask_scores.largest_gap(one, one) == 0


def test_pictures_show_truth_and_networks(task, tmp_path):
    batches = MaskBatches(task, (64, 128), 2)
    results = mask_scores.picture_results(outputs_of(batches, 0), batches, 0)
    path = tmp_path / "objects.png"
    mask_pictures.plot_objects(task.test, {"dense": results}, path, "Shapes")
    assert path.stat().st_size > 10_000


def test_rate_rises_and_falls():
    recipe = mask_recipe.MaskRecipe(epochs=12, batch_size=8)
    rate = mask_recipe.learning_rate(recipe, 1000)
    steps = (0, 250, 500, 7999, 8000, 11000)
    expected = [0, 0.005, 0.01, 0.01, 0.001, 0.0001]
    assert [float(rate(step)) for step in steps] == pytest.approx(expected)
    again = type(rate).from_config(rate.get_config())
    assert float(again(7000)) == float(rate(7000))
    short = mask_recipe.MaskRecipe(epochs=1)
    assert mask_recipe.learning_rate(short, 50).warmup == 5
