"""A model as a flat list of calls, nested models and blocks opened."""

import dataclasses
import inspect

import keras

from keras_chex.graph.keras_nodes import (
    all_layers,
    functional_graph,
    input_layer,
    input_structure,
    is_model,
    node_calls,
    output_structure,
    renewed,
)
from keras_chex.graph.rule import rule_for
from keras_chex.graph.tracing import Trace, must_be_opened, trace


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
        closed: why a layer with sub-layers was not opened, or None.
    """

    node: object
    path: tuple
    inputs: tuple
    outputs: tuple
    owner: object = None
    is_code: bool = False
    closed: str | None = None

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
    """

    layer: object
    fill_in: object
    inputs: tuple
    first: int
    last: int
    models: tuple
    batch: int | None


@dataclasses.dataclass(frozen=True)
class Program:
    """All calls of a model in the order of execution.

    Attributes:
        inputs: tuple of symbolic tensors; they have the numbers from 0.
        input_names: tuple of str, the name of each, unique.
        input_structure: the inputs as the user gives them.
        calls: tuple of `FlatCall`.
        outputs: tuple of ints, numbers of the tensors the model returns.
        output_structure: those numbers as the user gets them.
        by_name: bool, whether the inputs are keyword arguments.
        tensors: list of symbolic tensors, by their number.
        opened: tuple of the layers that were opened by tracing their code.
        openings: tuple of `Opening`.
    """

    inputs: tuple
    input_names: tuple
    input_structure: object
    calls: tuple
    outputs: tuple
    output_structure: object
    tensors: list
    opened: tuple
    openings: tuple
    by_name: bool = False


def read_program(model):
    """Flattens a built model.

    Returns:
        A `Program`; or a str, why the model's code cannot be read.
    """
    functional = functional_graph(model)
    if functional is None:
        return _program_of_code(model)
    flat = _Flattener(functional.inputs)
    known = {id(tensor): i for i, tensor in enumerate(functional.inputs)}
    flat.run(node_calls(functional), known, ())
    return Program(
        inputs=tuple(functional.inputs),
        input_names=tuple(input_layer(x).name for x in functional.inputs),
        input_structure=input_structure(functional),
        calls=tuple(flat.calls),
        outputs=tuple(known[id(tensor)] for tensor in functional.outputs),
        output_structure=_numbers(output_structure(functional), known),
        tensors=flat.tensors,
        opened=tuple(flat.opened.values()),
        openings=tuple(flat.openings),
    )


def _program_of_code(model):
    arguments = _call_arguments(model)
    if isinstance(arguments, str):
        return arguments
    args, kwargs = arguments
    read = trace(model, args, kwargs)
    if isinstance(read, str):
        return read
    structure = args[0] if args else kwargs
    given = keras.tree.flatten((args, kwargs))
    flat = _Flattener(given)
    fill_in = _filler(args, kwargs, given)
    known = flat.open(model, read, fill_in, range(len(given)), ())
    return Program(
        inputs=tuple(given),
        input_names=_input_names(structure, len(given)),
        input_structure=structure,
        calls=tuple(flat.calls),
        outputs=tuple(known[id(tensor)] for tensor in read.outputs),
        output_structure=_numbers(read.structure, known),
        tensors=flat.tensors,
        opened=tuple(flat.opened.values()),
        openings=tuple(flat.openings),
        by_name=not args,
    )


def _numbers(structure, known):
    return keras.tree.map_structure(lambda t: known[id(t)], structure)


def _call_arguments(model):
    """Symbolic arguments like those the model was built with."""
    if getattr(model, "inputs", None):
        structure = keras.tree.map_structure(renewed, input_structure(model))
        return (structure,), {}
    config = model.get_build_config() or {}
    shapes = config.get("shapes_dict")
    if shapes:
        given = {
            name.removesuffix("_shape"): _symbolic(shape, model)
            for name, shape in shapes.items()
        }
        return (), given
    if len(_required(model)) > 1:
        return (
            f"takes {', '.join(_required(model))} one by one, of which Keras "
            "records the first only: let it take one tuple or dict"
        )
    if config.get("input_shape") is None:
        return (
            "does not say what its input is like: call it once on data, or "
            "`build` it with an input shape"
        )
    return (_symbolic(config["input_shape"], model),), {}


def _required(model):
    """Names of the arguments that a call must give."""
    parameters = inspect.signature(model.call).parameters.values()
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        p.name
        for p in parameters
        if p.default is p.empty and p.kind not in kinds
    ]


def _symbolic(shapes, model):
    if isinstance(shapes, dict):
        # Keras keeps dicts of a class of its own.
        return {key: _symbolic(shape, model) for key, shape in shapes.items()}
    if any(isinstance(entry, (dict, list, tuple)) for entry in shapes):
        return [_symbolic(shape, model) for shape in shapes]
    return keras.KerasTensor((None, *shapes[1:]), model.input_dtype)


def _input_names(structure, count):
    if isinstance(structure, dict) and len(structure) == count:
        return tuple(sorted(structure))
    if count == 1:
        return ("inputs",)
    return tuple(f"inputs_{number}" for number in range(count))


def flat_calls(read, layer):
    """The calls of a `Trace`, flat; its inputs have the numbers from 0."""
    flat = _Flattener(read.inputs)
    known = {id(tensor): i for i, tensor in enumerate(read.inputs)}
    flat.run(read.calls, known, (), layer, read)
    return flat.calls


def _filler(args, kwargs, given):
    """A function that puts other tensors into the same arguments."""

    def fill_in(tensors):
        pairs = zip(given, tensors, strict=True)
        new = {id(old): tensor for old, tensor in pairs}
        return keras.tree.map_structure(
            lambda x: new.get(id(x), x), (args, kwargs)
        )

    return fill_in


class _Flattener:
    def __init__(self, inputs):
        self.calls = []
        self.opened = {}
        self.openings = []
        self.tensors = list(inputs)
        self._models = []

    def open(self, layer, read, fill_in, given, path, owner=None):
        """Adds the calls of a layer's code."""
        self.opened[id(layer)] = layer
        known = _paired(read.inputs, given)
        first, models = len(self.calls), self._models
        if owner is None:
            self._models = []
        self.run(read.calls, known, path, layer, read)
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
                )
            )
        return known

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
            inside = functional_graph(layer)
            known = _paired(inside.inputs, given)
            self.run(node_calls(inside), known, (*path, layer.name))
            outputs = [known[id(tensor)] for tensor in inside.outputs]
            if owner is not None:
                self._models.append((layer, outputs))
            return outputs
        if must_be_opened(layer):
            read = read or _trace_node(node)
            if isinstance(read, Trace) and _fits(read, node):
                inner = (*path, layer.name)
                fill_in = _node_filler(node)
                known = self.open(layer, read, fill_in, given, inner, owner)
                return [known[id(tensor)] for tensor in read.outputs]
            if isinstance(read, Trace):
                read = "is called with masks, or other tensors than it gets"
        count = len(self.tensors)
        outputs = tuple(range(count, count + len(node.outputs)))
        self.tensors += node.outputs
        is_code = owner is not None and id(layer) not in held
        self.calls.append(
            FlatCall(node, path, given, outputs, owner, is_code, read)
        )
        return outputs


def _paired(tensors, numbers):
    pairs = zip(tensors, numbers, strict=True)
    return {id(tensor): number for tensor, number in pairs}


def _trace_node(node):
    fresh = list(map(renewed, node.inputs))
    return trace(node.operation, *_node_filler(node)(fresh))


def _node_filler(node):
    def fill_in(tensors):
        pairs = zip(node.inputs, tensors, strict=True)
        return node.fill_in({id(old): new for old, new in pairs})

    return fill_in


def _fits(read, node):
    return len(read.inputs) == len(node.inputs) and len(read.outputs) == len(
        node.outputs
    )


def closed_sublayers(program):
    """Ids of the layers that run inside of layers that were not opened."""
    return {
        id(inner)
        for call in program.calls
        if call.closed
        for inner in all_layers(call.node.operation)
        if not rule_for(inner).is_wrapper
    }
