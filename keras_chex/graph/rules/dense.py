"""Channel rule of `Dense`, whose units are channels of the last axis."""

import math

import keras

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.rule import IN, OUT, Rule, register_rule
from keras_chex.graph.rules.activation import activation_name, is_channelwise


@register_rule(keras.layers.Dense)
class DenseRule(Rule):
    def flow(self, call):
        layer = call.layer
        call.consume(-1)
        outputs = call.produce(layer.units)
        if not is_channelwise(layer.activation):
            name = activation_name(layer.activation)
            call.ids.freeze(
                outputs,
                f"'{call.name}' has an activation that may mix channels "
                f"({name})",
            )
        return [Channels(outputs, len(call.output_shapes[0]) - 1)]

    def weights(self, layer):
        return {"kernel": {0: IN, 1: OUT}, "bias": {0: OUT}}

    def narrow_config(self, layer, config, widths):
        return {**config, "units": widths["out"]}

    def uses(self, layer, input_shape, output_shape):
        return {"kernel": math.prod(input_shape[1:-1])}
