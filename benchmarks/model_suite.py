"""Which real models the package is checked on, and how each is built.

`applications` is all of `keras.applications`, untrained and on small pictures.
`hub` is the convolutional backbones of KerasHub from small configs, because
their presets would have to be downloaded: each with a classifier on top, or as
part of a segmentation or detection model. Every model gives raw outputs.
"""

import dataclasses
from collections.abc import Callable

import keras

CLASSES = 10
_NORMALISED = "a channel of zeros changes what LayerNormalization returns"
_GROUPED = "a channel of zeros changes what GroupNormalization returns"
_AFFINE = "an affine layer adds a bias to channels of zeros"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model.

    Attributes:
        name: str.
        family: str, models that are built alike.
        suite: str, `"applications"` or `"hub"`.
        build: function without arguments that returns the model.
        batch: int, examples that it is checked on.
        zeros_end: why channels of zeros do not stay zeros up to the next layer
            that makes channels, or None where they do.
        is_first: bool, whether it stands for its family: smallest of it.
    """

    name: str
    family: str
    suite: str
    build: Callable[[], keras.Model]
    batch: int = 8
    zeros_end: str | None = None
    is_first: bool = False


# Family: height and width of its pictures, and its models, smallest first.
# At 64 x 64 the last maps are 2 x 2; Inception and Xception need more.
APPLICATIONS = {
    "Xception": (96, ("Xception",)),
    "VGG": (64, ("VGG16", "VGG19")),
    "ResNet": (64, ("ResNet50", "ResNet101", "ResNet152")),
    "ResNetV2": (64, ("ResNet50V2", "ResNet101V2", "ResNet152V2")),
    "Inception": (128, ("InceptionV3", "InceptionResNetV2")),
    "MobileNet": (
        64,
        ("MobileNetV2", "MobileNet", "MobileNetV3Small", "MobileNetV3Large"),
    ),
    "DenseNet": (64, ("DenseNet121", "DenseNet169", "DenseNet201")),
    "NASNet": (64, ("NASNetMobile", "NASNetLarge")),
    "EfficientNet": (64, tuple(f"EfficientNetB{i}" for i in range(8))),
    "EfficientNetV2": (
        64,
        tuple(f"EfficientNetV2{i}" for i in ("B0", "B1", "B2", "B3", *"SML")),
    ),
    "ConvNeXt": (
        64,
        tuple(
            f"ConvNeXt{size}"
            for size in ("Tiny", "Small", "Base", "Large", "XLarge")
        ),
    ),
}
# Large ones, on fewer examples.
_SMALL_BATCH = ("ConvNeXtLarge", "ConvNeXtXLarge", "NASNetLarge")


def _application(name, size):
    return getattr(keras.applications, name)(
        weights=None,
        input_shape=(size, size, 3),
        classes=CLASSES,
        classifier_activation=None,
    )


def _application_entries():
    for family, (size, names) in APPLICATIONS.items():
        for number, name in enumerate(names):
            yield Entry(
                name,
                family,
                "applications",
                lambda name=name, size=size: _application(name, size),
                batch=4 if name in _SMALL_BATCH else 8,
                zeros_end=_NORMALISED if family == "ConvNeXt" else None,
                is_first=number == 0,
            )


def classifier(backbone, feature=None):
    """Puts pooling and a dense layer on a backbone, as its classifiers do.

    Args:
        backbone: `keras.Model` of one picture.
        feature: which of its outputs, where there are several.
    """
    pictures = keras.Input(backbone.input_shape[1:], name="pictures")
    maps = backbone(pictures)
    maps = maps if feature is None else maps[feature]
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(maps)
    outputs = keras.layers.Dense(CLASSES, name="logits")(pooled)
    return keras.Model(pictures, outputs)


def _resnet_backbone(convolutions=1, size=64, **options):
    from keras_hub.models import ResNetBackbone

    return ResNetBackbone(
        **{
            "input_conv_filters": [32] * (convolutions - 1) + [64],
            "input_conv_kernel_sizes": [3] * convolutions
            if convolutions > 1
            else [7],
            "stackwise_num_filters": [64, 96, 128, 160],
            "stackwise_num_blocks": [2, 2, 2, 2],
            "stackwise_num_strides": [1, 2, 2, 2],
            "block_type": "bottleneck_block",
            "image_shape": (size, size, 3),
            **options,
        }
    )


def _resnet(**options):
    return classifier(_resnet_backbone(**options))


def _cspnet(block_type, stage_type):
    from keras_hub.models import CSPNetBackbone

    return classifier(
        CSPNetBackbone(
            stem_filters=32,
            stem_kernel_size=3,
            stem_strides=1,
            stem_padding="same",
            stackwise_depth=[1, 2, 2],
            stackwise_strides=[2, 2, 2],
            stackwise_num_filters=[32, 64, 128],
            bottle_ratio=[0.5],
            expand_ratio=[2.0],
            block_type=block_type,
            stage_type=stage_type,
            image_shape=(64, 64, 3),
        )
    )


def _mobilenet():
    from keras_hub.models import MobileNetBackbone

    return classifier(
        MobileNetBackbone(
            stackwise_expansion=[[40, 56], [64, 144, 144], [144, 288]],
            stackwise_num_blocks=[2, 3, 2],
            stackwise_num_filters=[[16, 16], [24, 24, 24], [48, 48]],
            stackwise_kernel_size=[[3, 3], [5, 5, 5], [5, 5]],
            stackwise_num_strides=[[2, 1], [2, 1, 1], [2, 1]],
            stackwise_se_ratio=[[None, None], [0.25] * 3, [0.25] * 2],
            stackwise_activation=[
                ["relu", "relu"],
                ["hard_swish"] * 3,
                ["hard_swish"] * 2,
            ],
            stackwise_padding=[[1, 1], [2, 2, 2], [2, 2]],
            output_num_filters=128,
            depthwise_filters=16,
            depthwise_stride=2,
            depthwise_residual=False,
            last_layer_filter=128,
            squeeze_and_excite=0.5,
            image_shape=(64, 64, 3),
        )
    )


def _efficientnet(block_types):
    from keras_hub.models import EfficientNetBackbone

    return classifier(
        EfficientNetBackbone(
            stackwise_kernel_sizes=[3, 3, 5],
            stackwise_num_repeats=[1, 2, 2],
            stackwise_input_filters=[32, 16, 24],
            stackwise_output_filters=[16, 24, 40],
            stackwise_expansion_ratios=[1, 4, 6],
            stackwise_squeeze_and_excite_ratios=[0.25, 0.25, 0.25],
            stackwise_strides=[1, 2, 2],
            stackwise_block_types=block_types,
            width_coefficient=1.0,
            depth_coefficient=1.0,
            input_shape=(64, 64, 3),
        )
    )


def _densenet():
    from keras_hub.models import DenseNetBackbone

    return classifier(
        DenseNetBackbone(
            stackwise_num_repeats=[2, 3, 2],
            growth_rate=16,
            image_shape=(64, 64, 3),
        )
    )


def _vgg():
    from keras_hub.models import VGGBackbone

    return classifier(
        VGGBackbone(
            stackwise_num_repeats=[1, 2, 2],
            stackwise_num_filters=[32, 64, 96],
            image_shape=(32, 32, 3),
        )
    )


def _xception():
    from keras_hub.models import XceptionBackbone

    return classifier(
        XceptionBackbone(
            stackwise_conv_filters=[[16, 32], [48, 48], [64, 64], [96, 96]],
            stackwise_pooling=[False, True, True, False],
            image_shape=(64, 64, 3),
        )
    )


def _hgnet(affine):
    from keras_hub.models import HGNetV2Backbone

    backbone = HGNetV2Backbone(
        depths=[1, 1, 2],
        embedding_size=32,
        hidden_sizes=[64, 96, 128],
        stem_channels=[3, 16, 32],
        hidden_act="relu",
        use_learnable_affine_block=affine,
        stackwise_stage_filters=[
            (32, 16, 64, 1, 3, 3),
            (64, 24, 96, 1, 3, 3),
            (96, 32, 128, 2, 3, 5),
        ],
        apply_downsample=[False, True, True],
        use_lightweight_conv_block=[False, False, True],
        image_shape=(64, 64, 3),
    )
    return classifier(backbone, "stage3")


def _mit():
    from keras_hub.models import MiTBackbone

    return classifier(
        MiTBackbone(
            layerwise_depths=[1, 1, 2],
            num_layers=3,
            layerwise_num_heads=[1, 2, 4],
            layerwise_sr_ratios=[4, 2, 1],
            max_drop_path_rate=0.1,
            layerwise_patch_sizes=[7, 3, 3],
            layerwise_strides=[4, 2, 2],
            hidden_dims=[16, 32, 64],
            image_shape=(64, 64, 3),
        )
    )


def _graph_of(task):
    """The raw outputs of a task, without its own losses and its decoder."""
    return keras.Model(task.input, task.output)


def _deeplab():
    from keras_hub import models

    backbone = models.DeepLabV3Backbone(
        image_encoder=_resnet_backbone(size=96, use_pre_activation=True),
        projection_filters=48,
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[6, 12, 18],
        image_shape=(96, 96, 3),
    )
    return _graph_of(
        models.DeepLabV3ImageSegmenter(backbone, num_classes=CLASSES)
    )


def _retinanet(group_norm):
    from keras_hub import models

    backbone = models.RetinaNetBackbone(
        image_encoder=_resnet_backbone(),
        min_level=3,
        max_level=6,
        use_p5=False,
        use_fpn_batch_norm=group_norm,
        image_shape=(64, 64, 3),
    )
    return _graph_of(
        models.RetinaNetObjectDetector(
            backbone,
            num_classes=CLASSES,
            use_prediction_head_norm=group_norm,
            pre_logits_num_conv_layers=2,
        )
    )


# Name, builder, and why channels of zeros end, if they do.
_HUB = (
    ("HubResNet", _resnet, None),
    ("HubResNetV2", lambda: _resnet(use_pre_activation=True), None),
    (
        "HubResNetVd",
        lambda: _resnet(convolutions=3, block_type="bottleneck_block_vd"),
        None,
    ),
    ("HubDarkNet", lambda: _cspnet("dark_block", "dark"), None),
    ("HubCSPDarkNet", lambda: _cspnet("dark_block", "csp"), None),
    ("HubCSPResNet", lambda: _cspnet("bottleneck_block", "csp"), None),
    ("HubCS3EdgeNet", lambda: _cspnet("edge_block", "cs3"), None),
    ("HubMobileNet", _mobilenet, None),
    ("HubEfficientNet", lambda: _efficientnet(["v1"] * 3), None),
    (
        "HubEfficientNetV2",
        lambda: _efficientnet(["fused", "unfused", "unfused"]),
        None,
    ),
    ("HubDenseNet", _densenet, None),
    ("HubVGG", _vgg, None),
    ("HubXception", _xception, None),
    ("HubHGNetV2", lambda: _hgnet(False), None),
    ("HubHGNetV2Affine", lambda: _hgnet(True), _AFFINE),
    ("HubMiT", _mit, _NORMALISED),
    ("HubDeepLabV3Plus", _deeplab, None),
    ("HubRetinaNet", lambda: _retinanet(False), None),
    ("HubRetinaNetGroupNorm", lambda: _retinanet(True), _GROUPED),
)


def _hub_entries():
    for name, build, zeros_end in _HUB:
        yield Entry(name, name, "hub", build, 4, zeros_end)


ENTRIES = {
    entry.name: entry for entry in (*_application_entries(), *_hub_entries())
}
