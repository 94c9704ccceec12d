"""RetinaNet of KerasHub: settings, first weights, wrapped and stripped."""

import sys

import keras
import numpy as np
import pytest

import keras_chex
from experiments.common.detection_models import RetinaNet, plain
from experiments.common.detection_recipe import (
    DetectionRecipe,
    compile_detector,
)
from tests import checks

SMALL = RetinaNet(
    classes=3,
    image_size=(32, 64),
    depth=18,
    widths=(64, 8, 8, 8),
    levels=(4, 6),
    head_layers=1,
    pyramid_norm=True,
    least_score=0.0,
)


@pytest.fixture(scope="module")
def task():
    pytest.importorskip("keras_hub")
    return SMALL.build()


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 32, 64, 3)).astype("float32")


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"image_size": (48, 64)}, "multiples of 32. Received: .*48,64"),
        ({"image_size": (64,)}, "must be height and width"),
        ({"depth": 101}, "one of 18,34,50. Received: --depth=101"),
        ({"widths": (32, 64, 64, 64)}, "first 64, as KerasHub.*32,64,64,64"),
        ({"widths": (64, 64)}, "must be four numbers"),
        ({"levels": (1, 4)}, "the first at least 2. Received: --levels=1,4"),
        ({"levels": (5, 4)}, "first and the last level"),
    ],
)
def test_wrong_settings_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        RetinaNet(classes=3, **changes)


def test_missing_keras_hub_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r"KerasHub.*keras_chex\[coco\]"):
        SMALL.build()


def test_training_begins_with_few_objects_and_unmoved_anchors(task, pictures):
    raw = task(pictures)
    scores = keras.ops.convert_to_numpy(keras.ops.sigmoid(raw["cls_logits"]))
    assert scores.shape == (2, (8 + 2 + 1) * 9, 3)
    assert 0.005 < scores.mean() < 0.02
    assert np.abs(raw["bbox_regression"]).mean() < 0.2


def test_the_task_keeps_its_class_and_its_decoder(task, pictures):
    wrapped = keras_chex.wrap(task)
    assert isinstance(wrapped, type(task))
    groups = keras_chex.channel_groups(wrapped)
    by_name = {group.name: group for group in groups}
    # Heads are shared by all levels: their inputs are one group.
    shared = by_name["features/fpn/output_conv_P4"]
    assert len(shared.producers) == 3
    keras_chex.set_active(wrapped, checks.random_active(groups))
    stripped = keras_chex.strip(wrapped)
    assert not isinstance(stripped, type(task))
    before, after = wrapped(pictures), stripped(pictures)
    assert checks.largest_difference(before, after) <= checks.TOLERANCE
    found = task.decode_predictions(after, pictures)
    assert found["boxes"].shape == (2, 100, 4)
    expected = wrapped.decode_predictions(before, pictures)
    assert checks.largest_difference(found, expected) <= 1e-4


def test_a_compiled_task_becomes_a_plain_model(task, pictures):
    compile_detector(task, DetectionRecipe(), 10)
    model = plain(task)
    assert not isinstance(model, type(task))
    difference = checks.largest_difference(model(pictures), task(pictures))
    assert difference <= checks.TOLERANCE


def test_budgets_can_count_the_backbone_alone():
    pytest.importorskip("keras_hub")
    scheduler = keras_chex.ChexScheduler(
        flops=0.5, budget_scope="backbone", verbose=0
    )
    plan = scheduler.plan(keras_chex.wrap(SMALL.build()), 10, 5)
    assert "flops=0.5 of backbone" in str(plan)
