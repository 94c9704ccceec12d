"""What is said of a stripped Mask R-CNN beside the trained one."""

import numpy as np
import pytest

from experiments.common import mask_contest, mask_recipe, mask_scores
from experiments.common.coco_data import load_coco
from experiments.common.coco_shapes import write_shapes
from experiments.common.mask_pipeline import MaskBatches
from tests.experiments.test_mask_pipeline import outputs_of


@pytest.fixture
def race(tmp_path):
    folder = write_shapes(tmp_path / "data", (("train", 2), ("val", 3)))
    batches = MaskBatches(load_coco(folder), (64, 128), 2)
    return mask_contest.MaskContest(tmp_path, batches, mask_recipe.MaskRecipe())


def seen_by(monkeypatch, race):
    """Lets two networks, 0 and 1, see what the returned lists say."""
    batches, raw = race.images, [{"boxes": np.ones(4)} for _ in range(2)]
    results = [
        [
            result
            for index in range(len(batches.task.test))
            for result in mask_scores.picture_results(
                outputs_of(batches, index), batches, index
            )
        ]
        for _ in raw
    ]
    monkeypatch.setattr(
        mask_scores,
        "detections",
        lambda model, batches: (results[model], raw[model]),
    )
    return results, raw


def test_equal_networks_differ_by_nothing(race, monkeypatch):
    seen_by(monkeypatch, race)
    assert race.verify(0, 1) == {"stripped_gap": 0, "stripped_AP_gap": 0}


def test_another_precision_is_told(race, monkeypatch):
    results, _ = seen_by(monkeypatch, race)
    del results[1][:2]
    found = race.verify(0, 1)
    assert found["stripped_gap"] == 0 and found["stripped_AP_gap"] > 0.1


@pytest.mark.parametrize("wrong", [1.001, np.nan])
def test_other_outputs_are_refused(race, monkeypatch, wrong):
    _, raw = seen_by(monkeypatch, race)
    raw[1]["boxes"][2] = wrong
    with pytest.raises(RuntimeError, match="outputs that differ by"):
        race.verify(0, 1)


def test_table_has_boxes_and_masks():
    keys = [key for _, key, _ in mask_contest.ROWS]
    assert keys[:4] == ["box_AP", "box_AP50", "mask_AP", "mask_AP50"]
    assert {"picture_ms", "step_ms", "train_seconds", "flops"} <= set(keys)
