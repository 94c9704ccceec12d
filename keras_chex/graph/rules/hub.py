"""Rules of leaf layers that KerasHub defines for itself.

Its blocks and attention layers need none: they are opened.
"""

from keras_chex.graph.rule import Rule, register_rule_by_name


@register_rule_by_name("keras_hub", "DropPath")
class DropPathRule(Rule):
    """Leaves some examples of a tensor out."""

    def flow(self, call):
        return call.inputs


@register_rule_by_name("keras_hub", "HGNetV2LearnableAffineBlock")
class LearnableAffineRule(Rule):
    """One scale and one bias for all channels."""

    def flow(self, call):
        return call.inputs

    def weights(self, layer):
        return {"scale": {}, "bias": {}}
