"""Where a picture comes to lie on a canvas; its boxes and masks follow it."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Placement:
    """A picture resized, moved and perhaps mirrored on a canvas.

    All sizes are in pixels. The picture is stretched to `inner`, its top left
    corner is put at `offset`, what lies outside the canvas is cut away, and
    the canvas is mirrored last.

    Attributes:
        size: two ints, height and width of the picture.
        canvas: two ints, height and width of the canvas.
        inner: two ints, height and width of the picture on the canvas.
        offset: two ints, its top and left edge; negative ones cut it.
        mirrored: bool, whether left and right are exchanged.
    """

    size: tuple
    canvas: tuple
    inner: tuple
    offset: tuple = (0, 0)
    mirrored: bool = False

    def picture(self, image, fill=0):
        """Puts the picture onto the canvas.

        Args:
            image: uint8 array of shape `(height, width, 3)`.
            fill: int, or three, the colour of the canvas.

        Returns:
            uint8 array of shape `(*canvas, 3)`.
        """
        canvas = np.empty((*self.canvas, 3), "uint8")
        canvas[...] = fill
        return self._put(image, canvas)

    def masks(self, masks):
        """Puts masks onto the canvas as `picture` puts the picture.

        Args:
            masks: bool array of shape `(objects, height, width)`.

        Returns:
            Bool array of shape `(objects, *canvas)`; a pixel is set where at
            least half of it is covered.
        """
        placed = [
            self._put(
                255 * mask.astype("uint8"), np.zeros(self.canvas, "uint8")
            )
            for mask in masks
        ]
        return np.array(placed, "uint8").reshape(-1, *self.canvas) > 127

    def boxes(self, boxes):
        """Boxes of the picture as boxes of the canvas, which may leave it.

        Args:
            boxes: float array of shape `(objects, 4)`, "xyxy".

        Returns:
            float32 array like `boxes`.
        """
        boxes = np.asarray(boxes, "float32").reshape(-1, 4) * self._scale()
        return self._mirror(boxes + self._shift())

    def boxes_back(self, boxes):
        """Boxes of the canvas as boxes of the picture, cut at its edges."""
        boxes = self._mirror(np.asarray(boxes, "float32").reshape(-1, 4))
        boxes = (boxes - self._shift()) / self._scale()
        height, width = self.size
        limits = np.array([width, height, width, height], "float32")
        return boxes.clip(0, limits)

    def _scale(self):
        down, across = np.divide(self.inner, self.size)
        return np.array([across, down, across, down], "float32")

    def _shift(self):
        top, left = self.offset
        return np.array([left, top, left, top], "float32")

    def _mirror(self, boxes):
        if not self.mirrored:
            return boxes
        left, top, right, bottom = boxes.T
        width = self.canvas[1]
        return np.stack([width - right, top, width - left, bottom], axis=1)

    def _put(self, image, canvas):
        from PIL import Image

        height, width = self.inner
        resized = np.asarray(
            Image.fromarray(image).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        rows, columns = (
            (max(0, start), min(limit, start + length))
            for start, length, limit in zip(
                self.offset, self.inner, self.canvas, strict=True
            )
        )
        if rows[0] < rows[1] and columns[0] < columns[1]:
            top, left = self.offset
            canvas[slice(*rows), slice(*columns)] = resized[
                rows[0] - top : rows[1] - top,
                columns[0] - left : columns[1] - left,
            ]
        return canvas[:, ::-1] if self.mirrored else canvas


def letterbox(size, canvas, zoom=1.0):
    """Places a picture as large as it fits, in the top left corner.

    Args:
        size: two ints, height and width of the picture.
        canvas: two ints, height and width of the canvas.
        zoom: float, factor of that size.

    Returns:
        A `Placement` with the proportions of the picture.

    Example:

    >>> placed = letterbox((480, 640), (256, 256))
    >>> placed.inner
    (192, 256)
    >>> placed.boxes([[0, 0, 320, 480]])
    array([[  0.,   0., 128., 192.]], dtype=float32)
    """
    scale = zoom * min(np.divide(canvas, size))
    inner = tuple(max(1, round(length * scale)) for length in size)
    return Placement(tuple(size), tuple(canvas), inner)


def cut_boxes(boxes, canvas, least=0.3):
    """Cuts boxes at the edges of a canvas and drops what is nearly gone.

    Args:
        boxes: float array of shape `(objects, 4)`, "xyxy".
        canvas: two ints, height and width.
        least: float, share of its area that a box must keep. Boxes less than
            a pixel high or wide are dropped too.

    Returns:
        `(boxes, kept)`: float32 array of the boxes that stay, and a bool array
        over all, `True` for these.

    Example:

    >>> cut_boxes([[-5, 0, 5, 8], [-9, 0, 1, 8]], (10, 10))
    (array([[0., 0., 5., 8.]], dtype=float32), array([ True, False]))
    """
    boxes = np.asarray(boxes, "float32").reshape(-1, 4)
    height, width = canvas
    cut = boxes.clip(0, np.array([width, height, width, height], "float32"))
    sides = cut[:, 2:] - cut[:, :2]
    before = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    kept = (sides >= 1).all(axis=1) & (sides.prod(axis=1) >= least * before)
    return cut[kept], kept
