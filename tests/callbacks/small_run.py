"""A small network, compiled and wrapped, and runs of a few steps."""

import keras
import numpy as np

import keras_chex
from tests.checks import EAGER

layers = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 8, 8, 3)).astype("float32")
Y = RNG.integers(0, 4, 32)


def network(seed=0):
    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(24, 3, padding="same", name="inner")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(16, 3, padding="same", name="back")(y)
    x = layers.Add()([x, layers.BatchNormalization()(y)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def prepared(seed=0, run_eagerly=EAGER, optimizer=None, **compile_options):
    """A compiled network; eager by default, as most tests compile a lot."""
    model = keras_chex.wrap(network(seed))
    model.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=run_eagerly,
        **compile_options,
    )
    return model


def fit(model, scheduler, epochs=6, callbacks=(), batch_size=16, **options):
    """Two steps an epoch, if nothing else is said."""
    return model.fit(
        X,
        Y,
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=[scheduler, *callbacks],
        **options,
    )


def scheduler(**options):
    given = {"interval": 1, "end": 0.7, "verbose": 0, **options}
    if not {"params", "sparsity"} & set(given):
        given.setdefault("flops", 0.5)
    return keras_chex.ChexScheduler(**given)
