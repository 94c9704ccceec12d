"""RoIAlign over the levels of a feature pyramid, and its channel rule."""

import math

import keras
import tensorflow as tf
from keras import ops

import keras_chex

PACKAGE = "maskrcnn"
# Boxes of this size, in pixels, are looked at in the level of stride 16.
CANONICAL_SIZE, CANONICAL_STRIDE = 224, 16


@keras.saving.register_keras_serializable(package=PACKAGE)
class RoIAlign(keras.layers.Layer):
    """Features of boxes, interpolated, at a fixed size.

    Each box is divided into `size` x `size` cells; a cell is the mean of
    `samples` x `samples` points in it, bilinearly interpolated in the one level
    of the pyramid that fits the size of the box. Boxes are cut at the edges of
    the picture; they get no gradient.

    All levels are laid out beside each other in one large feature map, so that
    a single call of `tf.image.crop_and_resize` with fixed shapes serves boxes
    of all levels. A margin of repeated pixels keeps levels from mixing.

    Args:
        size: int, cells in each direction.
        strides: sequence of ints, pixels between two features of each level,
            the finest first.
        samples: int, points of a cell in each direction.

    Call arguments:
        boxes: tensor of shape `(batch, boxes, 4)`, "xyxy" in pixels.
        features: list with a tensor for each level, of shape
            `(batch, height, width, channels)`.

    Output shape:
        `(batch, boxes, size, size, channels)`.

    Reference:

    - [He et al., 2017](https://arxiv.org/abs/1703.06870), section 3

    Example:

    >>> features = ops.reshape(ops.arange(16.0), (1, 4, 4, 1))
    >>> boxes = ops.array([[[0.0, 0, 16, 16]]])
    >>> RoIAlign(size=2, strides=(4,))(boxes, [features]).numpy()[0, 0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """

    def __init__(self, size, strides, samples=2, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.strides = tuple(strides)
        self.samples = samples

    def build(self, boxes_shape, features_shape):
        if len(features_shape) != len(self.strides):
            raise ValueError(
                "`RoIAlign` must be called with one feature map for each of "
                f"its strides. Received: {len(features_shape)} feature maps "
                f"for strides={self.strides}"
            )

    def call(self, boxes, features):
        height, width = features[0].shape[1:3]
        canvas = height * self.strides[0], width * self.strides[0]
        boxes = cut(ops.stop_gradient(ops.cast(boxes, "float32")), canvas)
        atlas, corners = lay_out(features)
        places = sampled_places(boxes, self.strides, corners, self._points)
        crops = tf.image.crop_and_resize(
            ops.cast(atlas, "float32"),
            relative(ops.reshape(places, (-1, 4)), atlas.shape[1:3]),
            owners(boxes),
            (self._points, self._points),
        )
        crops = ops.average_pool(
            crops, self.samples, data_format="channels_last"
        )
        shape = (self.size, self.size, features[0].shape[-1])
        count = boxes.shape[1] or ops.shape(boxes)[1]
        # One size may be open, the batch.
        return ops.cast(
            ops.reshape(crops, (-1, count, *shape)), self.compute_dtype
        )

    @property
    def _points(self):
        return self.size * self.samples

    def compute_output_shape(self, boxes_shape, features_shape):
        cells = (self.size, self.size)
        return (*boxes_shape[:2], *cells, features_shape[0][-1])

    def compute_output_spec(self, boxes, features):
        shape = self.compute_output_shape(
            boxes.shape, [x.shape for x in features]
        )
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        own = {
            "size": self.size,
            "strides": self.strides,
            "samples": self.samples,
        }
        return {**super().get_config(), **own}


@keras_chex.register_rule(RoIAlign)
class RoIAlignRule(keras_chex.Rule):
    """The k-th channels of all levels are one, and the k-th of the output."""

    def flow(self, call):
        boxes, *features = call.inputs
        if isinstance(boxes, keras_chex.Channels):
            call.ids.freeze(boxes.ids, f"'{call.name}' uses it as boxes")
        ids = [call.read(-1, index) for index in range(1, len(call.inputs))]
        for other in ids[1:]:
            call.ids.tie(ids[0], other)
        return [keras_chex.Channels(ids[0], 4)]


def cut(boxes, canvas):
    """Boxes cut at the edges of a canvas of `(height, width)`."""
    height, width = canvas
    limits = ops.array([width, height, width, height], dtype="float32")
    return ops.maximum(ops.minimum(boxes, limits), 0.0)


def levels_of(boxes, strides):
    """Which level of a pyramid each box is looked at in.

    Args:
        boxes: tensor of shape `(..., 4)`, "xyxy" in pixels.
        strides: sequence of ints, each twice the one before.

    Returns:
        int32 tensor of shape `(...,)`, places in `strides`.

    Example:

    >>> boxes = ops.array([[0.0, 0, 10, 10], [0, 0, 112, 112], [0, 0, 900, 9]])
    >>> levels_of(boxes, (4, 8, 16, 32)).numpy()
    array([0, 1, 0], dtype=int32)
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    scale = ops.sqrt(ops.maximum(sides[..., 0] * sides[..., 1], 1e-6))
    base = math.log2(CANONICAL_STRIDE / strides[0])
    # A little more, so that 112 pixels are not 111.99 in another precision.
    level = ops.floor(ops.log2(scale / CANONICAL_SIZE) + base + 1e-5)
    return ops.cast(ops.clip(level, 0, len(strides) - 1), "int32")


def lay_out(features):
    """Puts the levels of a pyramid into one feature map.

    The finest lies on top, the others side by side below it. Each has a margin
    of one pixel, a copy of its outermost ones.

    Args:
        features: list of tensors of shape `(batch, height, width, channels)`.

    Returns:
        `(atlas, corners)`: a tensor, and for each level the `(row, column)`
        at which it begins.
    """
    margin = ((0, 0), (1, 1), (1, 1), (0, 0))
    framed = [ops.pad(x, margin, mode="symmetric") for x in features]
    corners = [(1, 1)]
    column = 0
    for level in framed[1:]:
        corners.append((framed[0].shape[1] + 1, column + 1))
        column += level.shape[2]
    if len(framed) == 1:
        return framed[0], corners
    height, width = framed[1].shape[1], max(framed[0].shape[2], column)
    below = [_widened(level, height, level.shape[2]) for level in framed[1:]]
    below = _widened(ops.concatenate(below, axis=2), height, width)
    above = _widened(framed[0], framed[0].shape[1], width)
    return ops.concatenate([above, below], axis=1), corners


def _widened(x, height, width):
    rows, columns = height - x.shape[1], width - x.shape[2]
    return ops.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)))


def sampled_places(boxes, strides, corners, points):
    """First and last point to sample of each box, in pixels of the atlas.

    Args:
        boxes: tensor of shape `(batch, boxes, 4)`, "xyxy" in pixels.
        strides: sequence of ints.
        corners: as from `lay_out`.
        points: int, points in each direction.

    Returns:
        Tensor of shape `(batch, boxes, 4)`: row and column of the first
        point, row and column of the last one.
    """
    level = levels_of(boxes, strides)
    stride = ops.take(ops.array(strides, dtype="float32"), level)[..., None]
    corner = ops.take(ops.array(corners, dtype="float32"), level, axis=0)
    scaled = boxes / stride
    # The middle of the first feature is half a stride from the edge.
    start = ops.flip(scaled[..., :2], axis=-1) - 0.5 + corner
    step = ops.flip(scaled[..., 2:] - scaled[..., :2], axis=-1) / points
    first = start + step / 2
    return ops.concatenate([first, first + (points - 1) * step], axis=-1)


def relative(places, size):
    """Places as `tf.image.crop_and_resize` takes them."""
    limits = ops.array([size[0] - 1, size[1] - 1] * 2, dtype="float32")
    return places / limits


def owners(boxes):
    """For all boxes of a batch in a row: the example that each belongs to."""
    batch, count = ops.shape(boxes)[0], ops.shape(boxes)[1]
    return ops.repeat(ops.arange(batch, dtype="int32"), count)
