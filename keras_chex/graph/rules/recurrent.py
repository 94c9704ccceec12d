"""Channel rules of recurrent layers, which take fewer channels, not make them.

What a recurrent layer makes comes back to it through its own weights, once for
each of its gates.
"""

import math

import keras

from keras_chex.graph.channel_ids import Channels, Opaque
from keras_chex.graph.rule import IN, Rule, register_rule, rule_for

RECURRENT = (
    *(keras.layers.SimpleRNN, keras.layers.GRU, keras.layers.LSTM),
    *(keras.layers.ConvLSTM1D, keras.layers.ConvLSTM2D),
    keras.layers.ConvLSTM3D,
)
WEIGHTS = ("cell.kernel", "cell.recurrent_kernel", "cell.bias")
DIRECTIONS = ("forward_layer", "backward_layer")


def _refusal(layer):
    """Why a layer cannot take fewer channels; None if it can."""
    if layer.stateful:
        return "keeps its state from batch to batch"
    if layer.dropout or layer.recurrent_dropout:
        return "has `dropout` of its own; put a layer `Dropout` before it"
    return None


def _flow(call, axis, layers):
    """Takes the channels in; what is made, state or sequence, stays whole."""
    reasons = [reason for reason in map(_refusal, layers) if reason]
    if len(call.inputs) - call.masks > 1:
        reasons.append("is given a state to begin with")
    if reasons:
        return call.barrier(f"'{call.name}' {reasons[0]}")
    call.consume(axis)
    reason = f"'{call.name}' takes again what it makes"
    first, *states = call.output_shapes
    # As far from the end as in the input.
    axis += len(first) - len(call.input_shapes[0])
    ids = call.produce(first[axis])
    call.ids.freeze(ids, reason)
    return [Channels(ids, axis), *(Opaque(reason) for _ in states)]


@register_rule(*RECURRENT)
class RecurrentRule(Rule):
    """Channels of the input end here; the units all stay."""

    def flow(self, call):
        rank = len(call.input_shapes[0])
        return _flow(call, self.input_axis(call.layer, rank), [call.layer])

    def weights(self, layer):
        axis = len(layer.cell.kernel.shape) - 2
        return {name: {} for name in WEIGHTS} | {"cell.kernel": {axis: IN}}

    def input_axis(self, layer, rank):
        is_first = getattr(layer, "data_format", None) == "channels_first"
        return 2 if is_first else rank - 1

    def uses(self, layer, input_shape, output_shape):
        made = layer.cell.recurrent_kernel.shape[-2]
        positions = math.prod(output_shape[1:]) // made
        if not layer.return_sequences:
            positions *= input_shape[1]
        return dict.fromkeys(WEIGHTS[:2], positions)


@register_rule(keras.layers.RNN)
class CellRule(Rule):
    """A cell of one's own keeps what it takes."""

    def flow(self, call):
        return call.barrier(
            f"'{call.name}' runs a cell; take LSTM, GRU or SimpleRNN"
        )


@register_rule(keras.layers.Bidirectional)
class BidirectionalRule(Rule):
    """Does what the layers of both directions do."""

    def flow(self, call):
        layers = [getattr(call.layer, name) for name in DIRECTIONS]
        if not all(isinstance(rule_for(x), RecurrentRule) for x in layers):
            return call.barrier(f"'{call.name}' repeats a layer of its own")
        rank = len(call.input_shapes[0])
        return _flow(call, self.input_axis(call.layer, rank), layers)

    def weights(self, layer):
        return {
            f"{name}.{path}": axes
            for name in DIRECTIONS
            for path, axes in _inside(layer, name, "weights").items()
        }

    def narrow_config(self, layer, config, widths):
        # Without what they were built for: the widths are others now.
        inside = {
            key: {k: v for k, v in config[key].items() if k != "build_config"}
            for key in ("layer", "backward_layer")
        }
        return {**config, **inside}

    def input_axis(self, layer, rank):
        return _inside(layer, "forward_layer", "input_axis", rank)

    def uses(self, layer, input_shape, output_shape):
        # What one direction makes; both may stand side by side.
        shape = layer.forward_layer.compute_output_shape(input_shape)
        shape = shape[0] if isinstance(shape[0], (tuple, list)) else shape
        return {
            f"{name}.{path}": count
            for name in DIRECTIONS
            for path, count in _inside(
                layer, name, "uses", input_shape, shape
            ).items()
        }


def _inside(layer, name, what, *args):
    """What the rule of the layer of one direction says."""
    direction = getattr(layer, name)
    return getattr(rule_for(direction), what)(direction, *args)
