"""Channel rules of `Dense` and `Embedding`: units on the last axis."""

import math

import keras

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.rule import IN, OUT, Rule, register_rule
from keras_chex.graph.rules.activation import keep_if_mixed


@register_rule(keras.layers.Dense)
class DenseRule(Rule):
    def flow(self, call):
        layer = call.layer
        call.consume(-1)
        outputs = call.produce(layer.units)
        keep_if_mixed(call, outputs)
        return [Channels(outputs, len(call.output_shapes[0]) - 1)]

    def weights(self, layer):
        return {"kernel": {0: IN, 1: OUT}, "bias": {0: OUT}}

    def narrow_config(self, layer, config, widths):
        return {**config, "units": widths["out"]}

    def uses(self, layer, input_shape, output_shape):
        return {"kernel": math.prod(input_shape[1:-1])}


@register_rule(keras.layers.Embedding)
class EmbeddingRule(Rule):
    def flow(self, call):
        # What goes in are numbers of rows.
        call.barrier(f"'{call.name}' looks its values up")
        outputs = call.produce(call.layer.output_dim)
        return [Channels(outputs, len(call.output_shapes[0]) - 1)]

    def weights(self, layer):
        return {"embeddings": {1: OUT}}

    def narrow_config(self, layer, config, widths):
        return {**config, "output_dim": widths["out"]}
