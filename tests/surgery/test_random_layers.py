"""Models that draw random numbers in inference too."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from keras_chex.graph.keras_random import generators
from keras_chex.surgery.verification import verify_equal


@keras.saving.register_keras_serializable("tests")
class Sampling(layers.Layer):
    """Draws from a normal distribution, as in a variational autoencoder."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(7)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def autoencoder():
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="a")(inputs)
    x = layers.Flatten()(x)
    means = layers.Dense(2, name="means")(x)
    variances = layers.Dense(2, name="variances")(x)
    x = Sampling()([means, variances])
    x = layers.Dense(12, activation="relu", name="b")(x)
    return keras.Model(inputs, layers.Dense(64)(x), name="autoencoder")


@keras.saving.register_keras_serializable("tests")
class MonteCarloDropout(layers.Dropout):
    """Dropout that never ends, to see how sure a network is."""

    def call(self, inputs, training=None):
        return super().call(inputs, training=True)


def monte_carlo():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="a")(inputs)
    x = MonteCarloDropout(0.5, seed=3)(x)
    x = layers.Conv2D(6, 3, activation="relu", name="b")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def noisy():
    """Draws from the generator of all Keras, which no layer holds."""
    inputs = keras.Input((6,))
    x = layers.Dense(8, activation="relu", name="a")(inputs)
    x = layers.Lambda(lambda t: t * keras.random.uniform((1,)))(x)
    return keras.Model(inputs, layers.Dense(3)(x), name="noisy")


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def cut(build, groups):
    """The wrapped model with every second unit of these groups."""
    keras.utils.set_random_seed(0)
    wrapped = keras_chex.wrap(build())
    found = keras_chex.channel_groups(wrapped)
    units = {g.name: g.size for g in found if g.frozen is None}
    assert set(units) == set(groups)
    keras_chex.set_active(
        wrapped, {name: np.arange(0, n, 2) for name, n in units.items()}
    )
    return wrapped


BOTH = pytest.mark.parametrize(
    "build, groups", [(autoencoder, ["a", "b"]), (monte_carlo, ["a", "b"])]
)


@BOTH
def test_strip_compares_what_equal_draws_give(build, groups):
    wrapped = cut(build, groups)
    x = np.random.default_rng(0).normal(size=(4, *wrapped.input_shape[1:]))
    states = [numpy(g.state) for g in generators(wrapped)]
    stripped = keras_chex.strip(wrapped)
    for generator, state in zip(generators(wrapped), states, strict=True):
        np.testing.assert_array_equal(numpy(generator.state), state)
    # It draws what the trained one draws from now on.
    for _ in range(2):
        got, expected = (numpy(m(x)) for m in (stripped, wrapped))
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(numpy(wrapped(x)) - expected).max() > 1e-3


@BOTH
def test_a_wrong_weight_is_found_among_random_numbers(build, groups):
    wrapped = cut(build, groups)
    stripped = keras_chex.strip(wrapped)
    kernel = stripped.get_layer("a").kernel
    kernel.assign(1.01 * kernel)
    with pytest.raises(RuntimeError, match="differs from the trained"):
        verify_equal(wrapped, stripped)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Keras refuses such draws there"
)
def test_what_cannot_be_compared_is_said():
    with pytest.warns(UserWarning, match="'noisy' gives other outputs"):
        stripped = keras_chex.strip(cut(noisy, ["a"]))
    assert stripped.get_layer("a").units == 4


@pytest.mark.tensorflow
def test_words_are_drawn_for_models_that_take_words():
    words = keras.Input((1,), dtype="string")
    x = layers.StringLookup(vocabulary=["a", "b"], output_mode="one_hot")(words)
    x = layers.Dense(8, activation="relu", name="a")(x)
    wrapped = keras_chex.wrap(keras.Model(words, layers.Dense(2)(x)))
    keras_chex.set_active(wrapped, {"a": [0, 3]})
    assert keras_chex.strip(wrapped).get_layer("a").units == 2
