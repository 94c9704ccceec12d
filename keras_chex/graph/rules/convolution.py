"""Channel rules of convolutions: plain, grouped, transposed, depthwise."""

import math

import keras
import numpy as np

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.rule import IN, OUT, Axis, Rule, register_rule
from keras_chex.graph.rules.activation import keep_if_mixed


def channel_axis(data_format, rank):
    """The channel axis of a tensor of `rank` axes, batch included.

    >>> channel_axis("channels_last", 4), channel_axis("channels_first", 4)
    (3, 1)
    """
    return 1 if data_format == "channels_first" else rank - 1


def spatial_size(shape, data_format):
    """Number of positions of a feature map, one example.

    >>> spatial_size((None, 5, 6, 3), "channels_last")
    30
    """
    inner = shape[2:] if data_format == "channels_first" else shape[1:-1]
    return math.prod(inner)


class _ConvolutionRule(Rule):
    """What all convolutions share: data format and the activation check."""

    def input_axis(self, layer, rank):
        return channel_axis(layer.data_format, rank)

    def axis(self, call):
        return self.input_axis(call.layer, len(call.input_shapes[0]))

    def output(self, call, ids):
        keep_if_mixed(call, ids)
        return [Channels(ids, self.axis(call))]


@register_rule(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
class ConvRule(_ConvolutionRule):
    """`groups` splits input and output channels into equal runs.

    One group: every output is new. As many groups as input channels: output
    channels follow the input, `groups` shrinks. In between, the k-th channels
    of all groups go together and `groups` stays.
    """

    def flow(self, call):
        layer = call.layer
        inputs = call.consume(self.axis(call))
        if self._is_depthwise(layer):
            return self.output(
                call, np.repeat(inputs, layer.filters // layer.groups)
            )
        outputs = call.produce(layer.filters)
        if layer.groups > 1:
            for ids in (inputs, outputs):
                call.ids.tie_all(ids.reshape(layer.groups, -1))
        return self.output(call, outputs)

    def weights(self, layer):
        if self._is_depthwise(layer):
            axis = Axis("in", repeat=layer.filters // layer.groups)
            return {"kernel": {layer.rank + 1: axis}, "bias": {0: axis}}
        inputs = Axis("in", blocks=layer.groups)
        return {
            "kernel": {layer.rank: inputs, layer.rank + 1: OUT},
            "bias": {0: OUT},
        }

    def narrow_config(self, layer, config, widths):
        if self._is_depthwise(layer):
            multiplier = layer.filters // layer.groups
            config["groups"] = widths["in"]
            config["filters"] = widths["in"] * multiplier
        else:
            config["filters"] = widths["out"]
        return config

    def uses(self, layer, input_shape, output_shape):
        return {"kernel": spatial_size(output_shape, layer.data_format)}

    def _is_depthwise(self, layer):
        return layer.groups > 1 and layer.kernel.shape[-2] == 1


@register_rule(
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
class ConvTransposeRule(_ConvolutionRule):
    """The kernel's last two axes are (out, in), the other way round."""

    def flow(self, call):
        if getattr(call.layer, "groups", 1) > 1:
            return call.barrier(f"'{call.name}' is a grouped transpose")
        call.consume(self.axis(call))
        return self.output(call, call.produce(call.layer.filters))

    def weights(self, layer):
        kernel = {layer.rank: OUT, layer.rank + 1: IN}
        return {"kernel": kernel, "bias": {0: OUT}}

    def narrow_config(self, layer, config, widths):
        return {**config, "filters": widths["out"]}

    def uses(self, layer, input_shape, output_shape):
        # Every input position is multiplied with the whole kernel.
        return {"kernel": spatial_size(input_shape, layer.data_format)}


@register_rule(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
class DepthwiseRule(_ConvolutionRule):
    """Each input channel gives `depth_multiplier` channels in a row."""

    def flow(self, call):
        inputs = call.consume(self.axis(call))
        return self.output(call, np.repeat(inputs, call.layer.depth_multiplier))

    def weights(self, layer):
        bias = Axis("in", repeat=layer.depth_multiplier)
        return {"kernel": {layer.rank: IN}, "bias": {0: bias}}

    def uses(self, layer, input_shape, output_shape):
        return {"kernel": spatial_size(output_shape, layer.data_format)}


@register_rule(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
class SeparableRule(_ConvolutionRule):
    """A depthwise convolution followed by a 1x1 convolution."""

    def flow(self, call):
        call.consume(self.axis(call))
        return self.output(call, call.produce(call.layer.filters))

    def weights(self, layer):
        between = Axis("in", repeat=layer.depth_multiplier)
        return {
            "depthwise_kernel": {layer.rank: IN},
            "pointwise_kernel": {layer.rank: between, layer.rank + 1: OUT},
            "bias": {0: OUT},
        }

    def narrow_config(self, layer, config, widths):
        return {**config, "filters": widths["out"]}

    def uses(self, layer, input_shape, output_shape):
        positions = spatial_size(output_shape, layer.data_format)
        return {"depthwise_kernel": positions, "pointwise_kernel": positions}
