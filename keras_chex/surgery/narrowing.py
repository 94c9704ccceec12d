"""Builds a plain model with only some channels of another, weights included."""

import collections
import inspect

import keras
import numpy as np

from keras_chex.graph.keras_nodes import (
    copy_state,
    functional_graph,
    input_layer,
    input_structure,
    new_input,
    output_structure,
    read_variable,
    remake,
    trusted,
    walk,
)


def narrow_model(model, selection):
    """Makes a new plain model with the channels of a selection.

    Nested models are flattened; their layers keep their names where these do
    not repeat, and are called `outer_inner` where they do.

    Args:
        model: a functional or Sequential model, plain or wrapped.
        selection: a `Selection` of the graph read from `model`.

    Returns:
        A new functional `keras.Model`, not compiled.
    """
    functional = functional_graph(model)
    with trusted():
        return _narrow(model, functional, selection)


def _narrow(model, functional, selection):
    builder = _Builder(selection)
    builder.names.update(input_layer(x).name for x in functional.inputs)
    tensors = {id(tensor): new_input(tensor) for tensor in functional.inputs}
    walk(functional, tensors, builder.visit)
    inputs, outputs = (
        keras.tree.map_structure(lambda t: tensors[id(t)], structure)
        for structure in (input_structure(model), output_structure(model))
    )
    builder.load()
    return keras.Model(inputs, outputs, name=model.name)


class _Builder:
    def __init__(self, selection):
        self.selection = selection
        self.operations = {
            id(op.layer): op for op in selection.graph.operations
        }
        self.made = {}
        self.names = set()
        self.repeats = collections.Counter(
            op.layer.name for op in selection.graph.operations
        )

    def visit(self, node, tensors, path):
        """Calls the new operation as the old one was called."""
        new = self.new(node.operation, "".join(f"{name}_" for name in path))
        args, kwargs = node.fill_in(tensors)
        return keras.tree.flatten(new(*args, **_accepted(new, kwargs)))

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
            self.made[id(layer)] = remake(kind, config)
        return self.made[id(layer)]

    def _config(self, op):
        config = dict(op.inner.get_config())
        if not op.weights:
            return config
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
            if op.weights and op.stand_in is None:
                self._load_narrow(op, new)
            elif isinstance(new, keras.layers.Layer) and op.stand_in is None:
                copy_state(op.inner, new)

    def _load_narrow(self, op, new):
        indices = {
            side: self.selection.positions(ids)
            for side, ids in op.sides.items()
        }
        for name, axes in op.weights.items():
            value = read_variable(getattr(op.inner, name))
            for axis, role in axes.items():
                places = role.positions(indices[role.side])
                value = np.take(value, places, axis=axis)
            getattr(new, name).assign(value)


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
    if not isinstance(initializer, dict):
        return False
    value = initializer.get("config", {}).get("value")
    return value is not None and not isinstance(value, (int, float))
