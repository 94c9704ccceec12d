"""Rules of what works on space and leaves channels alone: pooling, padding."""

import keras

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.keras_nodes import raw_operation
from keras_chex.graph.rule import Rule, register_rule
from keras_chex.graph.rules.convolution import channel_axis


def _each(pattern, dimensions):
    names = [pattern.format(d) for d in dimensions]
    return [getattr(keras.layers, n) for n in names if hasattr(keras.layers, n)]


_RAW = "MaxPool AveragePool Resize CropImages PadImages".split()
_raw_operations = [op for op in map(raw_operation, _RAW) if op is not None]


def _own_axis(layer, rank):
    return channel_axis(getattr(layer, "data_format", None), rank)


@register_rule(
    *_each("MaxPooling{}D", (1, 2, 3)),
    *_each("AveragePooling{}D", (1, 2, 3)),
    *_each("AdaptiveMaxPooling{}D", (1, 2, 3)),
    *_each("AdaptiveAveragePooling{}D", (1, 2, 3)),
    *_each("ZeroPadding{}D", (1, 2, 3)),
    *_each("Cropping{}D", (1, 2, 3)),
    *_each("UpSampling{}D", (1, 2, 3)),
    keras.layers.Resizing,
    *_raw_operations,
)
class SpatialRule(Rule):
    """Every channel is treated alike if the data formats agree."""

    def flow(self, call):
        tensor = call.inputs[0]
        if not isinstance(tensor, Channels):
            return [tensor]
        if tensor.axis != _own_axis(call.layer, len(call.input_shapes[0])):
            return call.barrier(f"'{call.name}' works along another axis")
        return [tensor]


_WARPS = "AffineTransform PerspectiveTransform".split()
_known_warps = [op for op in map(raw_operation, _WARPS) if op is not None]


@register_rule(*_known_warps)
class WarpRule(SpatialRule):
    """Moves the pixels of pictures to where other tensors say."""

    def flow(self, call):
        for tensor in call.inputs[1:]:
            if isinstance(tensor, Channels):
                reason = f"'{call.name}' moves pixels by it"
                call.ids.freeze(tensor.ids, reason)
        return super().flow(call)


@register_rule(keras.layers.RandomFlip, keras.layers.RandomTranslation)
class AugmentationRule(Rule):
    """Moves pixels; all channels alike."""

    def flow(self, call):
        return call.inputs


@register_rule(
    *_each("GlobalMaxPooling{}D", (1, 2, 3)),
    *_each("GlobalAveragePooling{}D", (1, 2, 3)),
)
class GlobalPoolingRule(Rule):
    """Space disappears, or stays as axes of size one."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor]
        if tensor.axis != _own_axis(call.layer, rank):
            return call.barrier(f"'{call.name}' works along another axis")
        return [Channels(tensor.ids, tensor.axis if call.layer.keepdims else 1)]
