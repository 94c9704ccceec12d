"""The one file that touches Keras' private graph, scopes and raw operations.

Everything else in the package works with the small, stable surface below, so
that a change inside Keras is met in one place.
"""

import contextlib
import dataclasses
import inspect

import keras
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import AutocastScope
from keras.src.models.functional import Functional
from keras.src.ops import nn as raw_nn
from keras.src.ops import numpy as raw_numpy
from keras.src.ops.function import map_graph
from keras.src.ops.node import KerasHistory
from keras.src.saving import serialization_lib


@dataclasses.dataclass(frozen=True)
class NodeCall:
    """One call of one operation in the graph of a functional model."""

    operation: object
    inputs: tuple
    outputs: tuple
    arguments: object

    def fill_in(self, tensors):
        """Returns `(args, kwargs)` with tensors replaced by `tensors[id]`."""
        return self.arguments.fill_in(tensors)

    @property
    def constants(self):
        """Arguments, or entries of list arguments, that are not tensors."""
        found = []
        for value in (*self.arguments.args, *self.arguments.kwargs.values()):
            leaves = keras.tree.flatten(value)
            others = [x for x in leaves if not _is_symbolic(x)]
            found += [value] if len(others) == len(leaves) else others
        return tuple(found)


def _is_symbolic(value):
    return isinstance(value, keras.KerasTensor)


def functional_graph(model):
    """Returns the `Functional` that runs `model`, or None if there is none.

    A built `Sequential` runs a functional graph of its own. A model class that
    overrides `call` computes something else than its graph says, so it has
    none either.
    """
    if isinstance(model, keras.Sequential):
        if type(model).call is not keras.Sequential.call:
            return None
        return getattr(model, "_functional", None)
    if isinstance(model, Functional) and type(model).call is Functional.call:
        return model
    return None


def is_model(operation):
    """Tells whether an operation of a graph is itself a model."""
    return isinstance(operation, keras.Model)


def node_calls(functional):
    """Lists the calls of a functional graph, producers before consumers."""
    calls = []
    nodes_by_depth = functional._nodes_by_depth
    for depth in sorted(nodes_by_depth, reverse=True):
        for node in nodes_by_depth[depth]:
            if node.operation is None or node.is_input:
                continue
            calls.append(
                NodeCall(
                    node.operation,
                    tuple(node.input_tensors),
                    tuple(node.output_tensors),
                    node.arguments,
                )
            )
    return calls


def input_layer(tensor):
    """Returns the `InputLayer` that made a model input."""
    return tensor._keras_history.operation


def walk(functional, tensors, visit, path=()):
    """Visits every call of a graph, those of nested models in their place.

    Args:
        functional: a functional graph.
        tensors: dict from `id(symbolic tensor)` to anything, filled in for the
            inputs; the walk adds what `visit` returns for the outputs.
        visit: `visit(node_call, tensors, path)` returns a value per output.
        path: tuple of names of the nested models that the graph is inside of.
    """
    for node in node_calls(functional):
        model = node.operation
        inner = functional_graph(model) if is_model(model) else None
        if inner is None:
            outputs = visit(node, tensors, path)
        else:
            own = {
                id(mine): tensors[id(given)]
                for mine, given in zip(inner.inputs, node.inputs, strict=True)
            }
            walk(inner, own, visit, (*path, model.name))
            outputs = [own[id(tensor)] for tensor in inner.outputs]
        for tensor, output in zip(node.outputs, outputs, strict=True):
            tensors[id(tensor)] = output


def new_input(tensor):
    """Makes an input like one of another model, of the same name."""
    layer = input_layer(tensor)
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        name=layer.name,
        optional=getattr(layer, "optional", False),
    )


def input_structure(model):
    """Returns the nested structure of inputs the user gave the model."""
    return functional_graph(model)._inputs_struct


def output_structure(model):
    """Returns the nested structure of outputs the user gave the model."""
    return functional_graph(model)._outputs_struct


def raw_operation(name):
    """Returns the class behind a raw `keras.ops` function, None if unknown.

    >>> raw_operation("Add").__name__
    'Add'
    """
    for module in (raw_numpy, raw_nn):
        found = getattr(module, name, None)
        if found is not None:
            return found
    return None


def full_precision():
    """A scope in which variables are read in their own dtype."""
    return AutocastScope(None)


def trusted():
    """A scope for copying what is in memory, Python lambdas included."""
    return serialization_lib.SafeModeScope(safe_mode=False)


def deserialize(config, custom_objects=None):
    """Deserialises as safely as the loading that is under way asks for."""
    return keras.saving.deserialize_keras_object(
        config,
        custom_objects=custom_objects,
        safe_mode=serialization_lib.in_safe_mode() is not False,
    )


def remake(kind, config):
    """Makes a layer or raw operation of a class from a config.

    Raw operations of Keras before 3.11 name themselves in their config but do
    not take a name.
    """
    parameters = inspect.signature(kind.__init__).parameters
    if issubclass(kind, keras.layers.Layer) or "name" in parameters:
        return kind.from_config(config)
    config = dict(config)
    name = config.pop("name", None)
    operation = kind.from_config(config)
    if name is not None:
        operation.name = name
    return operation


def read_variable(variable):
    """The value of a variable as an array; of a mirrored one, the first."""
    with full_precision():
        return keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(variable))


@contextlib.contextmanager
def without_values():
    """Lets variables be created in name only: no value, no memory.

    For layers that are only ever called with supplied weights.
    """
    pending = global_state.get_global_attribute(
        "uninitialized_variables", [], set_to_default=True
    )
    before = len(pending)
    with keras.StatelessScope(initialize_variables=False):
        yield
    del pending[before:]


def is_plain_functional(model):
    """Tells whether a model is of Keras' own class, nothing overridden."""
    return type(model) is Functional


def all_layers(model):
    """Lists a model and all layers inside it, at any depth."""
    return list(model._flatten_layers())


def copy_state(source, target):
    """Copies all variables between two models of the same structure."""
    pairs = zip(source._flatten_layers(), target._flatten_layers(), strict=True)
    for old, new in pairs:
        store = {}
        old.save_own_variables(store)
        new.load_own_variables(store)


def replace_layers(model, replacements):
    """Swaps layers of a model for others, in place, wherever they appear.

    Args:
        model: a functional or Sequential model, possibly nesting others.
        replacements: dict from `id(old operation)` to the new layer. The new
            layer takes over every call of the old one.
    """
    functional = functional_graph(model)
    for operation in functional.operations:
        if is_model(operation):
            if functional_graph(operation) is not None:
                replace_layers(operation, replacements)
                _accept_any_width(operation)
        elif id(operation) in replacements:
            _take_over_calls(operation, replacements[id(operation)])
    (
        functional._nodes,
        functional._nodes_by_depth,
        functional._operations,
        functional._operations_by_depth,
    ) = map_graph(functional._inputs, functional._outputs)
    for owner in {id(m): m for m in (model, functional)}.values():
        _replace_attributes(owner, replacements)


def _accept_any_width(model):
    """Lets a nested model be called with fewer channels than it was made for.

    A Sequential model does not check its input.
    """
    if isinstance(model, Functional):
        model.input_spec = [
            keras.layers.InputSpec(ndim=len(tensor.shape))
            for tensor in model.inputs
        ]


def _take_over_calls(old, new):
    new._inbound_nodes = old._inbound_nodes
    new._outbound_nodes = old._outbound_nodes
    old._inbound_nodes, old._outbound_nodes = [], []
    for index, node in enumerate(new._inbound_nodes):
        node.operation = new
        for position, tensor in enumerate(node.outputs):
            tensor._keras_history = KerasHistory(new, index, position)


def _replace_attributes(owner, replacements):
    tracker = owner._tracker
    stored = tracker.config["layers"][1]
    for index, layer in enumerate(list(stored)):
        new = replacements.get(id(layer))
        if new is not None:
            stored[index] = new
            tracker.stored_ids["layers"].discard(id(layer))
            tracker.stored_ids["layers"].add(id(new))
    for operation in getattr(owner, "_operations", ()):
        # Raw operations that became layers were not in the store.
        if id(operation) in map(id, replacements.values()):
            tracker.track(operation)
    for name, value in list(vars(owner).items()):
        swapped = _swap(value, replacements)
        if swapped is not value:
            object.__setattr__(owner, name, swapped)


def _swap(value, replacements):
    """Swaps layers in an attribute: bare, or in lists, dicts and tuples."""
    if isinstance(value, list):
        for index, item in enumerate(list(value)):
            swapped = _swap(item, replacements)
            if swapped is not item:
                value[index] = swapped
        return value
    if isinstance(value, dict):
        for key, item in list(value.items()):
            swapped = _swap(item, replacements)
            if swapped is not item:
                value[key] = swapped
        return value
    if type(value) is tuple:
        swapped = tuple(_swap(item, replacements) for item in value)
        same = all(a is b for a, b in zip(swapped, value, strict=True))
        return value if same else swapped
    if isinstance(value, keras.Operation):
        return replacements.get(id(value), value)
    return value
