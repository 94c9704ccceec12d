"""Rules of what brings tensors together: by element, or side by side."""

import itertools

import keras
import numpy as np

from keras_chex.graph.channel_ids import Channels, Opaque
from keras_chex.graph.keras_nodes import is_symbolic, raw_operation
from keras_chex.graph.rule import Rule, register_rule

_RAW_JOINS = (
    "Multiply Divide DivideNoNan TrueDivide FloorDivide Maximum "
    "Minimum Power Mod Arctan2 Hypot Logaddexp Logaddexp2 Fmax Fmin Fmod "
    "Greater GreaterEqual Less LessEqual Equal NotEqual Isclose Heaviside "
    "LogicalAnd LogicalOr LogicalXor Where"
).split()
_known_joins = [op for op in map(raw_operation, _RAW_JOINS) if op is not None]
_known_sums = [
    op for op in map(raw_operation, ("Add", "Subtract")) if op is not None
]


def _extent(shape, rank, axis):
    """Size along `axis` of the broadcast result, 1 where the axis is new."""
    own = axis - (rank - len(shape))
    return shape[own] if own >= 0 else 1


@register_rule(
    keras.layers.Multiply,
    keras.layers.Maximum,
    keras.layers.Minimum,
    *_known_joins,
)
class JoinRule(Rule):
    """Channels that meet are one.

    Shapes are aligned from the right. An operand with one channel is shared
    by all channels of the others: it ties nothing and must stay.
    """

    is_elementwise = True

    def flow(self, call):
        rank = len(call.output_shapes[0])
        first, axis = None, None
        for tensor, shape in zip(call.inputs, call.input_shapes, strict=True):
            if not isinstance(tensor, Channels):
                continue
            aligned = tensor.axis + rank - len(shape)
            if len(tensor.ids) == call.output_shapes[0][aligned]:
                if first is None:
                    first, axis = tensor.ids, aligned
        if first is None:
            return self._without_channels(call)
        for tensor, shape in zip(call.inputs, call.input_shapes, strict=True):
            self._meet(call, first, axis, rank, tensor, shape)
        for constant in call.constants:
            if _extent(np.shape(constant), rank, axis) != 1:
                call.ids.freeze(first, f"'{call.name}' holds a constant array")
        return [Channels(first, axis)]

    def _meet(self, call, first, axis, rank, tensor, shape):
        extent = _extent(shape, rank, axis)
        if isinstance(tensor, Opaque):
            if extent != 1:
                reason = f"'{call.name}' joins it with others: {tensor.reason}"
                call.ids.freeze(first, reason)
        elif tensor.axis + rank - len(shape) != axis:
            reason = f"'{call.name}' joins different axes"
            call.ids.freeze(first, reason)
            call.ids.freeze(tensor.ids, reason)
        elif extent == len(first):
            call.ids.tie(first, tensor.ids)
        else:
            call.ids.freeze(
                tensor.ids, f"'{call.name}' shares it between all channels"
            )

    def _without_channels(self, call):
        for tensor in call.inputs:
            if isinstance(tensor, Channels):
                call.ids.freeze(
                    tensor.ids, f"'{call.name}' shares it between all channels"
                )
        pairs = zip(call.inputs, call.input_shapes, strict=True)
        hidden = [(len(s), t.reason) for t, s in pairs if isinstance(t, Opaque)]
        # A number beside a tensor is not why its channels are unknown.
        hidden.sort(key=lambda pair: -pair[0])
        return [Opaque(hidden[0][1] if hidden else f"'{call.name}'")]


@register_rule(
    keras.layers.Add,
    keras.layers.Subtract,
    keras.layers.Average,
    *_known_sums,
)
class SumRule(JoinRule):
    """Channels that meet are one, and make a residual stream."""

    def flow(self, call):
        (outputs,) = super().flow(call)
        if isinstance(outputs, Channels):
            call.ids.add_up(outputs.ids)
        return [outputs]


@register_rule(raw_operation("Stack"))
class StackRule(Rule):
    """Equal tensors along an axis of their own, perhaps before the batch."""

    def flow(self, call):
        known = [t for t in call.inputs if isinstance(t, Channels)]
        if not known:
            return [call.inputs[0]]
        same = all(tensor.axis == known[0].axis for tensor in known)
        if not same or any(np.ndim(constant) for constant in call.constants):
            return call.barrier(f"'{call.name}' stacks different arrays")
        old = known[0].axis
        parts = [call.read(old, i) for i in range(len(call.inputs))]
        call.ids.tie_all(parts)
        axis = call.layer.axis % len(call.output_shapes[0])
        return [Channels(parts[0], old + (axis <= old), int(axis == 0))]


@register_rule(keras.layers.Concatenate, raw_operation("Concatenate"))
class ConcatenateRule(Rule):
    """Side by side along the channels, or along another axis."""

    def flow(self, call):
        axis = call.layer.axis % len(call.output_shapes[0])
        known = [t for t in call.inputs if isinstance(t, Channels)]
        if not known:
            return [call.inputs[0]]
        if all(t.axis == axis for t in known):
            parts = self._parts(call, axis)
            return [Channels(np.concatenate(parts), axis)]
        if any(np.ndim(constant) for constant in call.constants):
            return call.barrier(f"'{call.name}' holds a constant array")
        shared = known[0].axis
        if shared == axis:
            return call.barrier(f"'{call.name}' joins different axes")
        parts = [call.read(shared, i) for i in range(len(call.inputs))]
        call.ids.tie_all(parts)
        return [Channels(parts[0], shared)]

    def _parts(self, call, axis):
        """Ids of everything that stands side by side, arrays too."""
        numbers = itertools.count()
        reason = f"'{call.name}' holds them as an array"
        return [
            call.read(axis, next(numbers))
            if is_symbolic(entry)
            else call.frozen(np.shape(entry)[axis], reason)
            for entry in call.entries
        ]
