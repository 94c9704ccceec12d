"""Small predicted masks, put where they belong in a picture."""

import numpy as np


def paste_masks(masks, boxes, size, threshold=0.5):
    """Stretches masks over their boxes.

    The value of a pixel is that of its centre, bilinearly interpolated between
    the centres of the mask's cells; nothing is outside of the mask.

    Args:
        masks: float array of shape `(detections, cells, cells)`, shares.
        boxes: float array of shape `(detections, 4)`, "xyxy" in pixels of the
            picture.
        size: two ints, height and width of the picture.
        threshold: float, share from which on a pixel belongs to the object.

    Returns:
        Bool array of shape `(detections, height, width)`.

    Raises:
        ValueError: If there are not as many masks as boxes.

    Example:

    >>> mask = np.array([[[1.0, 0.0], [1.0, 0.0]]])
    >>> paste_masks(mask, np.array([[1, 0, 5, 2]]), (2, 6)).astype(int)
    array([[[0, 1, 1, 0, 0, 0],
            [0, 1, 1, 0, 0, 0]]])
    """
    masks = np.asarray(masks, "float32")
    boxes = np.asarray(boxes, "float32").reshape(-1, 4)
    if len(masks) != len(boxes):
        raise ValueError(
            "Arguments `masks` and `boxes` must have the same length. "
            f"Received: {len(masks)} masks and {len(boxes)} boxes"
        )
    pasted = np.zeros((len(boxes), *size), bool)
    for place, (mask, box) in enumerate(zip(masks, boxes, strict=True)):
        _paste(pasted[place], mask, box, threshold)
    return pasted


def _paste(picture, mask, box, threshold):
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        return
    rows = _pixels(top, bottom, picture.shape[0])
    columns = _pixels(left, right, picture.shape[1])
    down = _weights(rows, top, bottom, mask.shape[0])
    across = _weights(columns, left, right, mask.shape[1])
    picture[rows[:, None], columns] = down @ mask @ across.T >= threshold


def _pixels(start, end, size):
    """Pixels whose centres lie in a range."""
    centres = np.arange(size) + 0.5
    return np.flatnonzero((centres > start) & (centres < end))


def _weights(pixels, start, end, cells):
    """How much each cell gives to each pixel, `(pixels, cells)`."""
    place = (pixels + 0.5 - start) / (end - start) * cells - 0.5
    distance = np.abs(place[:, None] - np.arange(cells))
    return np.maximum(0.0, 1.0 - distance).astype("float32")
