"""Scores over the epochs, pictures with boxes, numbers in the table."""

import types

import numpy as np
import pytest

from experiments.common import coco_pictures, table
from experiments.common.coco_data import load_coco
from experiments.common.coco_scores import box_results
from experiments.common.coco_shapes import write_shapes
from experiments.common.detection_contest import ROWS, PrecisionLog


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    pytest.importorskip("pycocotools")
    folder = tmp_path_factory.mktemp("shapes")
    return load_coco(write_shapes(folder, size=(60, 80))).test


def test_scores_are_logged_every_few_epochs_and_in_the_last():
    asked = []

    def score(model):
        asked.append(model)
        return {"AP": 0.1 * len(asked), "AP50": 0.2, "AP75": 0.3}

    log = PrecisionLog(score, every=2)
    model = types.SimpleNamespace()
    log.set_model(model)
    log.set_params({"epochs": 5})
    rows = []
    for epoch in range(5):
        log.on_epoch_begin(epoch)
        log.on_test_begin()
        rows.append({})
        log.on_epoch_end(epoch, rows[-1])
    assert asked == [model] * 3
    assert [bool(row) for row in rows] == [False, True, False, True, True]
    assert rows[4] == pytest.approx({"val_AP": 0.3, "val_AP50": 0.2})


def test_pictures_are_drawn_with_what_was_found(part, tmp_path):
    place = coco_pictures.chosen_pictures(part)[0]
    objects = part.objects(place)
    scores = np.linspace(0.9, 0.2, len(objects))
    results = box_results(part, place, objects.boxes, objects.labels, scores)
    path = tmp_path / "boxes.png"
    coco_pictures.plot_boxes(part, {"dense": results, "CHEX": []}, path, "T")
    assert path.stat().st_size > 10_000
    empty = tmp_path / "empty.png"
    coco_pictures.plot_boxes(part, {"dense": [], "CHEX": []}, empty, "T")
    assert empty.read_bytes() != path.read_bytes()


def test_pictures_shown_have_the_most_classes(part):
    shown = coco_pictures.chosen_pictures(part)
    assert len(shown) == 5 and shown == sorted(set(shown))
    assert len(coco_pictures.chosen_pictures(part.first(2))) == 2


def test_precisions_have_no_ratio():
    dense = {"AP": 0.5, "AP50": 0.0, "AP75": 0.25, "step_seconds": 0.2}
    chex = {**dense, "trained_AP": 0.5, "raw_difference": 2e-6}
    chex["step_seconds"] = 0.1
    rows = [row for row in ROWS if row[1] in chex]
    text = table.results_table({"dense": [dense], "CHEX": [chex]}, rows)
    lines = [line.split() for line in text.splitlines()[1:]]
    assert lines[0] == ["AP", "50.00", "%", "50.00", "%"]
    assert ["AP50", "0.00", "%", "0.00", "%"] in lines
    assert lines[3] == ["AP", "before", "stripping", "-", "50.00", "%"]
    assert lines[4][-2:] == ["ms", "(0.500)"]
    assert lines[5][-2:] == ["-", "2.0e-06"]
    several = table.results_table(
        {"dense": [dense, {**dense, "AP": 0.6}]}, rows[:1]
    )
    assert "55.00 ± 7.07 %" in several
