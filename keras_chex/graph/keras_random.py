"""Random numbers that layers draw: generators, and dropout in traces."""

import contextlib

import keras
import numpy as np
from keras.src import backend

from keras_chex.graph.keras_nodes import (
    all_layers,
    is_symbolic,
    read_variable,
)

# What a `keras.random.SeedGenerator` holds: a seed, and a count of draws.
STATE = (2027, 0)


def generators(model):
    """Lists the `keras.random.SeedGenerator`s that layers of a model hold."""
    return [g for layer in all_layers(model) for g in layer._seed_generators]


def copy_generators(source, target):
    """Lets a copy of a layer draw what the layer itself would draw next."""
    old, new = generators(source), generators(target)
    if len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            other.state.assign(read_variable(one.state))


@contextlib.contextmanager
def symbolic_dropout():
    """A scope in which dropout takes symbolic tensors too.

    `keras.random.dropout`, and `call` of a `Dropout` layer or of a subclass,
    refuse them; for where channels go, dropout is a product with numbers.
    """
    original = backend.random.dropout

    def dropout(inputs, *args, **kwargs):
        if is_symbolic(inputs):
            return keras.ops.multiply(inputs, 1.0)
        return original(inputs, *args, **kwargs)

    backend.random.dropout = dropout
    try:
        yield
    finally:
        backend.random.dropout = original


@contextlib.contextmanager
def same_draws(*models):
    """A scope in which models draw equal numbers, each in one call.

    After it all generators go on as if nothing had been drawn.

    Args:
        *models: models whose layers draw in the same order.
    """
    states = [g.state for model in models for g in generators(model)]
    # On TensorFlow an array may share the variable's memory.
    before = [np.array(read_variable(state)) for state in states]
    try:
        for state in states:
            state.assign(np.array(STATE, before[0].dtype))
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)
