"""Layers of Mask R-CNN that choose boxes. They have no weights."""

import keras
import numpy as np
from keras import ops

import keras_chex

from . import mask_boxes
from .mask_roi import PACKAGE

_register = keras.saving.register_keras_serializable(package=PACKAGE)


@_register
class Proposals(keras.layers.Layer):
    """Turns what the region proposal network says into boxes.

    Of each level the best anchors are moved by their deltas; of those that
    overlap the better one stays.

    Args:
        image_size: two ints, height and width of the canvas.
        anchor_size: float, see `anchor_boxes`.
        count: int, boxes to return.
        candidates: int, anchors of each level before suppression.
        overlap: float, IoU above which the lower score goes.

    Call arguments:
        logits: tensor of shape `(batch, anchors)`.
        deltas: tensor of shape `(batch, anchors, 4)`.

    Output shape:
        `(batch, count, 4)`, zeros where there are fewer.
    """

    def __init__(
        self,
        image_size,
        anchor_size=8.0,
        count=1000,
        candidates=1000,
        overlap=0.7,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.image_size = mask_boxes.check_image_size(image_size)
        self.anchor_size = anchor_size
        self.count = count
        self.candidates = candidates
        self.overlap = overlap
        self.anchors = mask_boxes.anchor_boxes(self.image_size, anchor_size)

    def call(self, logits, deltas):
        logits, deltas = map(ops.stop_gradient, (logits, deltas))
        boxes, scores, start = [], [], 0
        for place, anchors in enumerate(self.anchors):
            part = slice(start, start + len(anchors))
            start += len(anchors)
            best, chosen = ops.top_k(
                logits[:, part], min(self.candidates, len(anchors))
            )
            moved = ops.take_along_axis(
                deltas[:, part], chosen[..., None], axis=1
            )
            anchors = ops.take(ops.convert_to_tensor(anchors), chosen, axis=0)
            boxes.append(mask_boxes.decode(moved, anchors, self.image_size))
            level = np.eye(len(self.anchors), dtype="float32")[place]
            scores.append(ops.sigmoid(best)[..., None] * level)
        boxes = ops.concatenate(boxes, axis=1)
        # What has no area left at the edge is no proposal.
        scores = ops.concatenate(scores, axis=1)
        scores = scores * ops.cast(
            mask_boxes.areas(boxes)[..., None] > 0, scores.dtype
        )
        return mask_boxes.suppress(
            boxes[:, :, None], scores, self.count, self.overlap, 0.0
        )[0]

    def compute_output_shape(self, logits_shape, deltas_shape):
        return (logits_shape[0], self.count, 4)

    def compute_output_spec(self, logits, deltas):
        shape = self.compute_output_shape(logits.shape, deltas.shape)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        own = {
            "image_size": self.image_size,
            "anchor_size": self.anchor_size,
            "count": self.count,
            "candidates": self.candidates,
            "overlap": self.overlap,
        }
        return {**super().get_config(), **own}


@_register
class Detections(keras.layers.Layer):
    """Turns proposals and what the box head says of them into detections.

    Args:
        image_size: two ints, height and width of the canvas.
        count: int, detections to return.
        overlap: float, IoU above which the lower score of a class goes.
        least_score: float, below which nothing is a detection.

    Call arguments:
        proposals: tensor of shape `(batch, proposals, 4)`.
        logits: tensor of shape `(batch, proposals, classes + 1)`; the last
            class is the background.
        deltas: tensor of shape `(batch, proposals, classes, 4)`.

    Returns:
        `(boxes, scores, labels)` of shapes `(batch, count, 4)`,
        `(batch, count)` and `(batch, count)`; zeros where there are fewer.
    """

    def __init__(
        self, image_size, count=100, overlap=0.5, least_score=0.05, **kwargs
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.image_size = mask_boxes.check_image_size(image_size)
        self.count = count
        self.overlap = overlap
        self.least_score = least_score

    def call(self, proposals, logits, deltas):
        boxes = mask_boxes.decode(
            deltas,
            ops.repeat(proposals[:, :, None], deltas.shape[2], axis=2),
            self.image_size,
            mask_boxes.DEVIATIONS,
        )
        scores = ops.softmax(logits, axis=-1)[..., :-1]
        # Proposals that fill up a picture with too few are empty boxes.
        real = mask_boxes.areas(proposals)[..., None] > 0
        return mask_boxes.suppress(
            boxes,
            ops.where(real, scores, 0.0),
            self.count,
            self.overlap,
            self.least_score,
        )

    def compute_output_spec(self, proposals, logits, deltas):
        batch, tensor = proposals.shape[0], keras.KerasTensor
        return (
            tensor((batch, self.count, 4), "float32"),
            tensor((batch, self.count), "float32"),
            tensor((batch, self.count), "int32"),
        )

    def get_config(self):
        own = {
            "image_size": self.image_size,
            "count": self.count,
            "overlap": self.overlap,
            "least_score": self.least_score,
        }
        return {**super().get_config(), **own}


@_register
class MaskOfLabel(keras.layers.Layer):
    """Takes of the masks for all classes the one for the box's own class.

    Call arguments:
        masks: tensor of shape `(batch, boxes, height, width, classes)`.
        labels: int tensor of shape `(batch, boxes)`.

    Output shape:
        `(batch, boxes, height, width)`.
    """

    def call(self, masks, labels):
        chosen = ops.one_hot(labels, masks.shape[-1], dtype=masks.dtype)
        return ops.sum(masks * chosen[:, :, None, None], axis=-1)

    def compute_output_shape(self, masks_shape, labels_shape):
        return tuple(masks_shape[:-1])


@keras_chex.register_rule(Proposals, Detections, MaskOfLabel)
class DecidesRule(keras_chex.Rule):
    """Each output depends on all channels, and has none."""

    def flow(self, call):
        return call.barrier(f"'{call.name}' decides by it")
