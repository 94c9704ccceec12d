"""Anchors, coding and suppression against references written for clarity."""

import numpy as np
import pytest
from keras import ops

from experiments.common import mask_boxes


def random_boxes(count, size=(64, 128), seed=0):
    rng = np.random.default_rng(seed)
    height, width = size
    corners = rng.uniform(0, 1, (count, 2, 2)) * [width, height]
    low, high = corners.min(axis=1), corners.max(axis=1) + 1
    return np.concatenate([low, high], axis=1).astype("float32")


def overlap_of(one, other):
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    common = max(across, 0) * max(down, 0)
    both = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return common / (both - common)


def reference_anchors(size, anchor_size, ratios):
    levels = []
    for level in (2, 3, 4, 5, 6):
        stride, found = 2**level, []
        for row in range(size[0] // stride):
            for column in range(size[1] // stride):
                for ratio in ratios:
                    side = stride * anchor_size
                    # Whole pixels to each side, halves to the even number.
                    half_w = np.round(side / np.sqrt(ratio) / 2)
                    half_h = np.round(side * np.sqrt(ratio) / 2)
                    x, y = column * stride, row * stride
                    found.append(
                        [x - half_w, y - half_h, x + half_w, y + half_h]
                    )
        levels.append(np.array(found))
    return levels


def test_every_level_has_its_anchors():
    pytest.importorskip("keras_hub")
    anchors = mask_boxes.anchor_boxes((64, 128))
    assert [len(level) for level in anchors] == [1536, 384, 96, 24, 6]


@pytest.mark.parametrize("anchor_size", [3.0, 8.0])
def test_anchors_are_those_of_the_reference(anchor_size):
    pytest.importorskip("keras_hub")
    found = mask_boxes.anchor_boxes((64, 128), anchor_size)
    expected = reference_anchors((64, 128), anchor_size, mask_boxes.RATIOS)
    assert len(found) == len(expected) == 5
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("size", [(64,), (64, 100), (0, 64), (64, 64, 64)])
def test_canvas_must_fit_all_levels(size):
    with pytest.raises(ValueError, match="multiples of 64. Received: image_si"):
        mask_boxes.check_image_size(size)


def reference_deltas(box, anchor):
    sides = [(b[2] - b[0], b[3] - b[1]) for b in (box, anchor)]
    centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (box, anchor)]
    shifts = [(centres[0][i] - centres[1][i]) / sides[1][i] for i in (0, 1)]
    return [*shifts, *(np.log(sides[0][i] / sides[1][i]) for i in (0, 1))]


def test_deltas_are_those_of_the_reference_and_lead_back():
    boxes, anchors = random_boxes(50), random_boxes(50, seed=1)
    # A side grows by a factor of 62.5 at most.
    anchors[:, 2:] += 3
    deltas = mask_boxes.encode(boxes, anchors)
    expected = [
        reference_deltas(*pair) for pair in zip(boxes, anchors, strict=True)
    ]
    np.testing.assert_allclose(deltas, expected, atol=1e-4)
    inside = mask_boxes.clip(boxes, (64, 128))
    back = mask_boxes.decode(deltas, anchors, (64, 128))
    np.testing.assert_allclose(back, inside, atol=1e-3)


def test_deviations_scale_deltas():
    boxes, anchors = random_boxes(9), random_boxes(9, seed=1)
    plain = mask_boxes.encode(boxes, anchors)
    scaled = mask_boxes.encode(boxes, anchors, mask_boxes.DEVIATIONS)
    np.testing.assert_allclose(
        np.array(scaled) * mask_boxes.DEVIATIONS, plain, rtol=1e-5
    )
    back = mask_boxes.decode(scaled, anchors, (64, 128), mask_boxes.DEVIATIONS)
    inside = mask_boxes.clip(boxes, (64, 128))
    np.testing.assert_allclose(back, inside, atol=1e-3)


def test_batches_are_coded_like_single_examples():
    boxes = random_boxes(12).reshape(3, 4, 4)
    anchors = random_boxes(12, seed=1).reshape(3, 4, 4)
    together = np.array(mask_boxes.encode(boxes, anchors))
    decoded = np.array(mask_boxes.decode(together, anchors, (64, 128)))
    for place in range(3):
        one = mask_boxes.encode(boxes[place], anchors[place])
        np.testing.assert_allclose(together[place], one, rtol=1e-5)
        one = mask_boxes.decode(one, anchors[place], (64, 128))
        np.testing.assert_allclose(decoded[place], one, rtol=1e-5)


def test_boxes_stay_finite_whatever_the_network_says():
    deltas = np.array([[0.0, 0.0, 500.0, 500.0]], "float32")
    box = mask_boxes.decode(deltas, random_boxes(1), (64, 128))
    np.testing.assert_array_equal(box, [[0, 0, 128, 64]])


def reference_suppression(boxes, scores, overlap, least_score):
    kept = []
    for label in range(scores.shape[1]):
        alive = [i for i in np.argsort(-scores[:, label])]
        alive = [i for i in alive if scores[i, label] > least_score]
        while alive:
            best = alive.pop(0)
            kept.append((scores[best, label], label, best))
            alive = [
                i for i in alive if overlap_of(boxes[best], boxes[i]) <= overlap
            ]
    return sorted(kept, reverse=True)


def test_suppression_is_that_of_the_reference():
    rng = np.random.default_rng(2)
    boxes = np.stack([random_boxes(30, seed=s) for s in (0, 1)])
    scores = rng.uniform(size=(2, 30, 3)).astype("float32")
    found = mask_boxes.suppress(
        ops.convert_to_tensor(boxes[:, :, None]), scores, 40, 0.4, 0.3
    )
    found_boxes, found_scores, labels = map(np.array, found)
    for place in range(2):
        expected = reference_suppression(boxes[place], scores[place], 0.4, 0.3)
        expected = expected[:40]
        count = len(expected)
        assert 5 < count
        np.testing.assert_allclose(
            found_scores[place, :count], [score for score, _, _ in expected]
        )
        assert labels[place, :count].tolist() == [e[1] for e in expected]
        np.testing.assert_array_equal(
            found_boxes[place, :count], boxes[place][[e[2] for e in expected]]
        )
        assert not found_scores[place, count:].any()
