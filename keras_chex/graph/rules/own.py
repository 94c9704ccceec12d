"""The rules of what the user's code holds itself: weights and arrays."""

from keras_chex.graph.channel_ids import Channels, Opaque
from keras_chex.graph.constants import Constant
from keras_chex.graph.experiment import study
from keras_chex.graph.own_weights import OwnWeight
from keras_chex.graph.rule import (
    IN,
    Axis,
    Barrier,
    Rule,
    register_rule,
    register_rule_of_others,
    rule_for,
)
from keras_chex.graph.rules.contraction import ContractionRule


@register_rule_of_others
class TriedRule(Rule):
    """What the layer was found to do when it was tried out.

    Either it treats all channels of its last axis alike, as a scale of every
    channel does or a normalisation, or it takes them in and makes others, as a
    convolution does: these stay.
    """

    tries = True

    def flow(self, call):
        if not any(isinstance(tensor, Channels) for tensor in call.inputs):
            reasons = [tensor.reason for tensor in call.inputs]
            return call.barrier(reasons[0] if reasons else f"'{call.name}'")
        found = self._found(call)
        if isinstance(found, str):
            kind = type(call.layer).__name__
            return call.barrier(
                f"'{call.name}' has no channel rule for {kind}, which {found}"
            )
        # What has no weights needs no wrapper.
        ids = call.consume(-1) if call.layer.weights else call.read(-1)
        if found.output is None:
            return [Opaque(f"'{call.name}' makes channels that it keeps")]
        return [Channels(ids, found.output)]

    def _found(self, call):
        plain = all(c is None or isinstance(c, bool) for c in call.constants)
        tensors = len(call.inputs), len(call.output_shapes)
        if tensors != (1, 1) or not plain:
            return "is called on more than one tensor"
        return study(call.layer)

    def weights(self, layer):
        found = study(layer)
        if isinstance(found, str):
            return {}
        return {
            name: {axis: Axis("in") for axis in axes}
            for name, axes in found.axes.items()
        }

    def only_consumes(self, layer):
        found = study(layer)
        return not isinstance(found, str) and found.output is None

    def narrow_config(self, layer, config, widths):
        return {**config, **dict.fromkeys(study(layer).sizes, widths["in"])}


@register_rule(OwnWeight)
class OwnWeightRule(Rule):
    """Its last axis has channels, if those that it meets are found along it.

    It makes none itself: like a scale in a normalisation it goes with them.
    """

    def flow(self, call):
        axis = _last_axis(call.layer)
        size = 0 if axis is None else call.layer.shape[axis]
        ids = call.sides["in"] = call.ids.new(size, -1)
        if axis is None:
            return [Opaque(f"'{call.name}' is one number")]
        return [Channels(ids, axis, batch=None)]

    def weights(self, layer):
        axis = _last_axis(layer)
        return {"weight": {} if axis is None else {axis: IN}}

    def narrow_config(self, layer, config, widths):
        shape = list(layer.shape)
        shape[_last_axis(layer)] = widths["in"]
        return {**config, "shape": shape}


def _last_axis(layer):
    """The last axis of more than one place, None if there is none."""
    axes = [axis for axis, size in enumerate(layer.shape) if size > 1]
    return axes[-1] if axes else None


@register_rule(Constant)
class ConstantRule(Rule):
    def flow(self, call):
        return [Opaque(f"'{call.name}' is an array")]


def is_multiplied(graph, op):
    """Whether an operation is a weight that the user's code multiplies with."""
    if not isinstance(op.inner, OwnWeight):
        return False
    calls = graph.program.calls
    own = {
        number
        for call in calls
        if call.node.operation is op.layer
        for number in call.outputs
    }
    return any(
        own.intersection(call.inputs)
        and isinstance(
            rule_for(call.node.operation), (Barrier, ContractionRule)
        )
        for call in calls
    )
