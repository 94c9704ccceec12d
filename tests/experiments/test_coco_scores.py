"""Average precision: by hand where that can be done, and per class."""

import numpy as np
import pytest

from experiments.common.coco_data import load_coco
from experiments.common.coco_scores import (
    NAMES,
    average_precision,
    box_results,
    mask_results,
)
from experiments.common.coco_shapes import write_shapes

pytest.importorskip("pycocotools")


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return load_coco(write_shapes(folder, size=(60, 80))).test


def perfect(part, with_masks=False):
    results = []
    for index in range(len(part)):
        objects = part.objects(index)
        scores = np.ones(len(objects))
        found = (part, index, objects.boxes, objects.labels, scores)
        if with_masks:
            results += mask_results(*found, part.masks(index))
        else:
            results += box_results(*found)
    return results


def iou(a, b):
    corner = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = corner.clip(0).prod()
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def reference_ap50(part, results):
    """AP50 over 101 recalls, from the definition."""
    values = []
    for label, category in enumerate(part.category_ids):
        truth = {
            number: [
                box
                for box, kind in zip(
                    part.objects(i).boxes, part.objects(i).labels, strict=True
                )
                if kind == label
            ]
            for i, number in enumerate(part.image_ids)
        }
        found = [r for r in results if r["category_id"] == category]
        hits = []
        for result in sorted(found, key=lambda r: -r["score"]):
            x, y, w, h = result["bbox"]
            left = truth[result["image_id"]]
            ious = [iou(np.array([x, y, x + w, y + h]), box) for box in left]
            hits.append(bool(ious) and max(ious) >= 0.5)
            if hits[-1]:
                left.pop(int(np.argmax(ious)))
        total = sum(map(len, truth.values())) + sum(hits)
        recall = np.cumsum(hits) / total
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        levels = np.linspace(0, 1, 101)
        values.append(
            np.mean(
                [precision[recall >= r - 1e-9].max(initial=0) for r in levels]
            )
        )
    return np.mean(values)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_truth_scores_one(kind, part, capsys):
    scores = average_precision(part, perfect(part, kind == "segm"), kind)
    assert tuple(scores) == NAMES
    assert scores["AP"] == scores["AP50"] == scores["AR100"] == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_no_detections_score_zero(kind, part):
    scores = average_precision(part, [], kind)
    assert scores["AP"] == scores["AP50"] == scores["AR100"] == 0


def test_scores_agree_with_the_definition(part):
    rng = np.random.default_rng(0)
    results = []
    for index in range(len(part)):
        objects = part.objects(index)
        moved = objects.boxes + rng.normal(0, 4, objects.boxes.shape)
        boxes = np.concatenate([moved, rng.uniform([0] * 4, 40, (2, 4))])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        labels = np.concatenate([objects.labels, rng.integers(0, 2, 2)])
        scores = rng.uniform(size=len(boxes))
        results += box_results(part, index, boxes, labels, scores)
    before = [dict(result) for result in results]
    found = average_precision(part, results)["AP50"]
    assert 0.2 < found < 0.95
    assert found == pytest.approx(reference_ap50(part, results), abs=1e-6)
    assert results == before


def test_pictures_without_detections_count(part):
    results = [r for r in perfect(part) if r["image_id"] != part.image_ids[0]]
    assert average_precision(part, results)["AP"] < 1
    others = average_precision(part.first(3), perfect(part.first(3)))
    assert others["AP"] == 1


def test_half_a_mask_has_half_the_overlap(part):
    results = []
    for index in range(len(part)):
        objects = part.objects(index)
        masks = part.masks(index)
        for mask, box in zip(masks, objects.boxes, strict=True):
            middle = int(box[[0, 2]].mean()) + 2
            mask[:, middle:] = False
        scores = np.ones(len(objects))
        results += mask_results(
            part, index, objects.boxes, objects.labels, scores, masks
        )
    scores = average_precision(part, results, "segm")
    assert scores["AP50"] > 0.9
    assert scores["AP75"] < 0.1


def test_unknown_kinds_are_refused(part):
    with pytest.raises(ValueError, match="'bbox' or 'segm'. Received: kind='k"):
        average_precision(part, [], "keypoints")
