"""A model as a flat list of calls, nested models and blocks opened."""

import dataclasses
import inspect

import keras

from keras_chex.graph.flattening import Flattener
from keras_chex.graph.keras_nodes import (
    all_layers,
    functional_graph,
    input_layer,
    input_structure,
    node_calls,
    output_structure,
    renewed,
)
from keras_chex.graph.rule import rule_for
from keras_chex.graph.tracing import trace


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
        kept: tuple of `Kept`, in the order of execution.
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
    kept: tuple
    by_name: bool = False

    def executed(self):
        """Yields the calls that a model makes, in inference.

        Where `calls` has what the code of a layer does that only computes,
        this has the call of the layer.
        """
        done = 0
        for kept in self.kept:
            yield from self.calls[done : kept.first]
            yield kept.call
            done = kept.last
        yield from self.calls[done:]


def read_program(model):
    """Flattens a built model.

    Returns:
        A `Program`; or a str, why the model's code cannot be read.
    """
    functional = functional_graph(model)
    if functional is None:
        return _program_of_code(model)
    flat = Flattener(functional.inputs)
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
        kept=tuple(flat.kept),
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
    flat = Flattener(given)
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
        kept=tuple(flat.kept),
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


def _filler(args, kwargs, given):
    """A function that puts other tensors into the same arguments."""

    def fill_in(tensors):
        pairs = zip(given, tensors, strict=True)
        new = {id(old): tensor for old, tensor in pairs}
        return keras.tree.map_structure(
            lambda x: new.get(id(x), x), (args, kwargs)
        )

    return fill_in


def closed_sublayers(program):
    """Ids of the layers that run inside of layers that were not opened."""
    return {
        id(inner)
        for call in program.calls
        if call.closed
        for inner in all_layers(call.node.operation)
        if not rule_for(inner).is_wrapper
    }
