"""Finds out which sizes the user's code fixes, by running it narrower.

Code that was opened may say `x.shape[-1] // 2` or `32`, and both look alike
once they were traced. So it is traced again with half of the channels: what
comes out at the expected width adapts, and the rest must keep its channels.
"""

import math

import keras
import numpy as np

from keras_chex.graph.batch_size import with_batch
from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.flattening import flat_calls
from keras_chex.graph.keras_nodes import is_symbolic
from keras_chex.graph.rule import rule_for
from keras_chex.graph.trace import merge
from keras_chex.graph.tracing import record

# After so many failures of one piece of code, all that it may fix is fixed.
PATIENCE = 3


class Trial:
    """Tries narrower widths on the code of a program, again and again.

    Args:
        program: a `Program`.
    """

    def __init__(self, program):
        self.program = program
        self._failures = {}

    def fixed(self, graph, tensors, known=()):
        """What must keep its channels.

        Args:
            graph: the `ChannelGraph` as far as it is known.
            tensors: dict from the number of a tensor to its `Channels`.
            known: ids of operations that keep them already.

        Returns:
            Dict from `id(operation)` to the reason; nothing that is not known
            if all code adapts.
        """
        openings = self.program.openings
        if not openings:
            return {}
        groups = [_groups_in(o, self.program, graph, tensors) for o in openings]
        found, first = {}, True
        for chosen in _choices(graph):
            widths = _Widths(self.program, graph, tensors, chosen)
            for opening, inside in zip(openings, groups, strict=True):
                # Only some of them, or it was tried before.
                if first or not (inside <= chosen or inside.isdisjoint(chosen)):
                    found.update(self._fixed_by(opening, graph, widths))
            if found.keys() - set(known):
                break
            first = False
        return found

    def _fixed_by(self, opening, graph, widths):
        calls = self.program.calls[opening.first : opening.last]
        owner = f"the code of '{opening.layer.name}'"
        again = self._run(opening, calls, widths)
        if isinstance(again, str):
            return self._after_failure(opening, calls, graph, owner)
        numbers = dict(zip(opening.inputs, range(len(calls)), strict=False))
        apart = self._openings_inside(opening)
        pairs = zip(calls, again, strict=False)
        for place, (one, other) in enumerate(pairs, opening.first):
            given = [numbers.get(number) for number in one.inputs]
            if not _is_same(one, other) or given != list(other.inputs):
                break
            numbers.update(zip(one.outputs, other.outputs, strict=True))
            if any(part.first <= place < part.last for part in apart):
                continue
            if one.is_code and not widths.agree(one, other):
                operation = one.node.operation
                reason = f"{owner} fixes a size in '{operation.name}'"
                return {id(operation): reason}
        if len(calls) == len(again) == sum(map(_is_same, calls, again)):
            return {}
        return _close(calls, f"{owner} does something else when narrower")

    def _openings_inside(self, opening):
        """Those in functional models that the code calls, tried alone.

        The models are not run narrower with the code around them.
        """
        return [
            other
            for other in self.program.openings
            if other is not opening
            and opening.first <= other.first
            and other.last <= opening.last
        ]

    def _run(self, opening, calls, widths):
        """The calls of the code at other widths, or why it fails."""
        fresh = [widths.tensor(number) for number in opening.inputs]
        if opening.batch is not None:
            # Inner models hold the batch size that they were built with.
            fresh = [with_batch(tensor, opening.batch) for tensor in fresh]
        args, kwargs = opening.fill_in(fresh)
        reads = [
            record(
                opening.layer,
                args,
                kwargs,
                mode,
                _specs(opening, calls, widths),
            )
            for mode in opening.modes
        ]
        read = merge(*reads) if len(reads) > 1 else reads[0]
        return read if isinstance(read, str) else flat_calls(read)

    def _after_failure(self, opening, calls, graph, owner):
        """Blames operations that may hold a size, then all of the code."""
        rewritten = {id(o.layer) for o in graph.operations if o.stand_in}
        suspects = [
            call.node.operation
            for call in calls
            if call.is_code and id(call.node.operation) in rewritten
        ]
        count = self._failures.get(id(opening), 0) + 1
        self._failures[id(opening)] = count
        if not suspects:
            return _close(calls, f"{owner} fails when narrower")
        if count < PATIENCE:
            suspects = suspects[:1]
        return {
            id(operation): f"{owner} fixes a size in '{operation.name}'"
            for operation in suspects
        }


def _groups_in(opening, program, graph, tensors):
    """Names of the groups that code meets and that can lose channels."""
    numbers = set(opening.inputs)
    for call in program.calls[opening.first : opening.last]:
        numbers.update(call.outputs)
    known = [tensors.get(number) for number in numbers]
    ids = [tensor.ids for tensor in known if isinstance(tensor, Channels)]
    units = graph.unit_of[np.concatenate(ids).astype(int)] if ids else []
    return {
        graph.groups[group].name
        for group in set(graph.group_of[units].tolist())
        if group >= 0 and not graph.groups[group].frozen
    }


def _choices(graph):
    """Which groups are tried at half of their width, time after time.

    All of them; then only some, because code may work out a size from another
    group: attention that divides the width of its input by the number of heads
    is right as long as both have the same share.
    """
    groups = [group for group in graph.groups if not group.frozen]
    everything = {group.name for group in groups}
    inside = {group.name for group in groups if len(group.producers) == 1}
    every_other = {group.name for group in groups[::2]}
    chosen = [everything, inside, every_other]
    return [x for i, x in enumerate(chosen) if x and x not in chosen[:i]]


def _close(calls, reason):
    return {id(call.node.operation): reason for call in calls}


def _is_same(one, other):
    if not (one.is_code and other.is_code):
        return one.node.operation is other.node.operation
    return type(one.node.operation) is type(other.node.operation)


def _specs(opening, calls, widths):
    """For every layer that the code calls: the outputs of call after call."""
    queues = {}
    for call in calls:
        if call.owner is not None and not call.is_code:
            layer = call.node.operation
            queues.setdefault(id(layer), (layer, []))[1].append(call.outputs)
    for layer, outputs in opening.models:
        queues.setdefault(id(layer), (layer, []))[1].append(outputs)
    return {
        key: _spec(layer, iter(outputs), widths)
        for key, (layer, outputs) in queues.items()
    }


def _spec(layer, outputs, widths):
    def spec(*args, **kwargs):
        batch = args[0].shape[0] if args and is_symbolic(args[0]) else None
        made = [widths.tensor(number, batch) for number in next(outputs)]
        if len(made) == 1:
            return made[0]
        like = type(layer).compute_output_spec(layer, *args, **kwargs)
        return keras.tree.pack_sequence_as(like, made)

    return spec


class _Widths:
    """Shapes of all tensors when half of some groups is active."""

    def __init__(self, program, graph, tensors, chosen):
        self._program = program
        self._tensors = tensors
        self._graph = graph
        self._units = graph.active_units(
            {
                group.name: np.arange(group.size) < math.ceil(group.size / 2)
                for group in graph.groups
                if group.name in chosen
            }
        )

    def shape(self, number):
        shape = list(self._program.tensors[number].shape)
        known = self._tensors.get(number)
        if isinstance(known, Channels):
            units = self._graph.unit_of[known.ids]
            shape[known.axis] = int(self._units[units].sum())
        return tuple(shape)

    def tensor(self, number, batch=None):
        """A symbolic tensor; inner models leave their batch size open."""
        full, shape = self._program.tensors[number], self.shape(number)
        if shape and shape[0] is None:
            shape = (batch, *shape[1:])
        return keras.KerasTensor(shape, full.dtype)

    def agree(self, one, other):
        """Whether an operation made the shapes that were expected.

        The batch may be open in one and known in the other.
        """
        if not rule_for(one.node.operation).tells_shape:
            return True
        made = [tuple(tensor.shape[1:]) for tensor in other.node.outputs]
        return made == [self.shape(number)[1:] for number in one.outputs]
