"""Boxes and masks follow the picture wherever it is put."""

import numpy as np
import pytest

from experiments.common.coco_geometry import Placement, cut_boxes, letterbox

SIZE, CANVAS = (60, 80), (64, 64)
BOXES = np.array([[8, 12, 40, 36], [44, 4, 76, 56]], "float32")
PLACEMENTS = [
    letterbox(SIZE, CANVAS),
    letterbox(SIZE, (100, 200)),
    Placement(SIZE, CANVAS, (48, 64), (10, 0), mirrored=True),
    Placement(SIZE, CANVAS, (90, 120), (-20, -30)),
    Placement(SIZE, CANVAS, (90, 120), (-20, -30), mirrored=True),
    Placement(SIZE, CANVAS, (30, 40), (20, 15), mirrored=True),
]


def masks_of(boxes, size):
    y, x = np.indices(size)
    return np.array(
        [
            (x >= left) & (x < right) & (y >= top) & (y < bottom)
            for left, top, right, bottom in boxes
        ]
    )


def bounds(mask):
    rows, columns = (np.flatnonzero(mask.any(axis=a)) for a in (1, 0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.mark.parametrize("placed", PLACEMENTS)
def test_boxes_lie_around_the_masks(placed):
    masks = placed.masks(masks_of(BOXES, SIZE))
    assert masks.shape == (2, *placed.canvas)
    height, width = placed.canvas
    boxes = placed.boxes(BOXES).clip(0, [width, height, width, height])
    for mask, box in zip(masks, boxes, strict=True):
        assert np.abs(np.array(bounds(mask)) - box).max() <= 1


@pytest.mark.parametrize("placed", PLACEMENTS)
def test_picture_and_mask_are_put_in_the_same_place(placed):
    (mask,) = masks_of(BOXES[:1], SIZE)
    image = np.where(mask[..., None], 250, 30).astype("uint8").repeat(3, -1)
    picture = placed.picture(image, fill=30)
    assert picture.shape == (*placed.canvas, 3)
    bright = picture[..., 0] > 140
    assert (bright ^ placed.masks(mask[None])[0]).mean() < 0.005


@pytest.mark.parametrize("placed", PLACEMENTS)
def test_boxes_come_back(placed):
    back = placed.boxes_back(placed.boxes(BOXES))
    np.testing.assert_allclose(back, BOXES, atol=1e-4)


def test_boxes_come_back_cut_at_the_edges_of_the_picture():
    placed = letterbox(SIZE, CANVAS)
    assert placed.boxes_back([[-5, -5, 90, 90]]).tolist() == [[0, 0, 80, 60]]


def test_nothing_is_nothing():
    placed = letterbox(SIZE, CANVAS)
    assert placed.boxes(np.zeros((0, 4))).shape == (0, 4)
    assert placed.masks(np.zeros((0, *SIZE), bool)).shape == (0, *CANVAS)
    outside = Placement(SIZE, CANVAS, (30, 40), (-40, 0))
    assert (outside.picture(np.ones((*SIZE, 3), "uint8"), fill=9) == 9).all()


def test_letterbox_fills_the_rest():
    picture = letterbox(SIZE, CANVAS).picture(
        np.full((*SIZE, 3), 200, "uint8"), fill=(1, 2, 3)
    )
    assert (picture[:48] == 200).all()
    assert (picture[48:] == (1, 2, 3)).all()


def test_boxes_that_are_nearly_gone_are_dropped():
    boxes = [[0, 0, 10, 10], [-8, 0, 2, 10], [-6, 0, 4, 10], [5, 5, 5.5, 9]]
    kept, chosen = cut_boxes(boxes, (8, 8), least=0.3)
    assert chosen.tolist() == [True, False, True, False]
    assert kept.tolist() == [[0, 0, 8, 8], [0, 0, 4, 8]]
