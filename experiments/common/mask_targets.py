"""What the parts of Mask R-CNN are to say about a picture whose objects are
known: matching, sampling, masks.

Objects fill up to the same number in all pictures; those of label -1 are none.
All sizes are fixed.
"""

import dataclasses

import keras
import tensorflow as tf
from keras import ops

from . import mask_boxes
from .mask_roi import owners, relative


@dataclasses.dataclass(frozen=True)
class Sampled:
    """Boxes to learn from.

    Attributes:
        boxes: tensor of shape `(batch, count, 4)`; positive ones come first.
        labels: int tensor of shape `(batch, count)`.
        deltas: tensor of shape `(batch, count, 4)`.
        objects: int tensor of shape `(batch, count)`, the object matched.
        positive: bool tensor of shape `(batch, count)`.
        valid: bool tensor of shape `(batch, count)`; the others only fill up.
    """

    boxes: object
    labels: object
    deltas: object
    objects: object
    positive: object
    valid: object


def overlaps(boxes, objects, labels):
    """IoU of boxes with objects; -1 for objects that are none.

    Args:
        boxes: tensor of shape `(boxes, 4)` or `(batch, boxes, 4)`.
        objects: tensor of shape `(batch, objects, 4)`.
        labels: int tensor of shape `(batch, objects)`.

    Returns:
        Tensor of shape `(batch, boxes, objects)`.
    """
    found = keras.utils.bounding_boxes.compute_iou(boxes, objects, "xyxy")
    return ops.where(labels[:, None] >= 0, found, -1.0)


def matched(overlap, thresholds):
    """The object of each box, and whether it is one.

    Args:
        overlap: tensor of shape `(batch, boxes, objects)`, see `overlaps`.
        thresholds: one or two floats. Boxes with less than the first one have
            no object, boxes with at least the last one have one, those
            between are left out.

    Returns:
        `(objects, positive, negative)`, each of shape `(batch, boxes)`.
    """
    import keras_hub

    values = [0, 1] if len(thresholds) == 1 else [0, -1, 1]
    matcher = keras_hub.layers.BoxMatcher(list(thresholds), values)
    objects, found = matcher(overlap)
    # Without any object, the matcher points behind the last one.
    objects = ops.minimum(objects, overlap.shape[-1] - 1)
    return objects, found == 1, found == 0


def best_of_object(overlap):
    """Boxes that overlap with some object more than all others do.

    Returns:
        `(objects, is_best)` of shape `(batch, boxes)`; of several objects the
        first.
    """
    best = ops.max(overlap, axis=1, keepdims=True)
    is_best = (overlap >= best) & (overlap > 0)
    return ops.argmax(is_best, axis=-1), ops.any(is_best, axis=-1)


def sampling_key(positive, negative, noise, most):
    """Numbers whose largest ones are a random sample, positive ones first.

    Args:
        positive: bool tensor of shape `(batch, boxes)`.
        negative: likewise.
        noise: tensor of that shape, random numbers from 0 to 1.
        most: int, positive boxes to take at most.

    Returns:
        Tensor of that shape: at least 2 for positive boxes that are taken,
        from 1 to 2 for negative ones, 0 for the others.
    """
    key = ops.where(positive, noise, -1.0)
    last = ops.top_k(key, min(most, key.shape[-1]))[0][:, -1:]
    taken = positive & (key >= last)
    key = ops.where(negative, 1 + noise, 0.0)
    return ops.where(taken, 2 + noise, key)


def anchor_targets(anchors, objects, labels, noise, count=256):
    """Which anchors to learn from, and what.

    Half of them have an object: IoU of at least 0.7, or none with more. The
    others have less than 0.3 with all.

    Args:
        anchors: tensor of shape `(anchors, 4)`.
        objects: tensor of shape `(batch, objects, 4)`.
        labels: int tensor of shape `(batch, objects)`.
        noise: tensor of shape `(batch, anchors)`, from 0 to 1.
        count: int, anchors of a picture.

    Returns:
        `(positive, chosen, deltas)`: bool tensors of shape
        `(batch, anchors)`, the first a part of the second, and a tensor of
        shape `(batch, anchors, 4)`.
    """
    overlap = overlaps(anchors, objects, labels)
    owner, positive, negative = matched(overlap, (0.3, 0.7))
    closest, is_best = best_of_object(overlap)
    owner = ops.where(is_best, ops.cast(closest, owner.dtype), owner)
    positive, negative = positive | is_best, negative & ~is_best
    key = sampling_key(positive, negative, noise, count // 2)
    last = ops.top_k(key, min(count, key.shape[-1]))[0][:, -1:]
    chosen = (key >= last) & (key >= 1)
    deltas = mask_boxes.encode(_taken(objects, owner), anchors)
    return positive & chosen, chosen, deltas


def proposal_targets(
    proposals, objects, labels, noise, background, count=512, share=0.25
):
    """Which proposals to learn from, and what.

    The objects themselves are proposals too. A proposal has an object if their
    IoU is at least 0.5.

    Args:
        proposals: tensor of shape `(batch, proposals, 4)`.
        objects: tensor of shape `(batch, objects, 4)`.
        labels: int tensor of shape `(batch, objects)`.
        noise: tensor of shape `(batch, proposals + objects)`, from 0 to 1.
        background: int, label of what has no object.
        count: int, proposals of a picture.
        share: float, of positive ones among them, at most.

    Returns:
        `Sampled`; its positive boxes are among the first `share * count`, or
        the first one.
    """
    candidates = ops.concatenate([proposals, objects], axis=1)
    owner, positive, negative = matched(
        overlaps(candidates, objects, labels), (0.5,)
    )
    real = mask_boxes.areas(candidates) > 0
    key = sampling_key(
        positive & real, negative & real, noise, max(1, int(count * share))
    )
    values, chosen = ops.top_k(key, count)
    boxes, owner = _taken(candidates, chosen), _taken(owner, chosen)
    is_positive = values >= 2
    return Sampled(
        boxes=boxes,
        labels=ops.where(is_positive, _taken(labels, owner), background),
        deltas=mask_boxes.encode(
            _taken(objects, owner), boxes, mask_boxes.DEVIATIONS
        ),
        objects=owner,
        positive=is_positive,
        valid=values >= 1,
    )


def mask_targets(masks, objects, owner, boxes, size):
    """Masks of objects as seen through boxes.

    Args:
        masks: uint8 tensor of shape `(batch, objects, cells, cells)`, masks
            within the boxes of their objects, 255 for what belongs to them.
        objects: tensor of shape `(batch, objects, 4)`, these boxes.
        owner: int tensor of shape `(batch, boxes)`, the object of each box.
        boxes: tensor of shape `(batch, boxes, 4)`.
        size: int, cells of the result in each direction.

    Returns:
        Tensor of zeros and ones of shape `(batch, boxes, size, size)`.
    """
    count, cells = masks.shape[1:3]
    # With a margin of zeros: what is outside of an object's box is not it.
    framed = ops.pad(
        ops.reshape(masks, (-1, cells, cells, 1)),
        ((0, 0), (1, 1), (1, 1), (0, 0)),
    )
    place = _taken(objects, owner)
    origin = ops.concatenate([place[..., :2]] * 2, axis=-1)
    sides = ops.concatenate([place[..., 2:] - place[..., :2]] * 2, axis=-1)
    inside = (boxes - origin) / ops.maximum(sides, 1e-6) * cells
    step = (inside[..., 2:] - inside[..., :2]) / size
    # The middle of the first cell of a framed mask is at half a cell outside.
    first = inside[..., :2] + step / 2 + 0.5
    places = ops.concatenate(
        [ops.flip(x, axis=-1) for x in (first, first + (size - 1) * step)],
        axis=-1,
    )
    rows = ops.reshape(ops.cast(owner, "int32"), (-1,)) + owners(boxes) * count
    crops = tf.image.crop_and_resize(
        ops.cast(framed, "float32"),
        relative(ops.reshape(places, (-1, 4)), (cells + 2, cells + 2)),
        rows,
        (size, size),
    )
    crops = ops.reshape(crops, (-1, boxes.shape[1], size, size))
    return ops.cast(crops >= 127.5, "float32")


def _taken(values, chosen):
    """Entries of each example, `(batch, chosen, ...)`."""
    return tf.gather(values, chosen, batch_dims=1)
