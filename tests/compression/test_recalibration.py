"""Statistics measured anew: those of all examples, and nothing else changes."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_chex.compression.recalibration import BATCH_SIZE, recalibrate
from tests import checks


def network(**norm):
    inputs = keras.Input((6,), name="x")
    x = layers.BatchNormalization(name="norm", **norm)(inputs)
    x = layers.Dropout(0.5, seed=1)(x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def examples(count=50):
    rng = np.random.default_rng(0)
    return rng.normal(3.0, 2.0, (count, 6)).astype("float32")


def statistics(layer):
    return checks.as_numpy(layer.moving_mean), checks.as_numpy(
        layer.moving_variance
    )


def assert_moments(layer, x):
    mean, variance = statistics(layer)
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(variance, x.var(axis=0), rtol=1e-4)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.999])
def test_moments_are_those_of_all_examples_whatever_the_momentum(momentum):
    model = network(momentum=momentum)
    x = examples(2 * BATCH_SIZE + 1)
    recalibrate(model, x)
    assert_moments(model.get_layer("norm"), x)
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
    recalibrate(model, iter(given))
    assert_moments(model.get_layer("norm"), x)


def test_dicts_of_arrays_are_cut_into_batches():
    inputs = {
        "a": keras.Input((6,), name="a"),
        "b": keras.Input((6,), name="b"),
    }
    norm = layers.BatchNormalization()
    model = keras.Model(inputs, norm(inputs["a"] - inputs["b"]))
    a, b = examples(200), 1 - 2 * examples(200)
    recalibrate(model, {"a": a, "b": b})
    assert_moments(norm, a - b)


def test_a_layer_that_is_called_twice_sees_both_inputs():
    one, two = keras.Input((6,)), keras.Input((6,))
    norm = layers.BatchNormalization()
    model = keras.Model([one, two], norm(one) + norm(two))
    x = examples()
    recalibrate(model, [x, x + 5.0])
    assert_moments(norm, np.concatenate([x, x + 5.0]))


def test_a_frozen_layer_is_measured_and_stays_frozen():
    model, x = network(trainable=False), examples()
    recalibrate(model, x)
    assert_moments(model.get_layer("norm"), x)
    assert not model.get_layer("norm").trainable


def test_nothing_but_the_statistics_changes():
    model = network()
    norm = model.get_layer("norm")
    kept = [
        v
        for v in model.variables
        if v is not norm.moving_mean and v is not norm.moving_variance
    ]
    before = [checks.as_numpy(v) for v in kept]
    recalibrate(model, examples())
    for old, variable in zip(before, kept, strict=True):
        np.testing.assert_array_equal(old, checks.as_numpy(variable))
    assert "call" not in vars(norm)


def test_what_does_not_fit_leaves_the_model_as_it_was():
    model = network()
    before = statistics(model.get_layer("norm"))
    with pytest.raises(ValueError, match=r"`data`.*\(None, 6\).*\(50, 5\)"):
        recalibrate(model, examples()[:, :5])
    with pytest.raises(ValueError, match="`data`.*at least one example"):
        recalibrate(model, examples(0))
    np.testing.assert_array_equal(before, statistics(model.get_layer("norm")))
