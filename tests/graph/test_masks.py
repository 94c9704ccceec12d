"""Masks of padded sequences reach what they reach in the plain model."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex


def labelled_words():
    """One output for every word; padding does not count in the loss."""
    words = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True, name="table")(words)
    x = layers.Dense(10, activation="relu", name="hidden")(x)
    return keras.Model(words, layers.Dense(2, name="tags")(x))


def summed_words():
    """What a recurrent layer returns last has no mask."""
    words = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True, name="table")(words)
    x = layers.LSTM(4)(x)
    x = layers.Dense(10, activation="relu", name="hidden")(x)
    return keras.Model(words, layers.Dense(2)(x))


@pytest.mark.parametrize("build", [labelled_words, summed_words])
@pytest.mark.parametrize("cut", [False, True])
def test_losses_leave_out_what_is_masked(build, cut):
    keras.utils.set_random_seed(0)
    model = build()
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, (8, 6)).astype("int32")
    x[:, 3:] = 0
    y = rng.normal(size=(8, *model.output_shape[1:])).astype("float32")
    wrapped = keras_chex.wrap(model)
    if cut:
        keep = {"table": [0, 2, 3, 7], "hidden": [1, 4, 5]}
        keras_chex.set_active(wrapped, keep)
        model = keras_chex.strip(wrapped)
        assert model.get_layer("table").output_dim == 4
    losses = []
    for one in (model, wrapped):
        one.compile(keras.optimizers.SGD(0.1), "mse")
        before = one.evaluate(x, y, verbose=0)
        losses.append((before, one.train_on_batch(x, y)))
        losses[-1] += (one.evaluate(x, y, verbose=0),)
    np.testing.assert_allclose(*losses, rtol=1e-5)
    if build is labelled_words:
        # A mask that is lost would count these.
        y[:, 3:] += 10
        assert wrapped.evaluate(x, y, verbose=0) == pytest.approx(losses[0][2])
