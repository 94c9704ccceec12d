"""Boxes of Mask R-CNN: anchors, coding, clipping, suppression.

Boxes are float32, left, top, right and bottom edge ("xyxy") in pixels of the
canvas. What KerasHub and Keras have is theirs; suppression is TensorFlow's,
which works class by class and gives a fixed number of boxes.
"""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

LEVELS = (2, 3, 4, 5, 6)
RATIOS = (0.5, 1.0, 2.0)
# Standard deviations that deltas are divided by, for the second stage.
DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
# exp of it is the largest factor by which a side may grow.
LARGEST_LOG = math.log(1000 / 16)


def check_image_size(image_size):
    """Returns the height and width of a canvas as ints.

    Raises:
        ValueError: If they are no two positive multiples of 64: every level
            of the pyramid must have half the size of the one below.

    Example:

    >>> check_image_size(["128", "192"])
    (128, 192)
    """
    step = 2 ** LEVELS[-1]
    sizes = tuple(int(size) for size in image_size)
    if len(sizes) != 2 or any(size <= 0 or size % step for size in sizes):
        raise ValueError(
            "Argument `image_size` must be a height and a width, multiples of "
            f"{step}. Received: image_size={list(image_size)}"
        )
    return sizes


def anchor_boxes(image_size, anchor_size=8.0, ratios=RATIOS):
    """Anchors of all levels, P2 to P6.

    Args:
        image_size: two ints, height and width of the canvas.
        anchor_size: float, side of a square anchor in strides of its level.
        ratios: sequence of floats, height over width.

    Returns:
        List of float32 arrays of shape `(anchors, 4)`, one for each level:
        row by row, at each place one anchor for every ratio.
    """
    import keras_hub

    generator = keras_hub.layers.AnchorGenerator(
        bounding_box_format="xyxy",
        min_level=LEVELS[0],
        max_level=LEVELS[-1],
        num_scales=1,
        aspect_ratios=list(ratios),
        anchor_size=anchor_size,
    )
    # Anchors are constants, also of a model that is built inside of a graph.
    with tf.init_scope():
        found = generator(np.zeros((*check_image_size(image_size), 3), "bool"))
    return [ops.convert_to_numpy(found[f"P{level}"]) for level in LEVELS]


def encode(boxes, anchors, deviations=None):
    """Deltas that lead from anchors to boxes.

    Args:
        boxes: tensor of shape `(..., 4)`.
        anchors: tensor of the same shape, or one that broadcasts to it.
        deviations: four floats that deltas are divided by.

    Returns:
        Tensor of the shape of `boxes`: shift of the centre in sides of the
        anchor, and logarithms of the sides' factors.

    Example:

    >>> boxes, anchors = [[1.0, 1, 5, 3]], [[0.0, 0, 4, 2]]
    >>> encode(np.array(boxes), np.array(anchors)).numpy()
    array([[0.25, 0.5 , 0.  , 0.  ]], dtype=float32)
    """
    return keras.utils.bounding_boxes.encode_box_to_deltas(
        anchors,
        boxes,
        anchor_format="xyxy",
        box_format="xyxy",
        encoding_format="center_xywh",
        variance=None if deviations is None else list(deviations),
    )


def decode(deltas, anchors, image_size, deviations=None):
    """Boxes that deltas lead to, cut at the edges of the canvas.

    Args:
        deltas: tensor of shape `(..., 4)`.
        anchors: as for `encode`.
        image_size: two ints, height and width of the canvas.
        deviations: four floats that deltas are multiplied with.

    Returns:
        Tensor of the shape of `deltas`.
    """
    if deviations is not None:
        deltas = deltas * ops.convert_to_tensor(deviations, "float32")
    deltas = ops.concatenate(
        [deltas[..., :2], ops.minimum(deltas[..., 2:], LARGEST_LOG)], axis=-1
    )
    boxes = keras.utils.bounding_boxes.decode_deltas_to_boxes(
        anchors,
        deltas,
        anchor_format="xyxy",
        box_format="xyxy",
        encoded_format="center_xywh",
    )
    return clip(boxes, image_size)


def clip(boxes, image_size):
    """Boxes cut at the edges of a canvas.

    >>> clip(np.array([[-3.0, 2, 5, 80]]), (64, 128)).numpy()
    array([[ 0.,  2.,  5., 64.]])
    """
    height, width = image_size
    limits = ops.cast(ops.array([width, height, width, height]), boxes.dtype)
    return ops.maximum(ops.minimum(boxes, limits), ops.cast(0, boxes.dtype))


def areas(boxes):
    """Areas of boxes, a tensor of shape `(...,)`."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return sides[..., 0] * sides[..., 1]


def suppress(boxes, scores, count, overlap, least_score):
    """Keeps the best boxes of those that overlap, class by class.

    Args:
        boxes: tensor of shape `(batch, boxes, classes, 4)`; or 1 instead of
            `classes`, the same boxes for all.
        scores: tensor of shape `(batch, boxes, classes)`.
        count: int, boxes to return for an example.
        overlap: float, IoU above which the lower score goes.
        least_score: float, below which boxes do not count.

    Returns:
        `(boxes, scores, labels)` of shapes `(batch, count, 4)`,
        `(batch, count)` and `(batch, count)`, best scores first; zeros at the
        end where there are fewer.
    """
    kept = tf.image.combined_non_max_suppression(
        boxes,
        scores,
        max_output_size_per_class=count,
        max_total_size=count,
        iou_threshold=overlap,
        score_threshold=least_score,
        clip_boxes=False,
    )
    labels = tf.cast(kept.nmsed_classes, tf.int32)
    return kept.nmsed_boxes, kept.nmsed_scores, labels
