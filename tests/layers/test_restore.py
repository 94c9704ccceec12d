"""What channels that come back do to the network."""

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.graph.channels import read_channels
from keras_chex.layers.active import read_active, write_active
from tests import checks
from tests.zoo import ROWS

NAMES = [
    *("residual_projection", "depthwise_separable", "grouped_convolution"),
    *("dense_concat", "flatten_to_dense", "transposed_convolution"),
    *("squeeze_keepdims", "batch_normalization_options", "recurrent"),
]


@pytest.mark.parametrize("name", NAMES)
def test_preserve_leaves_the_outputs_as_they_were(name):
    plain = ROWS[name].build()
    checks.randomize(plain, seed=1)
    x = checks.example_inputs(plain)
    checks.calibrate(plain, x)
    model = keras_chex.wrap(plain)
    graph = read_channels(model)
    everything = read_active(graph)
    few = {**everything, **checks.random_active(graph.groups)}
    outputs = {}
    for restore in ("mru", "preserve"):
        write_active(model, graph, few)
        before = checks.as_numpy(model(x, training=True))
        write_active(model, graph, everything, restore)
        after = checks.as_numpy(model(x, training=True))
        outputs[restore] = checks.largest_difference(before, after)
    assert outputs["preserve"] < 1e-5
    assert outputs["mru"] > 1e-2


def test_preserve_remembers_what_makes_a_channel():
    model = keras_chex.wrap(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, name="first"),
                keras.layers.Dense(5, name="second"),
                keras.layers.Dense(2),
            ]
        )
    )
    graph = read_channels(model)
    first, second = model.get_layer("first"), model.get_layer("second")
    kernels = [checks.as_numpy(layer.kernel) for layer in (first, second)]
    everything = read_active(graph)
    few = {name: mask.copy() for name, mask in everything.items()}
    few["first"][1] = few["second"][2] = False
    write_active(model, graph, few)
    write_active(model, graph, everything, "preserve")
    np.testing.assert_array_equal(checks.as_numpy(first.kernel), kernels[0])
    # Both ends of one element came back: no channel that was there takes it.
    expected = kernels[1].copy()
    expected[1, [0, 1, 3, 4]] = 0
    np.testing.assert_array_equal(checks.as_numpy(second.kernel), expected)
