"""One tiny run of `fit` with `ChexScheduler`, the same on every backend.

Weights, data and their order come from NumPy, so that backends differ in
rounding only. Which channels are chosen must not hang on that: with this seed
the run chooses the same ones when every initial weight is off by a thousandth,
a hundred times what the backends differ by at its end.

`python -m tests.backends.reference_run` writes `reference_run.json` anew.
"""

import json
import pathlib

import keras
import numpy as np
from keras import layers

import keras_chex
from tests import checks

FILE = pathlib.Path(__file__).with_suffix(".json")
SEED = 0
EPOCHS = 6


def network():
    """A residual block, whose stream and inside are two groups."""
    x = image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(12, 3, padding="same", name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="stem_bn")(x))
    y = layers.Conv2D(16, 3, padding="same", name="inner")(x)
    y = layers.ReLU()(layers.BatchNormalization(name="inner_bn")(y))
    y = layers.Conv2D(12, 3, padding="same", name="back")(y)
    x = layers.Add()([x, layers.BatchNormalization(name="back_bn")(y)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x))


def compiled_model(seed=SEED, noise=0.0):
    """The wrapped network, every weight off by a share of itself."""
    plain = network()
    checks.randomize(plain, seed)
    rng = np.random.default_rng([seed, 1])
    for variable in plain.weights:
        value = keras.ops.convert_to_numpy(variable)
        error = noise * rng.uniform(-1, 1, value.shape)
        variable.assign(value * (1 + error).astype(value.dtype))
    model = keras_chex.wrap(plain)
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


class Recorder(keras.callbacks.Callback):
    """Keeps the active channels of every epoch."""

    def __init__(self):
        super().__init__()
        self.active = []

    def on_epoch_end(self, epoch, logs=None):
        active = keras_chex.active_channels(self.model)
        self.active.append(
            {
                name: np.flatnonzero(mask).tolist()
                for name, mask in active.items()
            }
        )


def run(seed=SEED, noise=0.0):
    """Trains; tells what was chosen and what the network computes then.

    Returns:
        Dict: `channels`, the active channels of every group in every epoch;
        `outputs` of the stripped network for four examples; and `model`.
    """
    rng = np.random.default_rng([seed, 2])
    x = rng.normal(size=(32, 8, 8, 3)).astype("float32")
    y = rng.integers(0, 4, 32)
    model, recorder = compiled_model(seed, noise), Recorder()
    scheduler = keras_chex.ChexScheduler(
        flops=0.4, interval=1, end=4, seed=seed, verbose=0
    )
    model.fit(
        x,
        y,
        batch_size=8,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[scheduler, recorder],
    )
    outputs = keras_chex.strip(model).predict(x[:4], verbose=0)
    return {
        "channels": recorder.active,
        "outputs": np.round(outputs.astype("float64"), 5).tolist(),
        "model": model,
    }


def main():
    """Writes what the tests compare with."""
    found = run()
    del found["model"]
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
