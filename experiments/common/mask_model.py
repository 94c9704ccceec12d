"""Mask R-CNN: a functional model with a training step of its own."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from . import mask_losses, mask_targets
from .imagenet_models import BLOCKS, RESNETS, imagenet_resnet
from .mask_boxes import LEVELS, RATIOS, check_image_size
from .mask_layers import Detections, MaskOfLabel, Proposals
from .mask_roi import PACKAGE, RoIAlign

STRIDES = tuple(2**level for level in LEVELS[:-1])
BOX_SIZE, MASK_SIZE = 7, 14
LOSSES = ("rpn_score", "rpn_box", "class", "box", "mask")


@keras.saving.register_keras_serializable(package=PACKAGE)
class MaskRCNN(keras.Model):
    """Mask R-CNN on a feature pyramid of a ResNet.

    Anchors and their matching are KerasHub's. Regions are an axis of the
    tensors that the heads work on, with kernels of depth 1 along it: so each
    region counts in the FLOPs, and sizes are fixed.

    Args:
        image_size: two ints, height and width of the canvas, multiples of 64.
        classes: int.
        backbone: string, a key of `RESNETS`.
        width: int, channels of the backbone's first stage.
        channels: int, of the feature pyramid, the region proposal network and
            the mask head.
        dense: int, of the box head.
        anchor_size: float, side of an anchor in strides of its level.
        proposals: int, of a picture in inference.
        detections: int, of a picture, at most.
        sampled: int, proposals of a picture to learn from.
        sampled_anchors: int, anchors of a picture to learn from.
        seed: int, decides which ones.

    Inputs:
        Pictures of shape `(batch, height, width, 3)`, from 0 to 255.

    Outputs:
        Dict of `rpn_logits`, `rpn_deltas`, `class_logits`, `box_deltas`; and
        of what is seen: `boxes` in pixels, `scores`, `labels`, `mask_logits`.

    Training data are pairs of pictures and dicts of `boxes`, `labels` (-1
    where there is no object) and `masks`, see `mask_targets`.

    Reference:

    - [He et al., 2017](https://arxiv.org/abs/1703.06870)
    - [Lin et al., 2017](https://arxiv.org/abs/1612.03144)
    """

    def __init__(
        self,
        image_size,
        classes,
        backbone="resnet50",
        width=64,
        channels=256,
        dense=1024,
        anchor_size=8.0,
        proposals=1000,
        detections=100,
        sampled=512,
        sampled_anchors=256,
        seed=0,
        name="mask_rcnn",
    ):
        image_size = check_image_size(image_size)
        features = pyramid(image_size, backbone, width, channels)
        rpn = proposal_network(features.outputs, channels)
        box_head = box_network(channels, dense, classes)
        mask_head = mask_network(channels, classes)
        images = keras.Input((*image_size, 3), name="images")
        levels = features(images)
        logits, deltas = rpn(levels)
        propose = Proposals(image_size, anchor_size, proposals, name="propose")
        boxes = propose(logits, deltas)
        box_roi = RoIAlign(BOX_SIZE, STRIDES, name="box_roi")
        mask_roi = RoIAlign(MASK_SIZE, STRIDES, name="mask_roi")
        outputs = dict(rpn_logits=logits, rpn_deltas=deltas)
        found = box_head(box_roi(boxes, levels[:-1]))
        outputs["class_logits"], outputs["box_deltas"] = found
        detect = Detections(image_size, detections, name="detect")
        seen, scores, labels = detect(boxes, *found)
        masks = mask_head(mask_roi(seen, levels[:-1]))
        masks = MaskOfLabel(name="mask_of_label")(masks, labels)
        outputs |= dict(boxes=seen, scores=scores, labels=labels)
        outputs["mask_logits"] = masks
        super().__init__(inputs=images, outputs=outputs, name=name)
        self.features, self.rpn = features, rpn
        self.box_head, self.mask_head = box_head, mask_head
        self.propose, self.box_roi = propose, box_roi
        self.mask_roi = mask_roi
        self.trackers = [
            keras.metrics.Mean(name=name)
            for name in ("loss", *(f"{part}_loss" for part in LOSSES))
        ]
        self.arguments = dict(
            image_size=image_size,
            classes=classes,
            backbone=backbone,
            width=width,
            channels=channels,
            dense=dense,
            anchor_size=anchor_size,
            proposals=proposals,
            detections=detections,
            sampled=sampled,
            sampled_anchors=sampled_anchors,
            seed=seed,
            name=name,
        )

    def load_backbone(self, classifier):
        """Takes over the weights of a classifier's convolutions.

        Args:
            classifier: a network of `imagenet_resnet` with the same backbone.

        Raises:
            ValueError: If a layer of the backbone is missing there, or has
                weights of other shapes.
        """
        given = {layer.name: layer for layer in classifier.layers}
        for layer in self.features.layers:
            if layer.weights and not layer.name.startswith("fpn_"):
                _copy_weights(given.get(layer.name), layer)

    @property
    def metrics(self):
        return self.trackers

    def compute_losses(self, images, truth, training, step):
        """The five losses of a batch.

        Args:
            images: tensor of shape `(batch, height, width, 3)`.
            truth: dict of `boxes`, `labels` and `masks`.
            training: bool.
            step: int tensor; the sample depends on it.

        Returns:
            Dict from the names in `LOSSES` to scalars.
        """
        settings = self.arguments
        objects, labels = truth["boxes"], truth["labels"]
        levels = self.features(images, training=training)
        logits, deltas = self.rpn(levels, training=training)
        anchors = np.concatenate(self.propose.anchors)
        of_anchors = mask_targets.anchor_targets(
            anchors,
            objects,
            labels,
            self._noise(step, 0, ops.shape(logits)),
            settings["sampled_anchors"],
        )
        score, place = mask_losses.anchor_losses(logits, deltas, of_anchors)
        losses = {"rpn_score": score, "rpn_box": place}
        proposals = self.propose(logits, deltas)
        count = proposals.shape[1] + objects.shape[1]
        sampled = mask_targets.proposal_targets(
            proposals,
            objects,
            labels,
            self._noise(step, 1, (ops.shape(images)[0], count)),
            settings["classes"],
            min(settings["sampled"], count),
        )
        found = self.box_head(
            self.box_roi(sampled.boxes, levels[:-1]), training=training
        )
        losses["class"], losses["box"] = mask_losses.box_losses(*found, sampled)
        losses["mask"] = self._mask_loss(levels, truth, sampled, training)
        return losses

    def _mask_loss(self, levels, truth, sampled, training):
        # Positive boxes come first, and are a quarter at most.
        first = slice(0, max(1, sampled.boxes.shape[1] // 4))
        boxes = sampled.boxes[:, first]
        masks = self.mask_head(
            self.mask_roi(boxes, levels[:-1]), training=training
        )
        wanted = mask_targets.mask_targets(
            truth["masks"],
            truth["boxes"],
            sampled.objects[:, first],
            boxes,
            masks.shape[2],
        )
        # The background has no mask: those boxes are not positive.
        own = ops.one_hot(sampled.labels[:, first], masks.shape[-1])
        own = ops.sum(masks * own[:, :, None, None], axis=-1)
        return mask_losses.mask_loss(own, wanted, sampled.positive[:, first])

    def _noise(self, step, number, shape):
        """Random numbers that depend on the seed and the step alone."""
        seed = [2 * self.arguments["seed"] + number, ops.cast(step, "int32")]
        return tf.random.stateless_uniform(shape, seed)

    def train_step(self, data):
        images, truth = data
        with tf.GradientTape() as tape:
            losses = self.compute_losses(
                images, truth, True, self.optimizer.iterations
            )
            total = sum([*losses.values(), *self.losses])
            scaled = self.optimizer.scale_loss(total)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return self._track(total, losses)

    def test_step(self, data):
        losses = self.compute_losses(*data, False, 0)
        return self._track(sum(losses.values()), losses)

    def _track(self, total, losses):
        for tracker, value in zip(
            self.trackers, (total, *losses.values()), strict=True
        ):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}

    def get_config(self):
        return dict(self.arguments)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def pyramid(image_size, backbone, width, channels):
    """Features of strides 4 to 64, a functional model.

    Args:
        image_size: two ints, height and width.
        backbone: string, a key of `RESNETS`.
        width: int, channels of the first stage.
        channels: int, of the outputs.

    Returns:
        A `keras.Model` from pixels to P2, P3, P4, P5 and P6.

    Raises:
        ValueError: If `backbone` is unknown.
    """
    if backbone not in RESNETS:
        raise ValueError(
            f"Argument `backbone` must be one of {list(RESNETS)}. Received: "
            f"backbone={backbone!r}"
        )
    depth = RESNETS[backbone]
    widths = tuple(width * 2**stage for stage in range(len(STRIDES)))
    resnet = imagenet_resnet(depth, (*image_size, 3), 1, widths)
    stages = [
        resnet.get_layer(f"stage{stage}_block{blocks}_relu").output
        for stage, blocks in enumerate(BLOCKS[depth], start=1)
    ]
    levels, above = [], None
    for level, x in reversed(list(zip(LEVELS, stages, strict=False))):
        x = layers.Conv2D(channels, 1, name=f"fpn_lateral{level}")(x)
        if above is not None:
            larger = layers.UpSampling2D(name=f"fpn_up{level}")(above)
            x = layers.Add(name=f"fpn_add{level}")([x, larger])
        above = x
        smooth = layers.Conv2D(
            channels, 3, padding="same", name=f"fpn_smooth{level}"
        )
        levels.insert(0, smooth(x))
    coarsest = layers.MaxPooling2D(1, 2, name=f"fpn_pool{LEVELS[-1]}")
    levels.append(coarsest(levels[-1]))
    return keras.Model(resnet.inputs[0], levels, name="features")


def proposal_network(levels, channels):
    """Scores and deltas of the anchors of all levels, with shared layers."""
    shared = layers.Conv2D(
        channels, 3, padding="same", activation="relu", name="rpn_conv"
    )
    score = layers.Conv2D(len(RATIOS), 1, name="rpn_score")
    place = layers.Conv2D(
        4 * len(RATIOS), 1, kernel_initializer=_small(0.01), name="rpn_place"
    )
    inputs = [keras.Input(x.shape[1:]) for x in levels]
    hidden = [shared(x) for x in inputs]
    logits = [
        layers.Reshape((-1,), name=f"rpn_logits{level}")(score(x))
        for level, x in zip(LEVELS, hidden, strict=True)
    ]
    deltas = [
        layers.Reshape((-1, 4), name=f"rpn_deltas{level}")(place(x))
        for level, x in zip(LEVELS, hidden, strict=True)
    ]
    outputs = [
        layers.Concatenate(axis=1, dtype="float32", name="rpn_logits")(logits),
        layers.Concatenate(axis=1, dtype="float32", name="rpn_deltas")(deltas),
    ]
    return keras.Model(inputs, outputs, name="rpn")


def box_network(channels, dense, classes):
    """Classes and deltas of regions of any number."""
    inputs = keras.Input((None, BOX_SIZE, BOX_SIZE, channels))
    # A dense layer over all cells of each region.
    x = layers.Conv3D(
        dense, (1, BOX_SIZE, BOX_SIZE), activation="relu", name="box_dense1"
    )(inputs)
    x = layers.Conv3D(dense, 1, activation="relu", name="box_dense2")(x)
    logits = layers.Conv3D(
        classes + 1, 1, kernel_initializer=_small(0.01), name="class_conv"
    )(x)
    deltas = layers.Conv3D(
        4 * classes, 1, kernel_initializer=_small(0.001), name="box_conv"
    )(x)
    logits = layers.Reshape(
        (-1, classes + 1), dtype="float32", name="class_logits"
    )(logits)
    deltas = layers.Reshape(
        (-1, classes, 4), dtype="float32", name="box_deltas"
    )(deltas)
    return keras.Model(inputs, [logits, deltas], name="box_head")


def mask_network(channels, classes):
    """Masks of regions of any number, for each class."""
    x = inputs = keras.Input((None, MASK_SIZE, MASK_SIZE, channels))
    for number in range(1, 5):
        x = layers.Conv3D(
            channels,
            (1, 3, 3),
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"mask_conv{number}",
        )(x)
    x = layers.Conv3DTranspose(
        channels,
        (1, 2, 2),
        strides=(1, 2, 2),
        activation="relu",
        kernel_initializer="he_normal",
        name="mask_up",
    )(x)
    masks = layers.Conv3D(classes, 1, dtype="float32", name="mask_logits")(x)
    return keras.Model(inputs, masks, name="mask_head")


def _copy_weights(given, layer):
    shapes = [tuple(w.shape) for w in layer.weights]
    found = [tuple(w.shape) for w in given.weights] if given else None
    if found != shapes:
        raise ValueError(
            "The network whose backbone to begin with must have the layers of "
            f"this one. Received: {found or 'no layer'} for '{layer.name}' "
            f"with weights {shapes}"
        )
    layer.set_weights(given.get_weights())


def _small(deviation):
    return keras.initializers.RandomNormal(stddev=deviation)
