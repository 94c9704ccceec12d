"""Moments of all examples are measured, and nothing else changes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_chex.compression.recalibration import (
    BATCH_SIZE,
    measure_moments,
    shift_statistics,
)
from tests import checks


def network(**norm):
    inputs = keras.Input((6,), name="x")
    x = layers.BatchNormalization(name="norm", **norm)(inputs)
    x = layers.Dropout(0.5, seed=1)(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def examples(count=50):
    rng = np.random.default_rng(0)
    return rng.normal(3.0, 2.0, (count, 6)).astype("float32")


def measured(model, data):
    """Moments of the only BatchNormalization layer."""
    ((found,),) = measure_moments([model], data)
    return found


def assert_moments(found, x):
    np.testing.assert_allclose(found[0], x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found[1], x.var(axis=0), rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999])
def test_moments_are_those_of_all_examples_whatever_the_momentum(momentum):
    model = network(momentum=momentum)
    x = examples(2 * BATCH_SIZE + 1)
    assert_moments(measured(model, x), x)
    assert model.get_layer("norm").momentum == momentum


@pytest.mark.parametrize(
    "data",
    [
        lambda x: [x[:40], x[40:]],
        lambda x: [(x[:40], None), (x[40:], None)],
        lambda x: ((x[i : i + 7], np.zeros(7)) for i in range(0, 50, 7)),
    ],
    ids=["batches", "with labels", "generator"],
)
def test_batches_count_by_their_size(data):
    model, x = network(), examples()
    given = data(x)
    assert_moments(measured(model, iter(given)), x)


def test_dicts_of_arrays_are_cut_into_batches():
    inputs = {
        "a": keras.Input((6,), name="a"),
        "b": keras.Input((6,), name="b"),
    }
    norm = layers.BatchNormalization()
    model = keras.Model(inputs, norm(inputs["a"] - inputs["b"]))
    a, b = examples(200), 1 - 2 * examples(200)
    assert_moments(measured(model, {"a": a, "b": b}), a - b)


def test_a_layer_that_is_called_twice_sees_both_inputs():
    one, two = keras.Input((6,)), keras.Input((6,))
    norm = layers.BatchNormalization()
    model = keras.Model([one, two], norm(one) + norm(two))
    x = examples()
    found = measured(model, [x, x + 5.0])
    assert_moments(found, np.concatenate([x, x + 5.0]))


def test_a_frozen_layer_is_measured_and_stays_frozen():
    model, x = network(trainable=False), examples()
    assert_moments(measured(model, x), x)
    assert not model.get_layer("norm").trainable


def test_nothing_in_the_model_changes():
    model = network()
    before = [checks.as_numpy(v) for v in model.variables]
    measure_moments([model], examples())
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, checks.as_numpy(variable))
    assert "call" not in vars(model.get_layer("norm"))


def test_models_see_the_same_batches_of_a_generator():
    x = examples()
    batches = (x[i : i + 7] for i in range(0, 50, 7))
    for (found,) in measure_moments([network(), network()], batches):
        assert_moments(found, x)


def test_a_layer_that_is_not_used_has_no_moments():
    model = network()
    model.spare = layers.BatchNormalization()
    model.spare.build((None, 6))
    ((_, spare),) = measure_moments([model], examples())
    assert spare is None
    shift_statistics([model.spare], [None], [None])
    assert not np.any(checks.as_numpy(model.spare.moving_mean))


def test_statistics_move_as_far_as_the_moments():
    norm = layers.BatchNormalization(epsilon=0.0)
    norm.build((None, 2))
    norm.moving_mean.assign([10.0, 20.0])
    norm.moving_variance.assign([2.0, 3.0])
    before = np.array([1.0, 1.0]), np.array([4.0, 4.0])
    after = np.array([1.5, 0.0]), np.array([8.0, 1.0])
    shift_statistics([norm], [before], [after])
    np.testing.assert_allclose(checks.as_numpy(norm.moving_mean), [10.5, 19])
    np.testing.assert_allclose(checks.as_numpy(norm.moving_variance), [4, 0.75])


def test_a_dead_channel_stays_as_it_was():
    norm = layers.BatchNormalization()
    norm.build((None, 1))
    dead = np.zeros(1), np.zeros(1)
    shift_statistics([norm], [dead], [dead])
    np.testing.assert_allclose(checks.as_numpy(norm.moving_variance), [1.0])


def test_what_does_not_fit_leaves_the_model_as_it_was():
    model = network()
    before = [checks.as_numpy(v) for v in model.variables]
    with pytest.raises(ValueError, match=r"`data`.*\(None, 6\).*\(50, 5\)"):
        measure_moments([model], examples()[:, :5])
    with pytest.raises(ValueError, match="`data`.*at least one example"):
        measure_moments([model], examples(0))
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, checks.as_numpy(variable))
