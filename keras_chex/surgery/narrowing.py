"""Builds a plain model with only some channels of another, weights included."""

import inspect

import keras
import numpy as np
from keras import ops

from keras_chex.graph.copies import copy_state
from keras_chex.graph.duplicates import made_again
from keras_chex.graph.keras_functions import trusted
from keras_chex.graph.keras_nodes import new_input, read_variable, undrawn
from keras_chex.graph.keras_random import copy_generators
from keras_chex.graph.own_weights import OwnWeight
from keras_chex.graph.remaking import config_of, remake
from keras_chex.graph.rule import weight_of
from keras_chex.surgery.naming import Names, Steps
from keras_chex.surgery.substitutes import row_of, substitute, table_of


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
        graph = selection.graph
        self.selection = selection
        self.spare = spare
        self.operations = {id(op.layer): op for op in graph.operations}
        self.made = {}
        self.code = {}
        self.names = Names(
            [op.layer.name for op in graph.operations],
            graph.program.input_names,
        )

    def visit(self, call, tensors):
        """Calls the new operation as the old one was called."""
        layer = call.node.operation
        prefix = "".join(f"{name}_" for name in call.path)
        args, kwargs = call.fill_in(self._as_called(call, tensors, prefix))
        op = self.operations.get(id(layer))
        if op is None:
            new = self.kept(layer, prefix)
            return keras.tree.flatten(new(*args, **_accepted(new, kwargs)))
        steps = Steps(self.names, prefix, layer.name)
        if isinstance(op.inner, OwnWeight):
            return [self.own_weight(op, args[0], steps)]
        outputs = substitute(op, call, (args, kwargs), tensors[0], steps)
        if outputs is not None:
            return outputs
        new = self.new(layer, prefix)
        return keras.tree.flatten(new(*args, **_accepted(new, kwargs)))

    def _as_called(self, call, tensors, prefix):
        """Casts what the layer around a raw operation would have cast."""
        values, steps = {}, Steps(self.names, prefix)
        for tensor, number in zip(call.node.inputs, call.inputs, strict=True):
            value, dtype = tensors[number], tensor.dtype
            if call.owner is not None and value.dtype != dtype:
                value = steps.apply(
                    lambda x, to=dtype: ops.cast(x, to), value, "cast"
                )
            values[number] = value
        return values

    def kept(self, layer, prefix):
        """The new layer for one that is code and nothing else."""
        if id(layer) not in self.code:
            new = made_again(layer)
            new.name = self.names.unique(layer.name, prefix)
            self.code[id(layer)] = layer, new
        return self.code[id(layer)][1]

    def new(self, layer, prefix):
        """The new operation for an old one, made at its first call."""
        if id(layer) not in self.made:
            op = self.operations[id(layer)]
            if op.stand_in is not None:
                config, kind = op.stand_in.get_config(), type(op.stand_in)
            else:
                config, kind = self._config(op), type(op.inner)
            config["name"] = self.names.unique(layer.name, prefix)
            new = self.made[id(layer)] = self.spare(remake(kind, config))
            if op.weights:
                self._build(op, new)
        return self.made[id(layer)]

    def own_weight(self, op, tensor, steps):
        """A weight that the user's code holds itself."""
        value = self._narrow(op, "weight", op.inner.weight)
        if id(op.layer) not in self.made:
            name = steps.name(op.layer.name)
            self.made[id(op.layer)] = table_of(op, value.size, name)
        return row_of(self.made[id(op.layer)], value.shape, tensor, steps)

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
