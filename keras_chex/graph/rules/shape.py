"""Rules of what moves channels to another axis: flatten, reshape, transpose."""

import math

import keras
import numpy as np

from keras_chex.graph.batch_size import BATCH
from keras_chex.graph.channel_ids import Channels, Opaque
from keras_chex.graph.keras_nodes import raw_operation
from keras_chex.graph.relative import RelativeReshape
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


def split_axes(axis, shape, target):
    """Finds the axes that one axis is split into.

    Returns:
        `slice` of the target, or None where the axis is no product of its
        own.

    >>> split_axes(2, (4, 4, 6), (4, 4, 2, 3))
    slice(2, 4, None)
    """
    before, after = _product(shape[:axis]), _product(shape[axis + 1 :])
    for first in range(len(target)):
        for last in range(first + 1, len(target) + 1):
            sides = _product(target[:first]), _product(target[last:])
            if sides == (before, after) and None not in sides:
                if _product(target[first:last]) == shape[axis]:
                    return slice(first, last)
    return None


def regrouped(ids, axis, shape, target):
    """Follows channel ids through a reshape of all axes, the batch too.

    The sizes from some axis on must be known and have the same product, so
    that only what lies before them is divided anew.

    Args:
        ids: int array, channels along `axis` of the input.
        axis: int.
        shape, target: tuples, with the batch axis.

    Returns:
        `(ids, axis)` of the output, or None where the channels do not come
        out along one axis.

    >>> regrouped(np.array([7, 8]), 2, (None, 4, 2), (None, 2, 2, 2))
    (array([7, 8]), 3)
    >>> regrouped(np.array([7, 8]), 2, (None, 3, 2), (None, 6))
    (array([7, 8, 7, 8, 7, 8]), 1)
    """
    for first in range(axis, 0, -1):
        block = shape[first:]
        for start in range(len(target) - 1, 0, -1):
            if None in block or None in target[start:]:
                continue
            if math.prod(block) != math.prod(target[start:]):
                continue
            steps = [1] * len(block)
            steps[axis - first] = len(ids)
            table = np.broadcast_to(ids.reshape(steps), block)
            table = table.reshape(target[start:])
            for place in range(table.ndim):
                lines = np.moveaxis(table, place, -1)
                lines = lines.reshape(-1, table.shape[place])
                if len(lines[0]) > 1 and (lines == lines[0]).all():
                    return lines[0], start + place
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


@register_rule(keras.layers.Reshape, raw_operation("Reshape"), RelativeReshape)
class ReshapeRule(Rule):
    """Channels keep an axis of their own, or merge with their neighbours.

    A target with the number of channels baked in gets a stand-in that infers
    this one size, so that it fits any width. Where the batch axis is divided
    anew, as attention in windows does, the size follows that of the input.
    """

    def flow(self, call):
        outputs = self._follow(call)
        if call.stand_in is None:
            self._forget_batch(call)
        return outputs

    def keep(self, call, reason):
        outputs = super().keep(call, reason)
        self._forget_batch(call)
        return outputs

    def _follow(self, call):
        tensor = call.inputs[0]
        shape, target = call.input_shapes[0], call.output_shapes[0]
        if not isinstance(tensor, Channels):
            return [tensor]
        if tensor.batch is None:
            found = merged(tensor.ids, tensor.axis, shape, target)
            return self._relative(call, found, None)
        found = None
        if self._keeps_batch(call.layer, shape, target) and tensor.axis > 0:
            place = tensor.axis - 1
            found = merged(tensor.ids, place, shape[1:], target[1:])
            found = found or self._split(call, place, shape[1:], target[1:])
        if found is None:
            return self._with_batch(call, shape, target)
        ids, axis = found
        stand_in = self._flexible(call.layer, axis, target[1:])
        if stand_in is not None:
            call.replace(stand_in, tensor.ids)
        elif not self._is_flexible(call.layer, axis):
            return call.barrier(f"'{call.name}' has a size that is not fixed")
        return [Channels(ids, axis + 1)]

    def _with_batch(self, call, shape, target):
        """A reshape of all axes, the batch axis too."""
        tensor, found = call.inputs[0], None
        if tensor.batch == 0 < tensor.axis:
            found = regrouped(tensor.ids, tensor.axis, shape, target)
        return self._relative(call, found, 0)

    def _relative(self, call, found, batch):
        """Lets the size of the channels follow that of the input."""
        tensor, layer = call.inputs[0], call.layer
        newshape = getattr(layer, "newshape", None)
        if found is None or not _is_fixed(newshape):
            return call.barrier(f"'{call.name}' reshapes across channels")
        ids, axis = found
        if not isinstance(layer, RelativeReshape) and newshape[axis] != -1:
            count = len(tensor.ids)
            layer = RelativeReshape(
                tensor.axis, count, newshape, axis, name=layer.name
            )
        if isinstance(layer, RelativeReshape):
            call.replace(layer, tensor.ids)
        return [Channels(ids, axis, batch)]

    def _keeps_batch(self, layer, shape, target):
        """Tells whether no example takes from another one."""
        if isinstance(layer, keras.layers.Layer) or self._names_batch(
            layer, shape
        ):
            return True
        sizes = _product(shape[1:]), _product(target[1:])
        return (
            shape[0] == target[0] and None not in sizes and sizes[0] == sizes[1]
        )

    def _names_batch(self, layer, shape):
        """Whether the target begins with the batch size that code is read with.

        Then as many examples come out, in order. The output of a model inside
        of code has an open batch size.
        """
        sizes = getattr(layer, "newshape", None)
        if not (_is_fixed(sizes) and sizes and shape):
            return False
        return sizes[0] == (BATCH if shape[0] is None else shape[0])

    def _forget_batch(self, call):
        """Code that was read with a batch size may have it in the target."""
        tensor, layer = call.inputs[0], call.layer
        is_weight = isinstance(tensor, Channels) and tensor.batch is None
        if is_weight or isinstance(layer, RelativeReshape):
            return
        if self._names_batch(layer, call.input_shapes[0]):
            target = layer.newshape[1:]
            stand_in = keras.layers.Reshape(target, name=layer.name)
            call.replace(stand_in, np.zeros(0, int))

    def _split(self, call, axis, shape, target):
        """Channels that become several axes: the longest one can shrink.

        Along the others all must lose the same channels, so one of each stands
        for all.
        """
        run = split_axes(axis, shape, target)
        if run is None:
            return None
        sizes = target[run]
        longest = max(range(len(sizes)), key=lambda i: (sizes[i], i))
        table = call.inputs[0].ids.reshape(sizes)
        lines = np.moveaxis(table, longest, -1).reshape(-1, sizes[longest])
        if sizes[longest] == 1:
            return None
        call.ids.tie_all(lines)
        return lines[0], run.start + longest

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


def _is_fixed(newshape):
    return isinstance(newshape, (list, tuple)) and all(
        isinstance(size, int) for size in newshape
    )


def _order(layer, rank):
    """Where the axes of the output come from, for any of the four."""
    if isinstance(layer, keras.layers.Permute):
        return [0, *layer.dims]
    order = list(range(rank))
    if isinstance(layer, raw_operation("Swapaxes")):
        one, other = layer.axis1 % rank, layer.axis2 % rank
        order[one], order[other] = order[other], order[one]
        return order
    if isinstance(layer, raw_operation("Moveaxis")):
        moved = list(
            np.moveaxis(np.empty(order), layer.source, layer.destination).shape
        )
        return moved
    return [axis % rank for axis in layer.axes or reversed(order)]


@register_rule(
    keras.layers.Permute,
    *map(raw_operation, ("Transpose", "Swapaxes", "Moveaxis")),
)
class TransposeRule(Rule):
    finds_batch = True

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor]
        order = _order(call.layer, rank)
        batch = None if tensor.batch is None else order.index(tensor.batch)
        return [Channels(tensor.ids, order.index(tensor.axis), batch)]


@register_rule(*map(raw_operation, ("ExpandDims", "Squeeze")))
class AxisOfOneRule(Rule):
    """Axes of size one come or go."""

    def flow(self, call):
        tensor, layer = call.inputs[0], call.layer
        if not isinstance(tensor, Channels):
            return [tensor]
        before, after = call.input_shapes[0], call.output_shapes[0]
        axes = layer.axis
        if len(after) > len(before):
            new = {int(axis) % len(after) for axis in np.atleast_1d(axes)}
            kept = [i for i in range(len(after)) if i not in new]
            return [Channels(tensor.ids, kept[tensor.axis])]
        if axes is None:
            axes = [i for i, size in enumerate(before) if size == 1]
        gone = {int(axis) % len(before) for axis in np.atleast_1d(axes)}
        if tensor.axis in gone or 0 in gone:
            return call.barrier(f"'{call.name}' removes the channel axis")
        kept = [i for i in range(len(before)) if i not in gone]
        return [Channels(tensor.ids, kept.index(tensor.axis))]


_REDUCTIONS = (
    "Mean Max Min Sum Prod Var Std Amax Amin Logsumexp Median Any All Moments "
    "Nanmax Nanmean Nanmin Nanprod Nanstd Nansum Nanvar Norm"
).split()
_known_reductions = [
    op for op in map(raw_operation, _REDUCTIONS) if op is not None
]


@register_rule(*_known_reductions)
class ReduceRule(Rule):
    """Over space, channels stay; over channels, of those that are there.

    As in a normalisation over the channels, any number of them will do, in any
    order, and the result has none.
    """

    finds_batch = True

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        outputs = len(call.output_shapes)
        if not isinstance(tensor, Channels):
            return [tensor] * outputs
        is_moments = isinstance(call.layer, raw_operation("Moments"))
        axes = call.layer.axes if is_moments else call.layer.axis
        axes = range(rank) if axes is None else np.atleast_1d(axes) % rank
        if tensor.axis in axes:
            reason = f"'{call.name}' takes all channels together"
            return [Opaque(reason)] * outputs
        if tensor.batch and tensor.batch in axes:
            return call.barrier(f"'{call.name}' takes all examples together")
        if call.layer.keepdims:
            return [tensor] * outputs
        places = [
            place and place - sum(int(axis) < place for axis in axes)
            for place in (tensor.axis, tensor.batch)
        ]
        return [Channels(tensor.ids, *places)] * outputs
