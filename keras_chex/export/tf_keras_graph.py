"""Reads the graph of a functional model, of Keras 3 or of `tf_keras`.

All that touches private parts of `tf_keras` is here.
"""

import dataclasses

import keras

from keras_chex.graph.keras_nodes import (
    functional_graph,
    input_structure,
    node_calls,
    output_structure,
)


@dataclasses.dataclass(frozen=True)
class Graph:
    """The calls of a model, producers before consumers.

    Attributes:
        inputs: nested structure of symbolic tensors.
        outputs: likewise.
        calls: objects with `operation`, `outputs` and `fill_in`.
    """

    inputs: object
    outputs: object
    calls: tuple


@dataclasses.dataclass(frozen=True)
class _LegacyCall:
    """One call of one layer of a `tf_keras` model."""

    operation: object
    arguments: tuple
    outputs: tuple

    def fill_in(self, tensors):
        """Returns `(args, kwargs)` with tensors replaced by `tensors[id]`."""
        return keras.tree.map_structure(
            lambda x: tensors.get(id(x), x), self.arguments
        )


def graph_of(model, side):
    """Reads a model.

    Args:
        model: a model of `side`.
        side: a `Side`.

    Raises:
        ValueError: If it is not built, or no plain graph of layers.
    """
    read = _graph if side.is_keras_3 else _legacy_graph
    graph = read(model)
    if graph is None:
        raise ValueError(
            "Argument `model` must be a built functional or Sequential model. "
            f"Received: '{model.name}' of class {type(model).__name__}. Call a "
            "Sequential model on data first; a model with a `call` of its own "
            "must be built anew as `Model(inputs, outputs)`."
        )
    return graph


def _graph(model):
    functional = functional_graph(model)
    if functional is None:
        return None
    return Graph(
        input_structure(model),
        output_structure(model),
        tuple(node_calls(functional)),
    )


def _legacy_graph(model):
    import tf_keras

    kinds = (tf_keras.Sequential, tf_keras.models.Model)
    own_call = type(model).call not in (
        tf_keras.Sequential.call,
        _legacy_functional().call,
    )
    if own_call or not isinstance(model, kinds) or not model._is_graph_network:
        return None
    by_depth = model._nodes_by_depth
    calls = tuple(
        _LegacyCall(
            node.layer,
            (node.call_args, node.call_kwargs),
            tuple(keras.tree.flatten(node.outputs)),
        )
        for depth in sorted(by_depth, reverse=True)
        for node in by_depth[depth]
        if not node.is_input
    )
    inputs = getattr(model, "_nested_inputs", model.inputs)
    outputs = getattr(model, "_nested_outputs", model.outputs)
    return Graph(inputs, outputs, calls)


def _legacy_functional():
    import tf_keras

    made = tf_keras.Input((1,))
    return type(tf_keras.Model(made, made))


def new_inputs(graph, side):
    """Makes inputs of `side` like those of a graph; a dict by their `id`."""
    made = {}
    for tensor in keras.tree.flatten(graph.inputs):
        name = _input_name(tensor)
        shape = tuple(tensor.shape)
        dtype = getattr(tensor.dtype, "name", tensor.dtype)
        if side.is_keras_3:
            made[id(tensor)] = keras.Input(
                batch_shape=shape, dtype=dtype, name=name
            )
        else:
            made[id(tensor)] = side.library.Input(
                shape[1:], batch_size=shape[0], dtype=dtype, name=name
            )
    return made


def _input_name(tensor):
    history = tensor._keras_history
    layer = getattr(history, "operation", None) or history.layer
    return layer.name
