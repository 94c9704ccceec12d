"""Exploration in all the ways in which Keras trains."""

import keras
import numpy as np
import pytest

import keras_chex
from tests.callbacks.small_run import X, Y, fit, network, prepared, scheduler
from tests.checks import EAGER

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
NOT_ON_TORCH = pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="Keras on PyTorch runs single steps; `torch.compile` was not tried",
)


def check(model, budget=0.5):
    """The budget is met, and all that is compiled follows the channels."""
    costs = keras_chex.summary(model)
    assert costs.flops <= budget * costs.dense_flops
    small = keras_chex.strip(model)
    small.compile(loss=LOSS)
    expected = small.predict(X, verbose=0)
    scale = np.abs(expected).max()
    tolerance = 2e-2 if model.compute_dtype != "float32" else 1e-4
    np.testing.assert_allclose(
        model.predict(X, verbose=0), expected, atol=tolerance * scale
    )


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            {"steps_per_execution": 3}, marks=[NOT_ON_TORCH, pytest.mark.slow]
        ),
        pytest.param(
            {"jit_compile": True}, marks=[NOT_ON_TORCH, pytest.mark.slow]
        ),
        {"optimizer": keras.optimizers.Adam},
        *(
            pytest.param({"optimizer": kind}, marks=pytest.mark.large)
            for kind in (
                keras.optimizers.Lamb,
                keras.optimizers.Muon,
                keras.optimizers.Adafactor,
            )
        ),
        *(
            pytest.param({"optimizer": make}, marks=pytest.mark.slow)
            for make in (
                lambda: keras.optimizers.SGD(
                    0.05, momentum=0.9, gradient_accumulation_steps=2
                ),
                lambda: keras.optimizers.LossScaleOptimizer(
                    keras.optimizers.SGD(0.05), initial_scale=256.0
                ),
                lambda: keras.optimizers.AdamW(
                    use_ema=True, ema_overwrite_frequency=3
                ),
            )
        ),
    ],
    ids=lambda options: "-".join(options),
)
def test_every_mode_meets_the_budget(options):
    options = dict(options)
    if "optimizer" in options:
        options["optimizer"] = options["optimizer"]()
    model = prepared(run_eagerly=False, **options)
    callback = scheduler(interval=2, end=4)
    options = {"epochs": 5, "batch_size": 8, "validation_data": (X, Y)}
    history = fit(model, callback, **options).history
    assert np.isfinite(history["loss"]).all()
    assert len(history["val_loss"]) == 5
    check(model)


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
        "mixed_float16",
    ],
)
def test_mixed_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = prepared(run_eagerly=False)
        fit(model, scheduler(interval=2, end=4), epochs=5)
    finally:
        keras.config.set_dtype_policy(before)
    assert model.get_layer("inner").kernel.dtype == "float32"
    if policy == "mixed_float16":
        assert hasattr(model.optimizer, "inner_optimizer")
    check(model)


def test_sample_weights_and_an_own_training_step():
    class Weighted(keras.Model):
        seen = 0

        def train_step(self, *args):  # JAX has a state in front of the data.
            Weighted.seen += 1
            return super().train_step(*args)

    plain = network()
    model = keras_chex.wrap(Weighted(plain.inputs, plain.outputs))
    model.compile("sgd", LOSS, run_eagerly=EAGER)
    callback = scheduler()
    fit(model, callback, sample_weight=np.linspace(0, 1, len(X)))
    assert Weighted.seen == 12 if EAGER else Weighted.seen > 0
    check(model)


def test_evaluation_between_two_trainings_follows_the_channels():
    model = prepared(run_eagerly=False)
    fit(model, scheduler(flops=0.7, interval=2, end=2), epochs=3)
    first = model.evaluate(X, Y, verbose=0)
    keras_chex.set_active(model, {"inner": [0, 1, 2]})
    second = model.evaluate(X, Y, verbose=0)
    small = keras_chex.strip(model)
    small.compile(loss=LOSS)
    assert second == pytest.approx(small.evaluate(X, Y, verbose=0), rel=1e-4)
    assert second != first


def test_a_saved_model_in_the_middle_goes_on(tmp_path):
    path = tmp_path / "epoch-{epoch}.keras"
    whole = prepared()
    fit(
        whole,
        scheduler(),
        callbacks=[keras.callbacks.ModelCheckpoint(path)],
        shuffle=False,
    )
    again = keras.saving.load_model(tmp_path / "epoch-3.keras")
    again.run_eagerly = EAGER
    callback = scheduler()
    fit(again, callback, initial_epoch=3, shuffle=False)
    assert [entry["epoch"] for entry in callback.history] == [3, 4]
    for ours, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(np.array(ours), np.array(theirs))


def test_early_stopping_before_the_end_of_exploration():
    model = prepared()
    stop = keras.callbacks.EarlyStopping("chex/flops", mode="max", patience=2)
    assert len(fit(model, scheduler(), callbacks=[stop]).epoch) == 3
    check(model)


def test_a_backup_within_an_epoch_does_not_begin_anew(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 3:
                raise KeyboardInterrupt

    def resumable(model, *more):
        callback = scheduler(unit="step", interval=5, end=12)
        backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=2)
        callbacks = [backup, *more]
        fit(model, callback, 6, callbacks, batch_size=8, shuffle=False)
        return callback

    model = prepared()
    with pytest.raises(KeyboardInterrupt):
        resumable(model, Crash())
    masks = keras_chex.active_channels(model)
    again = prepared(seed=3)

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.masks = getattr(
                self, "masks", keras_chex.active_channels(self.model)
            )

    look = Look()
    callback = resumable(again, look)
    for name, mask in masks.items():
        np.testing.assert_array_equal(look.masks[name], mask)
    # Keras repeats the epoch; the optimizer had made two steps of it.
    assert [entry["step"] for entry in callback.history] == [5, 10, 12]


def test_a_second_run_by_steps_explores_again():
    model = prepared()
    options = {"unit": "step", "interval": 3, "end": 12}
    fit(model, scheduler(**options))
    callback = scheduler(flops=0.3, **options)
    fit(model, callback)
    assert [entry["step"] for entry in callback.history] == [12, 15, 18, 21, 24]
    check(model, 0.3)
