"""What one call of a layer does, in inference and in training."""

import dataclasses

import keras

from keras_chex.graph.keras_nodes import (
    is_code_of_keras,
    is_model,
    own_weights,
    simple_attributes,
    sublayers,
)
from keras_chex.graph.rule import Barrier, rule_for


@dataclasses.dataclass(frozen=True)
class Trace:
    """What one call of a layer does.

    Attributes:
        layer: the layer.
        inputs: tuple of symbolic tensors.
        calls: tuple of `NodeCall`, in the order of execution.
        outputs: tuple of symbolic tensors.
        inner: dict from the position in `calls` to what was read of the call
            of another layer with sub-layers: a `Trace`, or why there is none.
        structure: the outputs in the structure the layer returned.
        held: frozenset of the ids of all layers that the traced layer holds;
            others are made by its code, anew in every call.
        training: a `Trace` of the same call in training, where the code does
            something else then; else None.
    """

    layer: object
    inputs: tuple
    calls: tuple
    outputs: tuple
    inner: dict
    structure: object
    held: frozenset
    training: object = None


def only_computes(operation):
    """Tells whether an operation is code and nothing else.

    That is a `Lambda`, or a layer of the user's without weights and
    sub-layers, such as one that drops paths. Its code is read, but it stays
    the layer it is, also in what `strip` makes.
    """
    if not isinstance(operation, keras.layers.Layer) or is_model(operation):
        return False
    if sublayers(operation) or own_weights(operation):
        return False
    return isinstance(rule_for(operation), Barrier) and (
        isinstance(operation, keras.layers.Lambda)
        or not is_code_of_keras(operation)
    )


def merge(inference, training):
    """One trace of both modes, or why they are not one.

    Args:
        inference, training: what `record` returned.

    Returns:
        A `Trace`, or a str.
    """
    modes = inference, training
    for mode in modes:
        if isinstance(mode, str):
            return mode
    places = [_places(mode) for mode in modes]
    same = len(inference.calls) == len(training.calls) and all(
        _is_same(one, other, places, inference.held)
        for one, other in zip(inference.calls, training.calls, strict=True)
    )
    ends = [
        [place[id(tensor)] for tensor in mode.outputs]
        for mode, place in zip(modes, places, strict=True)
    ]
    if not same or ends[0] != ends[1]:
        shapes = [[x.shape for x in mode.outputs] for mode in modes]
        if only_computes(inference.layer) and shapes[0] == shapes[1]:
            return dataclasses.replace(inference, training=training)
        return "computes something else in training"
    calls = tuple(
        dataclasses.replace(one, ignored=_follows_mode(one, other))
        for one, other in zip(inference.calls, training.calls, strict=True)
    )
    inner = {
        position: merge(known, training.inner[position])
        for position, known in inference.inner.items()
    }
    return dataclasses.replace(inference, calls=calls, inner=inner)


def _places(mode):
    """Numbers all tensors of a trace."""
    tensors = [*mode.inputs, *(t for c in mode.calls for t in c.outputs)]
    return {id(tensor): number for number, tensor in enumerate(tensors)}


def _is_same(one, other, places, held):
    inputs = [
        [place[id(tensor)] for tensor in node.inputs]
        for node, place in zip((one, other), places, strict=True)
    ]
    same = _identity(one, held) == _identity(other, held)
    return same and inputs[0] == inputs[1]


def _identity(node, held):
    operation = node.operation
    if id(operation) in held:
        return id(operation)
    if isinstance(operation, keras.layers.Layer):
        return type(operation), repr(_anonymous(operation.get_config()))
    return type(operation), simple_attributes(operation)


def _anonymous(config):
    """A config without what numbers objects."""
    if not isinstance(config, dict):
        return config
    numbers = ("name", "shared_object_id")
    return {k: _anonymous(v) for k, v in config.items() if k not in numbers}


def _follows_mode(one, other):
    """Whether `training` was handed on, and not set to one value."""
    values = [node.arguments.kwargs.get("training") for node in (one, other)]
    return ("training",) if values == [False, True] else ()
