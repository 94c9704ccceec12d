"""Builds a plain model with only some channels of another, weights included."""

import collections
import inspect

import keras
import numpy as np
from keras import ops

from keras_chex.graph.constants import Constant
from keras_chex.graph.copies import copy_state
from keras_chex.graph.keras_functions import trusted
from keras_chex.graph.keras_nodes import (
    call_of,
    new_input,
    read_variable,
    recorded_calls,
    undrawn,
)
from keras_chex.graph.keras_random import copy_generators
from keras_chex.graph.own_weights import OwnWeight
from keras_chex.graph.remaking import config_of, remake
from keras_chex.graph.rule import weight_of
from keras_chex.graph.tracing import copies_examples


def narrow_model(model, selection):
    """Makes a new plain model with the channels of a selection.

    Nested models are flattened; their layers keep their names where these do
    not repeat, and are called `outer_inner` where they do.

    Args:
        model: a model, plain or wrapped.
        selection: a `Selection` of the graph read from `model`.

    Returns:
        A new functional `keras.Model`, not compiled.
    """
    with trusted(model), undrawn() as spare:
        return _narrow(model, selection, spare)


def _narrow(model, selection, spare):
    program = selection.graph.program
    builder = _Builder(selection, spare)
    builder.names.update(program.input_names)
    pairs = zip(program.inputs, program.input_names, strict=True)
    tensors = {i: new_input(*pair) for i, pair in enumerate(pairs)}
    given = {id(x): tensors[i] for i, x in enumerate(program.inputs)}
    for call in program.executed():
        outputs = builder.visit(call, tensors)
        tensors.update(zip(call.outputs, outputs, strict=True))
    inputs = keras.tree.map_structure(
        lambda t: given[id(t)], program.input_structure
    )
    outputs = keras.tree.map_structure(
        lambda number: tensors[number], program.output_structure
    )
    builder.load()
    return keras.Model(inputs, outputs, name=model.name)


class _Builder:
    def __init__(self, selection, spare):
        self.selection = selection
        self.spare = spare
        self.operations = {
            id(op.layer): op for op in selection.graph.operations
        }
        self.made = {}
        self.code = {}
        self.names = set()
        self.repeats = collections.Counter(
            op.layer.name for op in selection.graph.operations
        )

    def visit(self, call, tensors):
        """Calls the new operation as the old one was called."""
        prefix = "".join(f"{name}_" for name in call.path)
        args, kwargs = call.fill_in(self._as_called(call, tensors, prefix))
        op = self.operations.get(id(call.node.operation))
        if op is None:
            new = self.kept(call.node.operation, prefix)
            return keras.tree.flatten(new(*args, **_accepted(new, kwargs)))
        if isinstance(op.inner, OwnWeight):
            return [self.own_weight(op, args[0], prefix)]
        if isinstance(op.layer, Constant):
            value = op.layer.value
            zero = self._zero(op, args[0], prefix, value.dtype.name)
            return [
                self._step(lambda x: ops.add(x, value), zero, op, prefix, "sum")
            ]
        if copies_examples(call.node):
            return [self.for_all_examples(op, args[0], tensors[0], prefix)]
        if hasattr(op.stand_in, "plain"):
            new, args = op.stand_in.plain(*args, **kwargs)
            new.name = self.unique(call.node.operation.name, prefix)
            return keras.tree.flatten(new(*args))
        rewritten = op.rule.rewritten(op.layer, args, kwargs)
        if rewritten is not None:
            given = [tensors[number] for number in call.inputs]
            for step in recorded_calls(rewritten, given, op.layer.name):
                name = f"{op.layer.name}_{step.operation.name}"
                step.operation.name = self.unique(name, prefix)
            return rewritten
        new = self.new(call.node.operation, prefix)
        return keras.tree.flatten(new(*args, **_accepted(new, kwargs)))

    def _as_called(self, call, tensors, prefix):
        """Casts what the layer around a raw operation would have cast."""
        values = {}
        for tensor, number in zip(call.node.inputs, call.inputs, strict=True):
            value, dtype = tensors[number], tensor.dtype
            if call.owner is not None and value.dtype != dtype:
                value = self._named(
                    lambda x, to=dtype: ops.cast(x, to), value, "cast", prefix
                )
            values[number] = value
        return values

    def kept(self, layer, prefix):
        """The new layer for one that is code and nothing else."""
        if id(layer) not in self.code:
            config = {
                **config_of(layer),
                "name": self.unique(layer.name, prefix),
            }
            self.code[id(layer)] = layer, remake(type(layer), config)
        return self.code[id(layer)][1]

    def unique(self, name, prefix):
        """The name itself, or with the path before it if it repeats."""
        if self.repeats[name] > 1 or name in self.names:
            name = prefix + name
        free, number = name, 1
        while free in self.names:
            free, number = f"{name}_{number}", number + 1
        self.names.add(free)
        return free

    def new(self, layer, prefix):
        """The new operation for an old one, made at its first call."""
        if id(layer) not in self.made:
            op = self.operations[id(layer)]
            if op.stand_in is not None:
                config, kind = op.stand_in.get_config(), type(op.stand_in)
            else:
                config, kind = self._config(op), type(op.inner)
            config["name"] = self.unique(layer.name, prefix)
            new = self.made[id(layer)] = self.spare(remake(kind, config))
            if op.weights:
                self._build(op, new)
        return self.made[id(layer)]

    def own_weight(self, op, tensor, prefix):
        """A weight of the user's code, as the one row of a table.

        Keras has no layer that holds a weight and nothing else.
        """
        value = self._narrow(op, "weight", op.inner.weight)
        if id(op.layer) not in self.made:
            regularizer, constraint = op.inner.terms
            table = keras.layers.Embedding(
                1,
                value.size,
                "zeros",
                embeddings_regularizer=regularizer,
                embeddings_constraint=constraint,
                name=self.unique(op.layer.name, prefix),
                trainable=op.inner.weight.trainable,
                dtype=op.inner.dtype_policy,
            )
            self.made[id(op.layer)] = table
        row = self.made[id(op.layer)](self._zero(op, tensor, prefix, "int32"))
        return self._step(
            lambda x: ops.reshape(x, value.shape), row, op, prefix, "shape"
        )

    def for_all_examples(self, op, tensor, given, prefix):
        """One example for each of those that a model is given."""
        rank = len(tensor.shape)
        key = (slice(None), *[0] * (len(given.shape) - 1))
        zeros = self._step(lambda x: x[key], given, op, prefix, "column")
        for name, function in (
            ("zeros", lambda x: ops.zeros_like(x, tensor.dtype)),
            ("places", lambda x: ops.reshape(x, (-1, *[1] * (rank - 1)))),
            ("copies", lambda x: ops.add(x, tensor)),
        ):
            zeros = self._step(function, zeros, op, prefix, name)
        return zeros

    def _zero(self, op, tensor, prefix, dtype):
        """A zero that is part of the graph, as constants are not."""
        first = self._step(
            lambda x: x[(0,) * len(x.shape)], tensor, op, prefix, "corner"
        )
        return self._step(
            lambda x: ops.zeros_like(x, dtype), first, op, prefix, "zero"
        )

    def _step(self, function, tensor, op, prefix, name):
        """A function of `keras.ops`, named after what it is done for."""
        return self._named(function, tensor, f"{op.layer.name}_{name}", prefix)

    def _named(self, function, tensor, name, prefix):
        node = call_of(function, [tensor])
        node.operation.name = self.unique(name, prefix)
        return node.outputs[0]

    def _build(self, op, new):
        """Builds for the widths that are known here.

        Some operations tell Keras a wrong shape of what they make (attention
        with values of another size than its keys).
        """
        shape = [None, *op.shapes[0][0][1:]]
        if "in" in op.sides:
            axis = op.inner_rule.input_axis(op.inner, len(shape))
            shape[axis] = len(self.selection.positions(op.sides["in"]))
        new.build(tuple(shape))

    def _config(self, op):
        config = dict(config_of(op.inner))
        if not op.weights:
            return config
        config = op.inner_rule.sized_config(op.inner, config, op.shapes)
        widths = {
            side: len(self.selection.positions(ids))
            for side, ids in op.sides.items()
        }
        for key, value in config.items():
            if key.endswith("_initializer") and _holds_array(value):
                config[key] = "zeros"
        return op.inner_rule.narrow_config(op.inner, config, widths)

    def load(self):
        """Fills the new layers with the weights of the old ones."""
        for key, new in self.made.items():
            op = self.operations[key]
            if isinstance(op.inner, OwnWeight):
                value = self._narrow(op, "weight", op.inner.weight)
                new.embeddings.assign(value.reshape(1, -1))
            elif op.weights and op.stand_in is None:
                for name in op.weights:
                    weight = weight_of(op.inner, name)
                    weight_of(new, name).assign(self._narrow(op, name, weight))
            elif isinstance(new, keras.layers.Layer) and op.stand_in is None:
                copy_state(op.inner, new)
                copy_generators(op.inner, new)
        for layer, new in self.code.values():
            copy_state(layer, new)
            copy_generators(layer, new)

    def _narrow(self, op, name, weight):
        """What is left of a weight: an array."""
        value = read_variable(weight)
        for axis, role in op.weights.get(name, {}).items():
            active = self.selection.positions(op.sides[role.side])
            value = np.take(value, role.positions(active), axis=axis)
        return value


def _accepted(operation, kwargs):
    """Drops what a wrapper took on behalf of a layer that does not know it."""
    known = inspect.signature(operation.call).parameters
    optional = ("training", "mask")
    return {
        name: value
        for name, value in kwargs.items()
        if name in known or name not in optional
    }


def _holds_array(initializer):
    """Tells whether an initialiser's config has the shape of the weight."""
    config = initializer.get("config") if type(initializer) is dict else None
    if not isinstance(config, dict):
        return False  # A function has a name there.
    value = config.get("value")
    return value is not None and not isinstance(value, (int, float))
