"""Channel rule of `TimeDistributed`: that of the layer inside."""

import keras

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.rule import Barrier, Rule, register_rule, rule_for


def _without_time(shape):
    return (shape[0], *shape[2:])


def _later(tensor):
    if not isinstance(tensor, Channels):
        return tensor
    return Channels(tensor.ids, tensor.axis + 1)


@register_rule(keras.layers.TimeDistributed)
class TimeDistributedRule(Rule):
    """Does what the layer inside does, one axis further on."""

    def opens(self, layer):
        """A model, or what has no rule, is read step by step."""
        inside = layer.layer
        return isinstance(inside, keras.Model) or isinstance(
            rule_for(inside), Barrier
        )

    def flow(self, call):
        outer, layer, tensor = call.layer, call.layer.layer, call.inputs[0]
        rule = rule_for(layer)
        if isinstance(tensor, Channels) and tensor.axis < 2:
            return call.barrier(f"'{call.name}' repeats over the channels")
        if isinstance(tensor, Channels):
            call.inputs = [Channels(tensor.ids, tensor.axis - 1)]
        shapes = call.input_shapes, call.output_shapes
        call.input_shapes = [_without_time(shape) for shape in shapes[0]]
        call.output_shapes = [_without_time(shape) for shape in shapes[1]]
        call.layer = layer
        outputs = rule.flow(call)
        call.layer, (call.input_shapes, call.output_shapes) = outer, shapes
        if call.stand_in is not None:
            return call.barrier(f"'{call.name}' repeats a fixed shape")
        return [
            Channels(out.ids, out.axis + 1)
            if isinstance(out, Channels)
            else out
            for out in outputs
        ]

    def weights(self, layer):
        inside = rule_for(layer.layer).weights(layer.layer)
        return {f"layer.{name}": axes for name, axes in inside.items()}

    def narrow_config(self, layer, config, widths):
        inner = dict(layer.layer.get_config())
        inner = rule_for(layer.layer).narrow_config(layer.layer, inner, widths)
        # Without what it was built for: the widths are others now.
        made = {k: v for k, v in config["layer"].items() if k != "build_config"}
        return {**config, "layer": {**made, "config": inner}}

    def input_axis(self, layer, rank):
        return rule_for(layer.layer).input_axis(layer.layer, rank - 1) + 1

    def uses(self, layer, input_shape, output_shape):
        inside = rule_for(layer.layer).uses(
            layer.layer, _without_time(input_shape), _without_time(output_shape)
        )
        return {
            f"layer.{name}": count * input_shape[1]
            for name, count in inside.items()
        }
