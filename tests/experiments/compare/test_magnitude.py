import keras
import numpy as np
import pytest

from experiments.compare.magnitude import (
    MagnitudePruning,
    kernels,
    largest,
    parameters_left,
    polynomial,
    sparsity_for,
)

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
Y = np.arange(16) % 3


def model():
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "relu"),
            keras.layers.Dense(3),
        ]
    )
    network.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return network


def fit(network, schedule, epochs):
    network.fit(
        *(X, Y),
        batch_size=8,
        epochs=epochs,
        verbose=0,
        callbacks=[MagnitudePruning(schedule)],
    )


def zeros(network):
    return [np.asarray(kernel) == 0 for kernel in kernels(network)]


def test_small_elements_become_zero_when_the_schedule_says_so():
    network = model()
    fit(network, lambda step: (step == 1, 0.75), epochs=1)
    for mask in zeros(network):
        assert mask.sum() == 0.75 * mask.size
    assert all(np.any(layer.bias) for layer in network.layers)


def test_between_changes_zeros_stay_zeros_after_a_resumption_too():
    network = model()
    fit(network, lambda step: (step == 0, 0.5), epochs=2)
    before = zeros(network)
    assert all(mask.sum() == 0.5 * mask.size for mask in before)
    fit(network, lambda step: (False, 0.5), epochs=2)
    for mask, again in zip(before, zeros(network), strict=True):
        np.testing.assert_array_equal(mask, again)


def test_a_weight_that_was_zero_may_return_at_the_next_change():
    array = np.array([0.0, 3.0, -2.0, 1.0])
    np.testing.assert_array_equal(largest(array, 0.25), [0, 1, 0, 0])
    np.testing.assert_array_equal(largest(array, 1.0), [1, 1, 1, 1])


def test_sparsity_leaves_as_many_parameters_as_asked_for():
    network = model()
    # 48 + 8 and 24 + 3
    assert network.count_params() == 83
    sparsity = sparsity_for(network, 47)
    assert sparsity == pytest.approx(0.5)
    fit(network, lambda step: (True, sparsity), epochs=1)
    assert parameters_left(network) == 47
    for parameters in (11, 84):
        with pytest.raises(ValueError, match="must be above 11 and at most 83"):
            sparsity_for(network, parameters)


@pytest.mark.tensorflow
def test_schedule_rises_from_nothing_to_the_end():
    schedule = polynomial(0.8, steps=1000)
    sparsities = [float(schedule(step)[1]) for step in (0, 100, 720, 999)]
    np.testing.assert_allclose(sparsities[1:], [0.0, 0.8, 0.8], atol=1e-6)
    assert not schedule(99)[0] and schedule(100)[0]
