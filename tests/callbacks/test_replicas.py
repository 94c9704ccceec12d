"""`MirroredStrategy` on two devices, in a process that has two."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

SETUP = """
import json
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras_chex
from tests.callbacks.small_run import X, Y, fit, network, prepared, scheduler

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""

TRAINING = """
with strategy.scope():
    model = prepared(run_eagerly=False)
callback = scheduler(interval=2, end=4)
history = fit(model, callback, epochs=5, shuffle=False).history
replicas = [
    [np.array(v.numpy()).tolist() for v in w.state_variable.value.values]
    for w in model.layers if isinstance(w, keras_chex.ChexWrapper)
]
# Keras keeps BatchNormalization statistics per replica; `predict` would use
# those of both, `strip` takes those of the first.
small = keras_chex.strip(model)
single = prepared(run_eagerly=False)
other = scheduler(interval=2, end=4)
fit(single, other, epochs=5, shuffle=False)
print(json.dumps({
    "flops": history["chex/flops"],
    "alike": all(first == second for first, second in replicas),
    "kinds": sorted({len(values) for values in replicas}),
    "stripped": float(np.abs(
        small.predict(X, verbose=0) - np.array(model(X, training=False))
    ).max()),
    "widths": [e["widths"] == o["widths"]
               for e, o in zip(callback.history, other.history)],
    "fingerprints": [e["fingerprint"] for e in callback.history],
}))
"""

SEVERAL_STEPS = """
with strategy.scope():
    model = prepared(run_eagerly=False, steps_per_execution=2)
try:
    fit(model, scheduler())
except ValueError as error:
    print(json.dumps(str(error)))
"""

TORN = """
with strategy.scope():
    model = prepared(run_eagerly=False)
layer = model.get_layer("stem")

class Tear(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            second = layer.state_variable.value.values[1]
            second.assign(tf.reverse(second.read_value(), [0]))

try:
    fit(model, scheduler(), callbacks=[Tear()])
except RuntimeError as error:
    print(json.dumps(str(error)))
"""


def run(program):
    """What the last line that a program prints says."""
    done = subprocess.run(
        [sys.executable, "-c", SETUP + program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.tensorflow
def test_replicas_explore_alike_and_the_budget_is_met():
    result = run(TRAINING)
    assert result["flops"][-1] <= 0.5
    assert result["alike"] and result["kinds"] == [2]
    assert result["stripped"] < 1e-4
    assert all(result["widths"]) and len(result["widths"]) == 3
    assert len(set(result["fingerprints"])) == 3


@pytest.mark.tensorflow
def test_what_keras_cannot_do_is_named():
    assert run(SEVERAL_STEPS).startswith(
        "Argument `steps_per_execution` of `compile` must be 1 under a "
        "distribution strategy with 2 replicas: Keras "
    )


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_replica_with_other_channels_stops_the_run():
    message = run(TORN)
    assert message.startswith(
        "All replicas must explore alike. Received: other active channels in "
        "replica 1 than in replica 0, of 2. This worker has: epoch 1, "
        "optimizer step 2, flops=0.5"
    )


@pytest.mark.parametrize("text", ["a", "b"])
def test_one_device_needs_no_agreement(text):
    import keras
    import numpy as np

    from keras_chex.callbacks.agreement import Agreement

    variable = keras.Variable(np.arange(4), dtype="int32", trainable=False)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    agreement = Agreement(model, [variable])
    masks = [np.array([True, False]), np.array([False, True, True])]
    for mine, agreed in zip(masks, agreement.decide(masks), strict=True):
        np.testing.assert_array_equal(mine, agreed)
    first = agreement.check(text)
    assert len(first) == 8 and agreement.check(text) == first
    variable.assign(np.arange(4)[::-1])
    assert agreement.check(text) != first
