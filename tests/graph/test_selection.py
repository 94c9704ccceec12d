"""Where selected units are in lists of channels."""

import keras
import numpy as np
import pytest

from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection

layers = keras.layers


@pytest.fixture(scope="module")
def graph():
    x = keras.Input((2, 2, 3))
    a = layers.Conv2D(3, 1, name="a")(x)
    b = layers.Conv2D(2, 1, name="b")(x)
    y = layers.Flatten()(layers.Concatenate()([a, b, a]))
    return read_channels(keras.Model(x, layers.Dense(2, name="head")(y)))


def head_inputs(graph):
    return next(op.sides["in"] for op in graph.operations if op.name == "head")


def test_subset_is_found_at_every_position(graph):
    selection = Selection(graph, {"a": [0, 2], "b": [1]})
    positions = selection.positions(head_inputs(graph))
    pixel = np.array([0, 2, 4, 5, 7])
    expected = (8 * np.arange(4)[:, None] + pixel).reshape(-1)
    np.testing.assert_array_equal(positions, expected)


def test_permutation_moves_channels_inside_their_own_appearance(graph):
    selection = Selection(graph, {"a": [2, 0, 1]})
    positions = selection.positions(head_inputs(graph))[:8]
    assert positions.tolist() == [2, 0, 1, 3, 4, 7, 5, 6]


def test_everything_kept_is_the_identity(graph):
    ids = head_inputs(graph)
    kept = Selection(graph, {"a": np.ones(3, bool)}).positions(ids)
    np.testing.assert_array_equal(kept, np.arange(len(ids)))
