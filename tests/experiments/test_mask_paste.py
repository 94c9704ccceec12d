"""Pasted masks against a reference written for clarity."""

import numpy as np
import pytest

from experiments.common.mask_paste import paste_masks
from tests.experiments.test_mask_boxes import random_boxes


def value_at(mask, y, x):
    """Bilinear between the centres of cells, 0 outside of all."""
    total = 0.0
    for row in range(mask.shape[0]):
        for column in range(mask.shape[1]):
            near = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            total += near * mask[row, column]
    return total


def reference(mask, box, size, threshold):
    left, top, right, bottom = box
    pasted = np.zeros(size, bool)
    for row in range(size[0]):
        for column in range(size[1]):
            y, x = row + 0.5, column + 0.5
            if not (left < x < right and top < y < bottom):
                continue
            y = (y - top) / (bottom - top) * mask.shape[0] - 0.5
            x = (x - left) / (right - left) * mask.shape[1] - 0.5
            pasted[row, column] = value_at(mask, y, x) >= threshold
    return pasted


def test_masks_are_those_of_the_reference():
    rng = np.random.default_rng(0)
    masks = rng.uniform(size=(6, 7, 7)).astype("float32")
    boxes = random_boxes(6, (24, 30))
    found = paste_masks(masks, boxes, (24, 30), 0.4)
    for mask, box, pasted in zip(masks, boxes, found, strict=True):
        expected = reference(mask, box, (24, 30), 0.4)
        assert expected.any()
        # A value next to the threshold may fall on either side of it.
        assert (pasted != expected).mean() < 0.005


def test_full_mask_covers_its_box():
    pasted = paste_masks(np.ones((1, 28, 28)), [[2, 3, 10, 8]], (12, 12))
    expected = np.zeros((12, 12), bool)
    expected[3:8, 2:10] = True
    np.testing.assert_array_equal(pasted[0], expected)


def test_empty_boxes_and_none_at_all_paste_nothing():
    assert not paste_masks(np.ones((1, 4, 4)), [[3, 3, 3, 9]], (9, 9)).any()
    assert paste_masks(np.zeros((0, 4, 4)), [], (9, 9)).shape == (0, 9, 9)


def test_each_mask_needs_a_box():
    with pytest.raises(ValueError, match="Received: 2 masks and 1 boxes"):
        paste_masks(np.ones((2, 4, 4)), [[0, 0, 1, 1]], (9, 9))
