"""Layers that choose boxes, against references written for clarity."""

import keras
import numpy as np
import pytest

from experiments.common import mask_boxes
from experiments.common.mask_layers import Detections, MaskOfLabel, Proposals
from tests.experiments.test_mask_boxes import (
    overlap_of,
    random_boxes,
    reference_suppression,
)

pytest.importorskip("keras_hub")

SIZE = (64, 64)


@pytest.fixture(scope="module")
def answers():
    """Random logits and deltas for all anchors of two pictures."""
    rng = np.random.default_rng(0)
    count = len(np.concatenate(mask_boxes.anchor_boxes(SIZE, 4.0)))
    logits = rng.normal(size=(2, count)).astype("float32")
    deltas = rng.normal(size=(2, count, 4)).astype("float32")
    return logits, 0.3 * deltas


def reference_proposals(logits, deltas, candidates, overlap):
    found, start = [], 0
    for anchors in mask_boxes.anchor_boxes(SIZE, 4.0):
        part = slice(start, start + len(anchors))
        start += len(anchors)
        best = np.argsort(-logits[part])[:candidates]
        boxes = mask_boxes.decode(deltas[part][best], anchors[best], SIZE)
        boxes, scores = np.array(boxes), logits[part][best, None]
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes, scores = boxes[inside], scores[inside]
        kept = reference_suppression(boxes, scores, overlap, -np.inf)
        found += [(score, boxes[place]) for score, _, place in kept]
    return [box for _, box in sorted(found, key=lambda pair: -pair[0])]


def test_proposals_are_those_of_the_reference(answers):
    layer = Proposals(SIZE, 4.0, count=20, candidates=12, overlap=0.6)
    found = np.array(layer(*answers))
    for place in range(2):
        logits, deltas = (values[place] for values in answers)
        expected = reference_proposals(logits, deltas, 12, 0.6)[:20]
        np.testing.assert_allclose(found[place], expected, atol=1e-3)


def test_missing_proposals_are_empty(answers):
    found = np.array(Proposals(SIZE, 4.0, 300, 8, 0.5)(*answers))
    areas = (found[..., 2] - found[..., 0]) * (found[..., 3] - found[..., 1])
    assert found.shape == (2, 300, 4)
    assert (areas[:, :10] > 0).all() and (areas[:, -10:] == 0).all()


def test_detections_are_those_of_the_reference():
    rng = np.random.default_rng(1)
    proposals = random_boxes(15, SIZE)[None]
    proposals[0, -2:] = 0
    logits = rng.normal(size=(1, 15, 3)).astype("float32")
    deltas = rng.normal(size=(1, 15, 2, 4)).astype("float32")
    layer = Detections(SIZE, count=12, overlap=0.4, least_score=0.3)
    boxes, scores, labels = map(np.array, layer(proposals, logits, deltas))
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=-1, keepdims=True)
    moved = np.stack(
        [
            mask_boxes.decode(
                deltas[0, :, label],
                proposals[0],
                SIZE,
                mask_boxes.DEVIATIONS,
            )
            for label in (0, 1)
        ]
    )
    expected = []
    for label in (0, 1):
        kept = reference_suppression(
            moved[label][:13], shares[:13, [label]], 0.4, 0.3
        )
        expected += [(s, label, moved[label][place]) for s, _, place in kept]
    expected = sorted(expected, key=lambda entry: -entry[0])[:12]
    count = len(expected)
    assert 3 < count
    np.testing.assert_allclose(
        scores[0, :count], [e[0] for e in expected], rtol=1e-5
    )
    assert labels[0, :count].tolist() == [e[1] for e in expected]
    np.testing.assert_allclose(
        boxes[0, :count], [e[2] for e in expected], atol=1e-3
    )
    assert not scores[0, count:].any()


def test_detections_of_a_class_do_not_overlap():
    rng = np.random.default_rng(1)
    proposals = random_boxes(40, SIZE)[None]
    logits = rng.normal(size=(1, 40, 3)).astype("float32")
    deltas = np.zeros((1, 40, 2, 4), "float32")
    layer = Detections(SIZE, count=30, overlap=0.2, least_score=0.1)
    boxes, scores, labels = map(np.array, layer(proposals, logits, deltas))
    seen = np.flatnonzero(scores[0] > 0)
    for one in seen:
        for other in seen[seen > one]:
            if labels[0, one] == labels[0, other]:
                assert overlap_of(boxes[0, one], boxes[0, other]) <= 0.2001


def test_mask_is_that_of_the_label():
    rng = np.random.default_rng(0)
    masks = rng.normal(size=(2, 3, 4, 4, 5)).astype("float32")
    labels = rng.integers(0, 5, (2, 3)).astype("int32")
    found = np.array(MaskOfLabel()(masks, labels))
    for place in np.ndindex(2, 3):
        expected = masks[(*place, slice(None), slice(None), labels[place])]
        np.testing.assert_array_equal(found[place], expected)


@pytest.mark.parametrize(
    "layer",
    [Proposals(SIZE, 4.0, 7, 9, 0.6), Detections(SIZE, 8, 0.3, 0.2)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_are_made_anew_from_their_config(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_layers_know_their_shapes_without_data():
    logits, deltas = keras.Input((1023,)), keras.Input((1023, 4))
    proposals = Proposals(SIZE, 4.0, 7)(logits, deltas)
    assert proposals.shape == (None, 7, 4)
    found = Detections(SIZE, 9)(
        proposals, keras.Input((7, 3)), keras.Input((7, 2, 4))
    )
    assert [x.shape for x in found] == [(None, 9, 4), (None, 9), (None, 9)]
    masks = MaskOfLabel()(keras.Input((9, 28, 28, 2)), found[2])
    assert masks.shape == (None, 9, 28, 28)
