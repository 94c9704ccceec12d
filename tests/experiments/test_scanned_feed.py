"""Epochs as one compiled loop: as batch by batch, and on JAX alone."""

import keras
import numpy as np
import pytest

import keras_chex
from experiments.common import training
from experiments.common.array_feed import ShiftAndFlip, array_feed
from experiments.common.datasets import ImageSet
from experiments.common.models import cifar_resnet
from experiments.common.recipe import Recipe
from experiments.common.scanned_feed import scanned_feed

on_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="a compiled loop of JAX"
)
RECIPE = Recipe(epochs=4, batch_size=8, lr=0.05, shift=1, seed=3)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (72, 8, 8, 3)).astype("uint8")
    labels = rng.integers(0, 4, 72).astype("int32")
    return ImageSet(
        name="noise",
        train=(pixels[:40], labels[:40]),
        test=(pixels[40:], labels[40:]),
        classes=4,
        mean=(0.5,),
        std=(0.3,),
        flip=True,
    )


def network(images):
    keras.utils.set_random_seed(1)
    augment = ShiftAndFlip(1, images.flip, 3, name="augment")
    model = cifar_resnet(8, (4, 8, 8), (8, 8, 3), 4, augment=augment)
    return keras_chex.wrap(model)


def scheduler():
    return keras_chex.ChexScheduler(flops=0.5, interval=1, seed=0, verbose=0)


def trained(images, feed, folder, callbacks):
    model = network(images)
    rows = training.train(model, images, RECIPE, folder, callbacks, feed=feed)
    return model, rows


@on_jax
@pytest.mark.parametrize("shrinking", [False, True])
def test_an_epoch_is_what_its_batches_are(images, tmp_path, shrinking):
    results = []
    for feed in (array_feed, scanned_feed):
        callbacks = [scheduler()] if shrinking else []
        folder = tmp_path / feed.__name__
        results.append(trained(images, feed, folder, callbacks))
    (one, rows), (other, again) = results
    for row, like in zip(rows, again, strict=True):
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            np.testing.assert_allclose(
                float(row[key]), float(like[key]), rtol=2e-3, atol=2e-3
            )
    for weight, like in zip(one.weights, other.weights, strict=True):
        np.testing.assert_allclose(weight, like, rtol=2e-2, atol=2e-3)


@on_jax
@pytest.mark.parametrize("shrinking", [False, True])
def test_a_run_goes_on_with_the_epoch_that_is_next(images, tmp_path, shrinking):
    def callbacks():
        return [scheduler()] if shrinking else []

    whole, _ = trained(images, scanned_feed, tmp_path / "whole", callbacks())

    class Killed(Exception):
        pass

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise Killed

    with pytest.raises(Killed):
        trained(images, scanned_feed, tmp_path / "cut", [*callbacks(), Kill()])
    resumed, rows = trained(images, scanned_feed, tmp_path / "cut", callbacks())
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    for weight, like in zip(whole.weights, resumed.weights, strict=True):
        np.testing.assert_allclose(weight, like, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="what other backends say"
)
def test_other_backends_are_refused(images):
    with pytest.raises(ValueError, match="KERAS_BACKEND=jax"):
        scanned_feed(network(images), images, RECIPE, 0)
