"""Recipe: warm-up and cosine, weight decay where it belongs."""

import keras
import numpy as np
import pytest

from experiments.common.recipe import Recipe, compile_model, learning_rate


def test_rate_rises_to_its_largest_value_and_falls_to_zero():
    rate = learning_rate(Recipe(epochs=10, lr=0.4, warmup=0.1), 10)
    rates = [float(rate(step)) for step in range(101)]
    assert rates[0] == 0.0
    assert np.argmax(rates) == 10
    assert rates[10] == pytest.approx(0.4)
    assert rates[55] == pytest.approx(0.2, rel=1e-5)
    assert rates[100] == pytest.approx(0.0, abs=1e-7)


def test_without_warm_up_the_run_begins_at_the_largest_rate():
    rate = learning_rate(Recipe(epochs=1, lr=0.4, warmup=0.0), 10)
    assert float(rate(0)) == pytest.approx(0.4)


def test_weight_decay_spares_biases_and_batch_norm():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, name="dense"),
            keras.layers.BatchNormalization(name="bn"),
        ]
    )
    recipe = Recipe(epochs=1, lr=0.5, warmup=0.0, weight_decay=0.02)
    compile_model(model, recipe, steps_per_epoch=10)
    dense, bn = model.get_layer("dense"), model.get_layer("bn")
    for variable in (dense.bias, bn.gamma, bn.beta):
        variable.assign(np.ones(4))
    kernel = keras.ops.convert_to_numpy(dense.kernel)
    zeros = [np.zeros(v.shape, "float32") for v in model.trainable_variables]
    model.optimizer.apply(
        [keras.ops.convert_to_tensor(z) for z in zeros],
        model.trainable_variables,
    )
    # A constant gradient g moves a weight by lr * g / (1 - momentum) a step.
    decay = 0.5 * 0.02 / (1 - 0.9)
    np.testing.assert_allclose(dense.kernel, kernel * (1 - decay), rtol=1e-5)
    for variable in (dense.bias, bn.gamma, bn.beta):
        np.testing.assert_array_equal(variable, np.ones(4))
