import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.graph.channels import read_channels
from keras_chex.graph.keras_nodes import read_variable
from keras_chex.layers.group_arrays import read_groups
from tests.zoo import ROWS

NAMES = [
    *("residual_projection", "depthwise_separable", "flatten_to_dense"),
    *("grouped_convolution", "pixel_shuffle", "transposed_convolution"),
    *("dense_concat", "flatten_after_concat"),
]
RNG = np.random.default_rng(5)


def wrapped(plain):
    """A wrapped model with random weights, all of them different."""
    model = keras_chex.wrap(plain)
    for weight in model.trainable_variables:
        weight.assign(RNG.normal(size=weight.shape))
    return model


def read(model, only=None):
    """`{group name: (ChannelGroup, GroupArrays)}` with what is consumed."""
    graph = read_channels(model)
    groups = {g.name: g for g in graph.groups if not g.frozen}
    if only is not None:
        groups = {name: groups[name] for name in only}
    arrays = read_groups(
        graph,
        {name: np.ones(group.size, bool) for name, group in groups.items()},
        {name: (1, group.size) for name, group in groups.items()},
        consumers=True,
    )
    return {a.name: (groups[a.name], a) for a in arrays}


def kernels(model, names):
    """Values of the kernels of wrapped layers, by the layer's name."""
    return {
        name: [
            read_variable(weight)
            for weight in model.get_layer(name).layer.trainable_weights
            if len(weight.shape) > 1
        ]
        for name in names
    }


def lost(model, group, unit, name):
    """Elements of one layer's kernels that die with a unit, sorted."""
    before = kernels(model, [name])[name]
    active = np.ones(group.size, bool)
    active[unit] = False
    keras_chex.set_active(model, {group.name: active})
    after = kernels(model, [name])[name]
    keras_chex.set_active(model, {group.name: np.ones(group.size, bool)})
    parts = [b[a == 0] for b, a in zip(before, after, strict=True)]
    return np.sort(np.concatenate(parts))


@pytest.mark.parametrize("name", NAMES)
def test_slices_are_the_elements_that_die_with_a_unit(name):
    model, checked = wrapped(ROWS[name].build()), 0
    for group, arrays in read(model).values():
        if len(group.consumers) != 1 or group.consumers[0] in group.producers:
            continue
        (consumer,) = group.consumers
        columns = {
            unit: lost(model, group, unit, consumer)
            for unit in range(group.size)
        }
        norm = np.sqrt(sum(np.square(c).sum() for c in columns.values()))
        for unit in (0, group.size - 1):
            found = np.sort(arrays.consumed[:, unit])
            found = found[found != 0]
            np.testing.assert_allclose(found, columns[unit] / norm, rtol=1e-4)
            checked += 1
    assert checked


def test_slices_to_dormant_outputs_do_not_count():
    model = wrapped(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, name="first"),
                keras.layers.Dense(5, name="second"),
                keras.layers.Dense(2, name="logits"),
            ]
        )
    )
    keras_chex.set_active(model, {"second": [0, 3]})
    _, arrays = read(model, ["first"])["first"]
    (kernel,) = kernels(model, ["second"])["second"]
    expected = kernel[:, [0, 3]]
    rows = arrays.consumed[arrays.consumed.any(axis=1)]
    np.testing.assert_allclose(
        rows, expected.T / np.linalg.norm(expected), rtol=1e-5
    )


def test_all_consumers_weigh_the_same():
    x = inputs = keras.Input((3,))
    x = keras.layers.Dense(4, name="shared")(x)
    outputs = [keras.layers.Dense(n, name=f"to{n}")(x) for n in (2, 5)]
    model = wrapped(keras.Model(inputs, outputs))
    group, arrays = read(model)["shared"]
    first = int(group.consumers[0].removeprefix("to"))
    assert arrays.consumed.shape == (7, 4)
    for part in (arrays.consumed[:first], arrays.consumed[first:]):
        np.testing.assert_allclose(np.linalg.norm(part), 1, rtol=1e-5)
