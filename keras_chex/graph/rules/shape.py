"""Rules of what moves channels to another axis: flatten, reshape, transpose."""

import math

import keras
import numpy as np

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.keras_nodes import raw_operation
from keras_chex.graph.rule import Rule, register_rule


def merged(ids, axis, shape, target):
    """Follows channel ids through a reshape that splits no channel axis.

    Args:
        ids: int array, channels along `axis` of the input.
        axis: int, without the batch axis.
        shape: tuple, input shape without the batch axis.
        target: tuple, output shape without the batch axis.

    Returns:
        `(ids, axis)` of the output, or None where the channel axis is split or
        a needed size is unknown.

    >>> merged(np.array([7, 8]), 1, (2, 2), (4,))
    (array([7, 8, 7, 8]), 0)
    >>> merged(np.array([7, 8]), 0, (2,), (1, 1, 2))
    (array([7, 8]), 2)
    >>> merged(np.array([7, 8]), 0, (2,), (2, 1)) is None
    False
    """
    for out in reversed(range(len(target))):
        after = _product(target[out + 1 :])
        if after is None or target[out] is None:
            return None
        for last in range(axis, len(shape)):
            if _product(shape[last + 1 :]) != after:
                continue
            for first in range(axis, -1, -1):
                block = shape[first : last + 1]
                if _product(block) == target[out]:
                    steps = [1] * len(block)
                    steps[axis - first] = len(ids)
                    spread = np.broadcast_to(ids.reshape(steps), block)
                    return spread.reshape(-1), out
    return None


def _product(sizes):
    return None if None in sizes else math.prod(sizes)


@register_rule(keras.layers.Flatten)
class FlattenRule(Rule):
    """Positions in the order of the layer's own data format."""

    def flow(self, call):
        tensor, shape = call.inputs[0], call.input_shapes[0][1:]
        if not isinstance(tensor, Channels):
            return [tensor]
        axis = tensor.axis - 1
        if call.layer.data_format == "channels_first":
            shape = (*shape[1:], shape[0])
            axis = (axis - 1) % len(shape)
        found = merged(tensor.ids, axis, shape, (_product(shape),))
        if found is None:
            return call.barrier(f"'{call.name}' flattens an unknown size")
        return [Channels(found[0], 1)]


@register_rule(keras.layers.Reshape, raw_operation("Reshape"))
class ReshapeRule(Rule):
    """Channels keep an axis of their own, or merge with their neighbours.

    A target with the number of channels baked in gets a stand-in that infers
    this one size, so that it fits any width.
    """

    def flow(self, call):
        tensor = call.inputs[0]
        shape, target = call.input_shapes[0], call.output_shapes[0]
        if not isinstance(tensor, Channels):
            return [tensor]
        found = None
        if shape[0] == target[0] and tensor.axis > 0:
            found = merged(tensor.ids, tensor.axis - 1, shape[1:], target[1:])
        if found is None:
            return call.barrier(f"'{call.name}' reshapes across channels")
        ids, axis = found
        call.stand_in = self._flexible(call.layer, axis, target[1:])
        if call.stand_in is not None:
            call.sides["in"] = tensor.ids
        elif not self._is_flexible(call.layer, axis):
            return call.barrier(f"'{call.name}' has a size that is not fixed")
        return [Channels(ids, axis + 1)]

    def _flexible(self, layer, axis, target):
        if self._is_flexible(layer, axis):
            return None
        sizes = [-1 if i == axis else n for i, n in enumerate(target)]
        if None in sizes:
            return None
        return keras.layers.Reshape(sizes, name=layer.name)

    def _is_flexible(self, layer, axis):
        is_layer = isinstance(layer, keras.layers.Layer)
        return is_layer and layer.target_shape[axis] == -1


@register_rule(keras.layers.Permute, raw_operation("Transpose"))
class TransposeRule(Rule):
    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor]
        if isinstance(call.layer, keras.layers.Permute):
            order = [0, *call.layer.dims]
        else:
            order = call.layer.axes or reversed(range(rank))
        order = [axis % rank for axis in order]
        if order[0] != 0:
            return call.barrier(f"'{call.name}' moves the batch axis")
        return [Channels(tensor.ids, order.index(tensor.axis))]


@register_rule(*map(raw_operation, ("Mean", "Max", "Min", "Sum")))
class ReduceRule(Rule):
    """A reduction over space; one over the channels is a barrier."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor]
        axes = call.layer.axis
        axes = range(rank) if axes is None else np.atleast_1d(axes) % rank
        if tensor.axis in axes:
            return call.barrier(f"'{call.name}' reduces over the channels")
        if call.layer.keepdims:
            return [tensor]
        gone = sum(int(axis) < tensor.axis for axis in axes)
        return [Channels(tensor.ids, tensor.axis - gone)]
