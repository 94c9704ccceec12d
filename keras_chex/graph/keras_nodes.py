"""Keras' private graph, scopes and raw operations, behind a small surface.

With `keras_swap.py` this is all that touches private parts of Keras, so that a
change inside Keras is met in one place.
"""

import contextlib
import dataclasses
import importlib

import keras
import numpy as np
from keras.src.activations import activations as raw_activations
from keras.src.backend.common import global_state
from keras.src.backend.common.variables import AutocastScope
from keras.src.models.functional import Functional
from keras.src.ops import core as raw_core
from keras.src.ops import image as raw_image
from keras.src.ops import linalg as raw_linalg
from keras.src.ops import math as raw_math
from keras.src.ops import nn as raw_nn
from keras.src.ops import numpy as raw_numpy
from keras.src.saving import serialization_lib
from keras.src.utils.naming import to_snake_case


@dataclasses.dataclass(frozen=True)
class NodeCall:
    """One call of one operation in the graph of a functional model."""

    operation: object
    inputs: tuple
    outputs: tuple
    arguments: object
    ignored: tuple = ()

    def fill_in(self, tensors):
        """Returns `(args, kwargs)` with tensors replaced by `tensors[id]`."""
        args, kwargs = self.arguments.fill_in(tensors)
        if self.ignored:
            kwargs = {k: v for k, v in kwargs.items() if k not in self.ignored}
        return args, kwargs

    @property
    def constants(self):
        """Arguments, or entries of list arguments, that are not tensors."""
        found = []
        for value in (*self.arguments.args, *self.arguments.kwargs.values()):
            leaves = keras.tree.flatten(value)
            others = [x for x in leaves if not is_symbolic(x)]
            found += [value] if len(others) == len(leaves) else others
        return tuple(found)


def is_symbolic(value):
    """Tells whether a value is a symbolic tensor."""
    return isinstance(value, keras.KerasTensor)


def renewed(value):
    """A symbolic tensor without a history; anything else as it is."""
    if not is_symbolic(value):
        return value
    return keras.KerasTensor(value.shape, value.dtype, sparse=value.sparse)


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
            calls.append(_call_of(node))
    return calls


def _call_of(node):
    return NodeCall(
        node.operation,
        tuple(node.input_tensors),
        tuple(node.output_tensors),
        node.arguments,
    )


def call_of(function, tensors):
    """The `NodeCall` of a function of `keras.ops` on symbolic tensors."""
    output = function(*tensors)
    return _call_of(output._keras_history.operation._inbound_nodes[-1])


def run_graph(functional, inputs):
    """Calls all operations of a functional graph on other inputs."""
    return functional._run_through_graph(inputs)


def recorded_calls(outputs, inputs, owner, named=True):
    """Lists the calls that lead from symbolic inputs to outputs.

    Args:
        outputs: list of symbolic tensors.
        inputs: list of symbolic tensors.
        owner: str, name of the layer whose code was called.
        named: bool, whether raw operations among them get names that do not
            depend on what was traced before.

    Returns:
        Tuple of `NodeCall`, producers before consumers.
    """
    done = {id(tensor) for tensor in inputs}
    nodes, entered, stack = [], set(), [(t, None) for t in reversed(outputs)]
    while stack:
        tensor, node = stack.pop()
        if node is not None:
            nodes.append(node)
            done.update(id(output) for output in node.outputs)
            continue
        if id(tensor) in done:
            continue
        history = getattr(tensor, "_keras_history", None)
        if history is None or history.operation is None:
            raise ValueError(f"'{owner}' uses a tensor from elsewhere")
        node = history.operation._inbound_nodes[history.node_index]
        if id(node) not in entered:
            entered.add(id(node))
            stack.append((tensor, node))
            stack += [(t, None) for t in reversed(node.input_tensors)]
    if named:
        _name_raw_operations(nodes)
    return tuple(map(_call_of, nodes))


def _name_raw_operations(nodes):
    counts = {}
    for node in nodes:
        operation = node.operation
        if isinstance(operation, keras.layers.Layer):
            continue
        stem = to_snake_case(type(operation).__name__)
        number = counts[stem] = counts.get(stem, -1) + 1
        operation.name = f"{stem}_{number}" if number else stem


@contextlib.contextmanager
def unrecorded(layers):
    """Takes back what calls on symbolic tensors leave behind in layers."""
    operations = {id(x): x for x in layers}
    for inner in list(operations.values()):
        for operation in getattr(inner, "_operations", ()):
            operations[id(operation)] = operation
    lengths = [
        (o, len(o._inbound_nodes), len(o._outbound_nodes))
        for o in operations.values()
    ]
    names = global_state.get_global_attribute("object_name_uids")
    kept = None if names is None else names.copy()
    try:
        with keras.StatelessScope():
            yield
    finally:
        for operation, inbound, outbound in lengths:
            del operation._inbound_nodes[inbound:]
            del operation._outbound_nodes[outbound:]
        if kept is not None:
            global_state.set_global_attribute("object_name_uids", kept)


def sublayers(layer):
    """Lists the layers that a layer holds itself."""
    return list(getattr(layer, "_layers", ()))


# Attributes in which Keras lists the weights that a layer holds itself.
STORES = ("_trainable_variables", "_non_trainable_variables")


def own_weights(layer):
    """Lists the weights that a layer holds itself, not through sub-layers."""
    return [weight for store in STORES for weight in getattr(layer, store)]


def is_code_of_keras(operation):
    """Tells whether what a layer computes is written by Keras, or here."""
    code = type(operation).call.__module__
    return code.startswith(("keras.", "keras_chex."))


def simple_attributes(operation):
    """What tells raw operations of one class apart, as text."""
    return repr(
        {
            name: value
            for name, value in vars(operation).items()
            if name[0] != "_" and name != "name"
        }
    )


def input_layer(tensor):
    """Returns the `InputLayer` that made a model input."""
    return tensor._keras_history.operation


def new_input(tensor, name=None):
    """Makes an input like one of another model, by default of its name."""
    history = getattr(tensor, "_keras_history", None)
    layer = history.operation if history else None
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        name=name or layer.name,
        optional=getattr(layer, "optional", False),
    )


def input_structure(model):
    """Returns the nested structure of inputs the user gave the model."""
    return (getattr(model, "_functional", None) or model)._inputs_struct


def output_structure(model):
    """Returns the nested structure of outputs the user gave the model."""
    return functional_graph(model)._outputs_struct


def raw_operation(name):
    """Returns the class behind a raw `keras.ops` function, None if unknown.

    >>> raw_operation("Add").__name__
    'Add'
    """
    modules = (raw_numpy, raw_nn, raw_core, raw_image, raw_math, raw_linalg)
    for module in (*modules, raw_activations):
        found = getattr(module, name, None)
        if found is not None:
            return found
    return None


def application_layer(module, name):
    """Returns a layer class that a module of `keras.applications` defines.

    >>> application_layer("convnext", "LayerScale").__name__
    'LayerScale'
    """
    module = importlib.import_module(f"keras.src.applications.{module}")
    return getattr(module, name)


def full_precision():
    """A scope in which variables are read in their own dtype."""
    return AutocastScope(None)


def trusted_code():
    """A scope in which Keras runs the Python code that configs hold."""
    return serialization_lib.SafeModeScope(safe_mode=False)


def scoped_objects():
    """What the `custom_object_scope` that is open has, by name."""
    return global_state.get_global_attribute("custom_objects_scope_dict", {})


def deserialize(config, custom_objects=None):
    """Deserialises as safely as the loading that is under way asks for."""
    return keras.saving.deserialize_keras_object(
        config,
        custom_objects=custom_objects,
        safe_mode=serialization_lib.in_safe_mode() is not False,
    )


def read_variable(variable):
    """The value of a variable as an array; of a mirrored one, the first.

    The array is for reading: on TensorFlow it shares the variable's memory
    where it can. Keras would copy twice, and an exploration step reads the
    weights of a large network several times.
    """
    with full_precision():
        tensor = keras.ops.convert_to_tensor(variable)
        if keras.backend.backend() != "tensorflow":
            return keras.ops.convert_to_numpy(tensor)
        import tensorflow as tf

        tensor = tf.convert_to_tensor(tensor)
    try:
        return np.asarray(memoryview(tensor))
    except (TypeError, ValueError):  # A type that only TensorFlow knows.
        return tensor.numpy()


def sync_state(model):
    """Hands variables the values that training on JAX keeps from them.

    Between the steps of an epoch they have none there; `fit` goes on with what
    they hold after this. Other backends do nothing.
    """
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()


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


@contextlib.contextmanager
def undrawn():
    """Yields a function that spares layers to draw their initial values.

    Until the scope ends their initialisers give zeros. For layers that get the
    values of others before they are used.
    """
    swapped = []

    def spare(layer):
        for name, value in list(vars(layer).items()):
            if isinstance(value, keras.initializers.Initializer):
                vars(layer)[name] = keras.initializers.Zeros()
                swapped.append((layer, name, value))
        return layer

    try:
        yield spare
    finally:
        for layer, name, value in swapped:
            vars(layer)[name] = value


def all_layers(model):
    """Lists a model and all layers inside it, at any depth."""
    return list(model._flatten_layers())
