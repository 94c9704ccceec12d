"""Lays calls out flat, as nested models and the code of layers make them."""

import dataclasses

import keras

from keras_chex.graph.keras_nodes import (
    call_of,
    functional_graph,
    is_model,
    node_calls,
    raw_operation,
    renewed,
)
from keras_chex.graph.rule import rule_for
from keras_chex.graph.trace import Trace, only_computes
from keras_chex.graph.tracing import must_be_opened, trace_graph, trace_node

_GET_ITEM = raw_operation("GetItem")


@dataclasses.dataclass(frozen=True)
class FlatCall:
    """One call of a layer or raw operation that is not opened further.

    Attributes:
        node: its `NodeCall`.
        path: tuple of names of the models and layers it happens in.
        inputs: tuple of ints, numbers of the tensors that go in.
        outputs: tuple of ints, numbers of the tensors that come out.
        owner: the layer whose Python code makes the call; None where the graph
            of a functional model does.
        is_code: bool, whether Python code makes the operation itself, which
            can then not be replaced.
        closed: why the code of a layer could not be read, or None.
        source: the layer that the operation was read from, and that can be
            replaced by it; or None.
    """

    node: object
    path: tuple
    inputs: tuple
    outputs: tuple
    owner: object = None
    is_code: bool = False
    closed: str | None = None
    source: object = None

    def fill_in(self, values):
        """`(args, kwargs)` of the call, with tensors taken by their number."""
        pairs = zip(self.node.inputs, self.inputs, strict=True)
        return self.node.fill_in({id(t): values[key] for t, key in pairs})


@dataclasses.dataclass(frozen=True)
class Opening:
    """A call of a layer whose code was opened, not inside of another one.

    Attributes:
        layer: the layer or model.
        fill_in: function from new input tensors to `(args, kwargs)`.
        inputs: tuple of ints, numbers of the tensors that go in.
        first, last: where its calls are in the program, `last` not included.
        models: tuple of `(functional model, numbers of its outputs)` that the
            code calls, one per call.
        batch: int or None, the batch size it was read with.
        modes: tuple of bools, the values of `training` it was read with.
    """

    layer: object
    fill_in: object
    inputs: tuple
    first: int
    last: int
    models: tuple
    batch: int | None
    modes: tuple


@dataclasses.dataclass(frozen=True)
class Kept:
    """A call of a layer that is code and nothing else, beside what was read.

    Attributes:
        call: `FlatCall` of the layer itself.
        first, last: where what it does is in the program, `last` not included.
    """

    call: FlatCall
    first: int
    last: int


def flat_calls(read):
    """The calls of a `Trace`, flat; its inputs have the numbers from 0.

    It may be one with fewer channels, of which models inside know nothing.
    """
    flat = Flattener(read.inputs, as_built=True)
    flat.run_code(read, range(len(read.inputs)), ())
    return flat.calls


class Flattener:
    """Collects calls in the order of execution, and numbers their tensors.

    Args:
        inputs: symbolic tensors, which get the numbers from 0.
        as_built: bool, whether functional models are taken at the sizes that
            they were built with, whatever they are called on.
    """

    def __init__(self, inputs, as_built=False):
        self._as_built = as_built
        self.calls = []
        self.opened = {}
        self.openings = []
        self.kept = []
        self.tensors = list(inputs)
        self._models = []
        self._modes = set()
        self._slices = {}

    def open(self, layer, read, fill_in, given, path, owner=None):
        """Adds the calls of a layer's code."""
        self.opened[id(layer)] = layer
        first, models = len(self.calls), self._models
        if owner is None:
            self._models, self._modes = [], {False}
        known = self.run_code(read, given, path)
        if owner is None:
            last, found = len(self.calls), tuple(self._models)
            self._models = models
            self.openings.append(
                Opening(
                    layer,
                    fill_in,
                    tuple(given),
                    first,
                    last,
                    found,
                    read.inputs[0].shape[0],
                    tuple(sorted(self._modes)),
                )
            )
        return known

    def run_code(self, read, given, path):
        """Adds what the code of a layer does; in both modes if they differ."""
        known = _paired(read.inputs, given)
        self.run(read.calls, known, path, read.layer, read)
        if read.training is None:
            return known
        self._modes.add(True)
        other = _paired(read.training.inputs, given)
        self.run(read.training.calls, other, path, read.layer, read.training)
        for tensor, in_training in zip(
            read.outputs, read.training.outputs, strict=True
        ):
            pair = known[id(tensor)], other[id(in_training)]
            if pair[0] != pair[1]:
                known[id(tensor)] = self._tie(pair, tensor, path, read.layer)
        return known

    def _tie(self, pair, tensor, path, owner):
        """Says that two tensors have the same channels."""
        node = call_of(keras.ops.maximum, [renewed(tensor) for _ in pair])
        (number,) = self._add(node, pair, path, owner, is_code=True)
        return number

    def run(self, nodes, known, path, owner=None, trace=None):
        """Adds calls; `known` maps symbolic tensors to their numbers."""
        for position, node in enumerate(nodes):
            given = tuple(known[id(tensor)] for tensor in node.inputs)
            outputs = self._call(node, given, path, owner, trace, position)
            for tensor, number in zip(node.outputs, outputs, strict=True):
                known[id(tensor)] = number

    def _call(self, node, given, path, owner, trace, position):
        layer, inside = node.operation, None
        read = trace.inner.get(position) if trace else None
        held = trace.held if trace else ()
        if is_model(layer) and functional_graph(layer) is not None:
            inside = self._at_sizes(layer, given)
            known = _paired(inside.inputs, given)
            trace = inside if isinstance(inside, Trace) else None
            calls = trace.calls if trace else node_calls(inside)
            self.run(calls, known, (*path, layer.name), None, trace)
            outputs = [known[id(tensor)] for tensor in inside.outputs]
            if owner is not None:
                self._models.append((layer, outputs))
            return outputs
        if must_be_opened(layer):
            read = read or trace_node(node)
            if isinstance(read, Trace) and _fits(read, node):
                if owner is None and _is_slice(read):
                    return self._add_slice(read, given, path)
                inner = (*path, layer.name)
                fill_in = _node_filler(node)
                first = len(self.calls)
                known = self.open(layer, read, fill_in, given, inner, owner)
                outputs = [known[id(tensor)] for tensor in read.outputs]
                if only_computes(layer) and not _can_be_written(read, owner):
                    call = FlatCall(node, path, given, tuple(outputs), owner)
                    self.kept.append(Kept(call, first, len(self.calls)))
                return outputs
            if isinstance(read, Trace):
                read = "is called with masks, or other tensors than it gets"
            if rule_for(layer).tries:
                read = None  # The rule has a reason of its own.
        is_code = owner is not None and id(layer) not in held
        return self._add(node, given, path, owner, is_code, read)

    def _add_slice(self, read, given, path):
        """Adds a lambda as the one operation that it is."""
        (call,), layer = read.calls, read.layer
        operation = self._slices.setdefault(id(layer), call.operation)
        operation.name = layer.name
        node = dataclasses.replace(call, operation=operation)
        return self._add(node, given, path, source=layer)

    def _at_sizes(self, model, given):
        """The graph of a functional model; read anew for inputs of other sizes.

        Code may call a `Sequential` with other sizes than it was built for.
        """
        graph = functional_graph(model)
        tensors = [self.tensors[number] for number in given]
        if self._as_built or all(map(_has_size_of, tensors, graph.inputs)):
            return graph
        read = trace_graph(model, tensors)
        return read if isinstance(read, Trace) else graph

    def _add(
        self,
        node,
        given,
        path,
        owner=None,
        is_code=False,
        closed=None,
        source=None,
    ):
        count = len(self.tensors)
        outputs = tuple(range(count, count + len(node.outputs)))
        self.tensors += node.outputs
        self.calls.append(
            FlatCall(node, path, given, outputs, owner, is_code, closed, source)
        )
        return outputs


def _is_slice(read):
    """Whether a lambda takes a part of its input, and does nothing else."""
    if type(read.layer) is not keras.layers.Lambda or read.training is not None:
        return False
    (first, *others), given = read.calls or (None,), read.inputs
    return (
        not others
        and isinstance(getattr(first, "operation", None), _GET_ITEM)
        and list(map(id, first.inputs)) == list(map(id, given))
        and first.outputs[0] is read.outputs[0]
        and not _holds_array(first)
    )


def _can_be_written(read, owner):
    """Whether a lambda that code calls can be written as what it computes.

    On its own it could not be loaded: its function may need what it was made
    in.
    """
    return (
        owner is not None
        and isinstance(read.layer, keras.layers.Lambda)
        and read.training is None
        and not any(map(_holds_array, read.calls))
    )


def _holds_array(node):
    return any(hasattr(value, "shape") for value in node.constants)


def _has_size_of(tensor, other):
    pairs = zip(tensor.shape[1:], other.shape[1:], strict=False)
    return all(size == known or None in (size, known) for size, known in pairs)


def _paired(tensors, numbers):
    pairs = zip(tensors, numbers, strict=True)
    return {id(tensor): number for tensor, number in pairs}


def _node_filler(node):
    def fill_in(tensors):
        pairs = zip(node.inputs, tensors, strict=True)
        return node.fill_in({id(old): new for old, new in pairs})

    return fill_in


def _fits(read, node):
    return len(read.inputs) == len(node.inputs) and len(read.outputs) == len(
        node.outputs
    )
