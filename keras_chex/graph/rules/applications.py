"""Rules of the layers that `keras.applications` defines for itself."""

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.keras_nodes import application_layer
from keras_chex.graph.rule import IN, Rule, register_rule
from keras_chex.graph.rules.join import SumRule


@register_rule(application_layer("convnext", "LayerScale"))
class LayerScaleRule(Rule):
    """One factor per channel of the last axis."""

    def flow(self, call):
        ids = call.consume(-1)
        return [Channels(ids, len(call.input_shapes[0]) - 1)]

    def weights(self, layer):
        return {"gamma": {0: IN}}

    def narrow_config(self, layer, config, widths):
        return {**config, "projection_dim": widths["in"]}


@register_rule(application_layer("convnext", "StochasticDepth"))
class StochasticDepthRule(Rule):
    """Leaves a whole tensor out, or in."""

    def flow(self, call):
        return call.inputs


@register_rule(application_layer("inception_resnet_v2", "CustomScaleLayer"))
class CustomScaleRule(SumRule):
    """`x + scale * y`."""
