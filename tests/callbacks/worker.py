"""One worker of a job on several machines, for `test_workers.py`.

    TF_CONFIG=... python -m tests.callbacks.worker state_directory [fault]

Prints a line of JSON for every exploration step and one at the end. With
`fault` it does something wrong, see `FAULTS`.
"""

import json
import os
import pathlib
import signal
import sys

import keras
import numpy as np
import tensorflow as tf

# Before anything else: it opens the connection to the other workers.
STRATEGY = tf.distribute.MultiWorkerMirroredStrategy()

import keras_chex  # noqa: E402
from tests.callbacks.small_run import X, Y, prepared, scheduler  # noqa: E402

INDEX = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
FAULTS = ("", "other_seed", "other_channels", "dies")


class Backup(keras.callbacks.Callback):
    """The first worker saves, all of them load the same file."""

    def __init__(self, directory):
        super().__init__()
        self.path = pathlib.Path(directory) / "state.weights.h5"
        self.epoch = self.path.with_name("epoch")

    def on_train_begin(self, logs=None):
        if self.epoch.exists():
            self.model.optimizer.build(self.model.trainable_variables)
            self.model.load_weights(self.path)
            self.model._initial_epoch = int(self.epoch.read_text())

    def on_epoch_end(self, epoch, logs=None):
        if INDEX == 0:
            self.model.save_weights(self.path)
            self.epoch.write_text(str(epoch + 1))


class Fault(keras.callbacks.Callback):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind if INDEX == 1 else ""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3 and self.kind == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if epoch == 1 and self.kind == "other_channels":
            keras_chex.set_active(self.model, {"inner": [0, 1, 2]})


def batches():
    """Half of every batch of eight for either worker."""
    rows = np.arange(len(X)).reshape(-1, 2, 4)[:, INDEX].reshape(-1)
    data = tf.data.Dataset.from_tensor_slices((X[rows], Y[rows])).batch(4)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.OFF
    )
    return data.repeat().with_options(options)


def main(directory, fault=""):
    assert fault in FAULTS
    with STRATEGY.scope():
        model = prepared(seed=0, run_eagerly=False)
    seed = INDEX if fault == "other_seed" else 0
    callback = scheduler(interval=1, end=4, seed=seed)
    model.fit(
        batches(),
        validation_data=batches(),
        validation_steps=2,
        steps_per_epoch=4,
        epochs=6,
        verbose=0,
        callbacks=[Backup(directory), callback, Fault(fault)],
    )
    for entry in callback.history:
        sys.stdout.write(json.dumps(entry) + "\n")
    costs = keras_chex.summary(model)
    share = costs.flops / costs.dense_flops
    sys.stdout.write(json.dumps({"share": share}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
