"""Channel rules of normalisation layers, which carry weights per channel."""

import keras

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.rule import IN, Rule, register_rule, weight_of


def _axes(layer, rank):
    axis = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return [a % rank for a in axis]


class _PerChannelRule(Rule):
    """One entry of every weight per channel; the layer keeps channels."""

    def flow(self, call):
        axes = _axes(call.layer, len(call.input_shapes[0]))
        tensor = call.inputs[0]
        if isinstance(tensor, Channels) and axes != [tensor.axis]:
            return call.barrier(f"'{call.name}' normalises axes {axes}")
        if len(axes) != 1 or not self._has_weights(call.layer):
            return [tensor]
        return [Channels(call.consume(axes[0]), axes[0])]

    def _has_weights(self, layer):
        names = self.weights(layer)
        return any(weight_of(layer, name) is not None for name in names)

    def input_axis(self, layer, rank):
        return _axes(layer, rank)[0]


@register_rule(keras.layers.BatchNormalization)
class BatchNormalizationRule(_PerChannelRule):
    def weights(self, layer):
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return {name: {0: IN} for name in names}


@register_rule(keras.layers.LayerNormalization)
class LayerNormalizationRule(_PerChannelRule):
    def weights(self, layer):
        return {"gamma": {0: IN}, "beta": {0: IN}}


# Keras has it from 3.9 on.
_RMS = [getattr(keras.layers, "RMSNormalization", None)]


@register_rule(*filter(None, _RMS))
class RMSNormalizationRule(_PerChannelRule):
    def weights(self, layer):
        return {"scale": {0: IN}}


@register_rule(keras.layers.UnitNormalization)
class UnitNormalizationRule(Rule):
    """Divides by the norm of the channels that are there."""

    def flow(self, call):
        return call.inputs


@register_rule(keras.layers.GroupNormalization)
class GroupNormalizationRule(_PerChannelRule):
    """`groups` equal runs of channels have statistics of their own.

    The k-th channels of all runs go together and `groups` stays; with as many
    runs as channels, `groups` shrinks.
    """

    def flow(self, call):
        outputs = super().flow(call)
        count = call.layer.groups
        if not isinstance(outputs[0], Channels) or count == 1:
            return outputs
        ids = outputs[0].ids
        if count == len(ids) and not self._has_weights(call.layer):
            # Nothing says then how many groups a narrower layer has.
            return call.barrier(f"'{call.name}' has groups and no weights")
        if count < len(ids):
            call.ids.tie_all(ids.reshape(count, -1))
        return outputs

    def weights(self, layer):
        return {"gamma": {0: IN}, "beta": {0: IN}}

    def narrow_config(self, layer, config, widths):
        full = [w for w in (layer.gamma, layer.beta) if w is not None]
        if full and layer.groups == full[0].shape[0]:
            config["groups"] = widths["in"]
        return config


def _is_scalar(value):
    return getattr(value, "ndim", 0) == 0 and not isinstance(
        value, (list, tuple)
    )


@register_rule(keras.layers.Rescaling)
class RescalingRule(Rule):
    """Scalars touch no channel; per-channel constants are a barrier."""

    def flow(self, call):
        layer = call.layer
        if _is_scalar(layer.scale) and _is_scalar(layer.offset):
            return call.inputs
        return call.barrier(f"'{call.name}' holds constants per channel")


@register_rule(keras.layers.Normalization)
class NormalizationRule(Rule):
    """With `axis=None` one mean and variance serve all channels."""

    def flow(self, call):
        if not _axes_of_statistics(call.layer):
            return call.inputs
        return call.barrier(f"'{call.name}' holds statistics per channel")


def _axes_of_statistics(layer):
    if layer.axis is None:
        return ()
    return layer.axis if isinstance(layer.axis, tuple) else (layer.axis,)
