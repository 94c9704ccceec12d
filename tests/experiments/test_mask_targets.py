"""What is to be learnt from a picture with known objects."""

import numpy as np
import pytest
import tensorflow as tf

from experiments.common import mask_boxes, mask_losses, mask_targets
from tests.experiments.test_mask_boxes import overlap_of, random_boxes

pytest.importorskip("keras_hub")

LABELS = np.array([[2, 0, -1], [-1, -1, -1]], "int32")
OBJECTS = np.zeros((2, 3, 4), "float32")
OBJECTS[0, 0] = [10, 10, 40, 40]
OBJECTS[0, 1] = [60, 5, 68, 61]


def noise(*shape):
    values = np.random.default_rng(0).uniform(size=shape)
    return tf.constant(values, tf.float32)


def test_overlaps_are_those_of_the_reference():
    boxes = random_boxes(20)
    found = np.array(mask_targets.overlaps(boxes, OBJECTS, LABELS))
    for place, box in enumerate(boxes):
        for number in (0, 1):
            expected = overlap_of(box, OBJECTS[0, number])
            assert found[0, place, number] == pytest.approx(expected, abs=1e-5)
    assert (found[0, :, 2] == -1).all() and (found[1] == -1).all()


def reference_anchors(anchors):
    """Positive and negative anchors of the first picture, and their object."""
    table = np.array(
        [[overlap_of(a, OBJECTS[0, i]) for i in (0, 1)] for a in anchors]
    )
    owner = table.argmax(axis=1)
    best = (table >= table.max(axis=0) - 1e-6) & (table > 0)
    owner = np.where(best.any(axis=1), best.argmax(axis=1), owner)
    positive = (table.max(axis=1) >= 0.7) | best.any(axis=1)
    return positive, (table.max(axis=1) < 0.3) & ~positive, owner


def test_anchors_with_objects_are_those_of_the_reference():
    anchors = np.concatenate(mask_boxes.anchor_boxes((64, 128), 4.0))
    everything = len(anchors)
    positive, chosen, deltas = mask_targets.anchor_targets(
        anchors, OBJECTS, LABELS, noise(2, everything), 2 * everything
    )
    positive, chosen, deltas = map(np.array, (positive, chosen, deltas))
    expected, negative, owner = reference_anchors(anchors)
    assert expected.sum() >= 2
    np.testing.assert_array_equal(positive[0], expected)
    np.testing.assert_array_equal(chosen[0], expected | negative)
    back = mask_boxes.decode(deltas[0], anchors, (64, 128))
    for place in np.flatnonzero(expected):
        target = OBJECTS[0, owner[place]]
        np.testing.assert_allclose(back[place], target, atol=1e-3)
    # A picture without objects has only background.
    assert not positive[1].any() and chosen[1].all()


def test_no_more_anchors_than_asked_for_are_chosen():
    anchors = np.concatenate(mask_boxes.anchor_boxes((64, 128), 4.0))
    positive, chosen, _ = mask_targets.anchor_targets(
        anchors, OBJECTS, LABELS, noise(2, len(anchors)), 4
    )
    assert np.array(chosen).sum(axis=1).tolist() == [4, 4]
    assert np.array(positive).sum(axis=1).tolist() == [2, 0]


def test_sample_has_positive_ones_first_and_is_random():
    positive = np.zeros((1, 40), bool)
    positive[0, :10] = True
    negative = np.zeros((1, 40), bool)
    negative[0, 20:] = True
    seen = set()
    for seed in range(20):
        values = np.random.default_rng(seed).uniform(size=(1, 40))
        key = np.array(
            mask_targets.sampling_key(
                positive, negative, values.astype("float32"), 3
            )
        )[0]
        assert (key >= 2).sum() == 3 and (key[:10] >= 2).sum() == 3
        assert ((key >= 1) & (key < 2)).sum() == 20
        assert (key[10:20] == 0).all()
        seen |= set(np.flatnonzero(key >= 2).tolist())
    assert seen == set(range(10))


@pytest.fixture(scope="module")
def sampled():
    proposals = np.stack([random_boxes(30, seed=1)] * 2)
    proposals[:, :3] = OBJECTS[0, 0] + [[1, 1, 0, 0], [0, 2, 1, 0], [0] * 4]
    proposals[:, 3] = 0  # fills up
    return mask_targets.proposal_targets(
        proposals, OBJECTS, LABELS, noise(2, 33), 5, count=16, share=0.25
    )


def test_proposals_with_objects_come_first(sampled):
    positive, valid = np.array(sampled.positive), np.array(sampled.valid)
    assert positive[0].sum() == 4 and positive[0, :4].all()
    assert valid[0].all() and valid[1].all() and not positive[1].any()
    for place, box in enumerate(np.array(sampled.boxes)[0]):
        overlap = max(overlap_of(box, OBJECTS[0, i]) for i in (0, 1))
        assert (overlap >= 0.5) == positive[0, place]


def test_proposals_learn_label_and_deltas_of_their_object(sampled):
    labels, owner = np.array(sampled.labels), np.array(sampled.objects)
    assert (labels[0, 4:] == 5).all() and (labels[1] == 5).all()
    expected = LABELS[0][owner[0, :4]]
    np.testing.assert_array_equal(labels[0, :4], expected)
    back = mask_boxes.decode(
        np.array(sampled.deltas)[0, :4],
        np.array(sampled.boxes)[0, :4],
        (64, 128),
        mask_boxes.DEVIATIONS,
    )
    np.testing.assert_allclose(back, OBJECTS[0][owner[0, :4]], atol=1e-3)


def test_empty_proposals_are_not_learnt_from():
    proposals = np.zeros((2, 30, 4), "float32")
    sampled = mask_targets.proposal_targets(
        proposals, OBJECTS, LABELS, noise(2, 33), 5, count=8, share=0.5
    )
    # The objects themselves are proposals.
    assert np.array(sampled.valid).sum(axis=1).tolist() == [2, 0]
    assert np.array(sampled.positive).sum(axis=1).tolist() == [2, 0]


def cell_value(mask, y, x):
    """Bilinear between cells, 0 outside of the mask."""
    total = 0.0
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            near = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            total += near * mask[row, column]
    return total


def test_masks_seen_through_boxes_are_those_of_the_reference():
    rng = np.random.default_rng(3)
    masks = (255 * (rng.uniform(size=(2, 3, 6, 6)) > 0.4)).astype("uint8")
    boxes = np.array([[[5, 12, 50, 30], [10, 10, 40, 40]]] * 2, "float32")
    objects, owner = np.stack([OBJECTS[0]] * 2), np.array([[0, 1], [1, 0]])
    found = np.array(mask_targets.mask_targets(masks, objects, owner, boxes, 4))
    for example, place in np.ndindex(2, 2):
        number = owner[example, place]
        left, top, right, bottom = objects[example, number]
        x0, y0, x1, y1 = boxes[example, place]
        for row, column in np.ndindex(4, 4):
            y = y0 + (row + 0.5) / 4 * (y1 - y0)
            x = x0 + (column + 0.5) / 4 * (x1 - x0)
            value = cell_value(
                masks[example, number],
                (y - top) / (bottom - top) * 6 - 0.5,
                (x - left) / (right - left) * 6 - 0.5,
            )
            if abs(value - 127.5) > 0.1:
                expected = value > 127.5
                assert found[example, place, row, column] == expected


def test_losses_are_zero_for_what_is_right(sampled):
    logits = 50 * np.eye(6, dtype="float32")[np.array(sampled.labels)]
    deltas = np.repeat(np.array(sampled.deltas)[:, :, None], 5, axis=2)
    score, place = mask_losses.box_losses(logits, deltas, sampled)
    assert float(score) == pytest.approx(0, abs=1e-5) and float(place) == 0
    _, place = mask_losses.box_losses(logits, deltas + 2, sampled)
    # 4 deltas off by 2 cost 1.5 each, in 4 of 32 proposals.
    assert float(place) == pytest.approx(4 * 4 * 1.5 / 32, rel=1e-5)


def test_mask_loss_counts_positive_boxes_only():
    logits = np.zeros((1, 2, 3, 3), "float32")
    logits[0, 1] = 80
    targets = np.zeros_like(logits)
    both = np.array([[True, True]])
    first = np.array([[True, False]])
    assert float(mask_losses.mask_loss(logits, targets, first)) == (
        pytest.approx(np.log(2))
    )
    assert float(mask_losses.mask_loss(logits, targets, both)) == (
        pytest.approx((np.log(2) + 80) / 2)
    )
    assert float(mask_losses.mask_loss(logits, targets, ~both)) == 0
