"""Swaps layers inside of a Keras model: in its graph and in attributes."""

import contextlib

import keras
from keras.src.models.functional import Functional
from keras.src.ops.function import map_graph
from keras.src.ops.node import KerasHistory
from keras.src.utils.tracking import TrackedDict, TrackedList

from keras_chex.graph.keras_nodes import all_layers, functional_graph

# Where a functional model keeps an `input_spec` that was set.
_SPEC = "_manual_input_spec"


def replace_layers(model, replacements):
    """Swaps layers of a model for others, in place, wherever they appear.

    Args:
        model: a model, possibly nesting others and layers with sub-layers.
        replacements: dict from `id(old operation)` to `(old operation, new
            layer)`. The new layer takes over every call of the old one.
    """
    for old, new in replacements.values():
        _take_over_calls(old, new)
    new_layers = {key: new for key, (_, new) in replacements.items()}
    for owner in all_layers(model):
        if id(owner) in replacements:
            continue
        functional = getattr(owner, "_functional", None) or owner
        if isinstance(functional, Functional):
            (
                functional._nodes,
                functional._nodes_by_depth,
                functional._operations,
                functional._operations_by_depth,
            ) = map_graph(functional._inputs, functional._outputs)
        for holder in {id(m): m for m in (owner, functional)}.values():
            _replace_attributes(holder, new_layers)
            if owner is not model and isinstance(holder, Functional):
                accept_any_width(holder)


def accept_any_width(layer):
    """Lets a nested model or block be called with fewer channels."""
    if isinstance(layer, Functional):
        layer.input_spec = [
            keras.layers.InputSpec(ndim=len(tensor.shape))
            for tensor in layer.inputs
        ]
    else:
        layer.input_spec = loosened(layer.input_spec)


def loosened(spec):
    """An `input_spec` without sizes; code may read the rest of it."""
    return keras.tree.map_structure(
        lambda one: (
            keras.layers.InputSpec(
                dtype=one.dtype,
                ndim=one.ndim,
                max_ndim=one.max_ndim,
                min_ndim=one.min_ndim,
            )
            if isinstance(one, keras.layers.InputSpec)
            else one
        ),
        spec,
    )


@contextlib.contextmanager
def any_size(layers):
    """A scope in which functional models take inputs of any size.

    Code may call them so: Keras compares sizes of symbolic tensors alone.
    """
    found = {id(g): g for g in map(functional_graph, layers) if g is not None}
    graphs = list(found.values())
    before = [vars(graph).get(_SPEC) for graph in graphs]
    for graph in graphs:
        accept_any_width(graph)
    try:
        yield
    finally:
        for graph, spec in zip(graphs, before, strict=True):
            if spec is None:
                delattr(graph, _SPEC)
            else:
                graph.input_spec = spec


def add_layer(owner, name, layer):
    """Gives a built layer another sub-layer, as its attribute `name`."""
    tracker = owner._tracker
    locked = tracker.locked
    tracker.unlock()
    setattr(owner, name, layer)
    if locked:
        tracker.lock()


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
    # A lambda may have become a raw operation.
    stored[:] = [x for x in stored if isinstance(x, keras.layers.Layer)]
    new_ids = {id(new) for new in replacements.values()}
    for operation in getattr(owner, "_operations", ()):
        # Raw operations that became layers were not in the store.
        if id(operation) in new_ids:
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
                _set_item(value, index, swapped)
        return value
    if isinstance(value, dict):
        for key, item in list(value.items()):
            swapped = _swap(item, replacements)
            if swapped is not item:
                _set_item(value, key, swapped)
        return value
    if type(value) is tuple:
        swapped = tuple(_swap(item, replacements) for item in value)
        same = all(a is b for a, b in zip(swapped, value, strict=True))
        return value if same else swapped
    if isinstance(value, keras.Operation):
        return replacements.get(id(value), value)
    return value


def _set_item(container, key, value):
    if isinstance(container, TrackedList):
        # Keras locks the lists and dicts of built layers.
        list.__setitem__(container, key, value)
    elif isinstance(container, TrackedDict):
        dict.__setitem__(container, key, value)
    else:
        container[key] = value
