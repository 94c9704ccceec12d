"""RetinaNet of KerasHub on a ResNet, in any size; nothing is downloaded."""

import dataclasses
import math

import keras

import keras_chex

from .coco_data import INSTALL

# Blocks of the four stages.
DEPTHS = {
    18: ("basic_block", (2, 2, 2, 2)),
    34: ("basic_block", (3, 4, 6, 3)),
    50: ("bottleneck_block", (3, 4, 6, 3)),
}
WIDTHS = (64, 128, 256, 512)
STRIDE = 32  # of the last stage
MOST_DETECTIONS = 100


@dataclasses.dataclass(frozen=True)
class RetinaNet:
    """Settings of a network, which `build` makes.

    Attributes:
        classes: int.
        image_size: two ints, height and width in pixels.
        depth: int, of the ResNet: 18, 34 or 50.
        widths: four ints, channels of its stages (of their 3x3 convolutions);
            KerasHub's first is 64.
        levels: two ints, first and last level of the feature pyramid; level
            `n` has one place for `2**n` pixels.
        head_layers: int, convolutions of each head before its last one.
        head_norm: bool, GroupNorm behind each of these.
        pyramid_norm: bool, BatchNorm in the feature pyramid.
        anchor_size: float, side of the smallest anchors, in places.
        prior: float, probability of an object at any place before training.
        least_score: float, detections below are dropped.
        most_overlap: float, intersection over union above which the less
            certain of two detections is dropped, whatever their classes.
    """

    classes: int
    image_size: tuple = (800, 800)
    depth: int = 50
    widths: tuple = WIDTHS
    levels: tuple = (3, 7)
    head_layers: int = 4
    head_norm: bool = False
    pyramid_norm: bool = False
    anchor_size: float = 4.0
    prior: float = 0.01
    least_score: float = 0.05
    most_overlap: float = 0.5

    def __post_init__(self):
        sides = self.image_size
        if len(sides) != 2 or any(n < 1 or n % STRIDE for n in sides):
            raise ValueError(
                "Flag `--image_size` must be height and width, both multiples "
                f"of {STRIDE}. Received: --image_size={_listed(sides)}"
            )
        if self.depth not in DEPTHS:
            raise ValueError(
                f"Flag `--depth` must be one of {_listed(DEPTHS)}. Received: "
                f"--depth={self.depth}"
            )
        widths = self.widths
        if len(widths) != 4 or widths[0] != WIDTHS[0] or min(widths) < 1:
            raise ValueError(
                f"Flag `--widths` must be four numbers, the first {WIDTHS[0]}, "
                f"as KerasHub's ResNet has it. Received: "
                f"--widths={_listed(widths)}"
            )
        if len(self.levels) != 2 or not 2 <= self.levels[0] <= self.levels[1]:
            raise ValueError(
                "Flag `--levels` must be the first and the last level of the "
                "pyramid, the first at least 2. Received: "
                f"--levels={_listed(self.levels)}"
            )

    def build(self):
        """Makes the network with fresh weights.

        Returns:
            A `keras_hub.models.RetinaNetObjectDetector`, not compiled, with
            boxes "xyxy" in pixels.

        Raises:
            ImportError: If KerasHub is not installed.
        """
        hub = _keras_hub()
        block, blocks = DEPTHS[self.depth]
        encoder = hub.models.ResNetBackbone(
            input_conv_filters=[WIDTHS[0]],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=list(self.widths),
            stackwise_num_blocks=list(blocks),
            stackwise_num_strides=[1, 2, 2, 2],
            block_type=block,
            image_shape=(*self.image_size, 3),
            name="resnet",
        )
        first, last = self.levels
        backbone = hub.models.RetinaNetBackbone(
            image_encoder=encoder,
            min_level=first,
            max_level=last,
            use_p5=False,
            use_fpn_batch_norm=self.pyramid_norm,
            image_shape=(*self.image_size, 3),
            name="features",
        )
        task = hub.models.RetinaNetObjectDetector(
            backbone=backbone,
            num_classes=self.classes,
            bounding_box_format="xyxy",
            anchor_generator=hub.layers.AnchorGenerator(
                "xyxy",
                min_level=first,
                max_level=last,
                num_scales=3,
                aspect_ratios=[0.5, 1.0, 2.0],
                anchor_size=self.anchor_size,
            ),
            use_prediction_head_norm=self.head_norm,
            pre_logits_num_conv_layers=self.head_layers,
            prediction_decoder=hub.layers.NonMaxSuppression(
                "xyxy",
                from_logits=True,
                iou_threshold=self.most_overlap,
                confidence_threshold=self.least_score,
                max_detections=MOST_DETECTIONS,
            ),
            name="retinanet",
        )
        initialize_heads(task, self.prior)
        return task


def initialize_heads(task, prior):
    """Gives both heads the weights that RetinaNet begins with.

    KerasHub 0.32 gives the prior probability to the head of the boxes, where
    it belongs to that of the classes, and kernels so large that four layers
    multiply what they are given by 30: from there, training starts with losses
    in the hundreds.

    Args:
        task: a `keras_hub.models.RetinaNetObjectDetector`.
        prior: float, probability of an object at any place.
    """
    kernels = keras.initializers.HeNormal
    for head in (task.box_head, task.classification_head):
        for convolution in head.conv_layers:
            kernel = convolution.kernel
            kernel.assign(kernels()(kernel.shape, kernel.dtype))
        last = head.prediction_layer
        draw = keras.initializers.RandomNormal(stddev=0.01)
        last.kernel.assign(draw(last.kernel.shape, last.kernel.dtype))
        last.bias.assign(keras.ops.zeros_like(last.bias))
    bias = task.classification_head.prediction_layer.bias
    bias.assign(keras.ops.full_like(bias, -math.log((1 - prior) / prior)))


def plain(task):
    """A detector that was never wrapped, as a plain model with raw outputs."""
    return keras_chex.strip(keras_chex.wrap(task))


def _keras_hub():
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(
            f"Building a RetinaNet needs KerasHub. {INSTALL}"
        ) from error
    return keras_hub


def _listed(values):
    return ",".join(map(str, values))
