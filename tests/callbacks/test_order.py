"""The order in which callbacks are given does not matter."""

import csv
import itertools

import keras
import numpy as np
import pytest

import keras_chex
from tests.callbacks.small_run import X, Y, prepared, scheduler


class Weights(keras.callbacks.Callback):
    """Keeps what the network computes at the end of every epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((sorted(logs), self.model.count_params()))


def run(callbacks, **options):
    model = prepared(**options)
    model.fit(
        X, Y, batch_size=16, epochs=6, verbose=0, callbacks=callbacks,
        shuffle=False, validation_data=(X, Y),
    )  # fmt: skip
    return model


def test_a_csv_logger_in_front_has_all_columns(tmp_path):
    path = tmp_path / "log.csv"
    run([keras.callbacks.CSVLogger(path), scheduler()])
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert float(rows[-1]["chex/flops"]) <= 0.5


@pytest.mark.parametrize("front", [True, False])
def test_early_stopping_that_restores_a_wide_network(front, capsys):
    class Worse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["score"] = float(epoch)

    stop = keras.callbacks.EarlyStopping(
        "score", mode="min", patience=9, restore_best_weights=True
    )
    callback = scheduler(verbose=1)
    ours = [callback, Worse(), stop] if front else [Worse(), stop, callback]
    model = run(ours)
    costs = keras_chex.summary(model)
    assert costs.flops <= 0.5 * costs.dense_flops
    assert "cut to the budget now" in capsys.readouterr().out


@pytest.mark.slow
def test_swapped_averages_are_not_explored():
    def swapping(place):
        model_average = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
        callbacks = [scheduler()]
        callbacks.insert(place, model_average)
        optimizer = keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.8)
        return run(callbacks, optimizer=optimizer)

    first, second = swapping(0), swapping(1)
    for ours, theirs in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(np.array(ours), np.array(theirs))
    small = keras_chex.strip(first)
    np.testing.assert_allclose(
        small.predict(X, verbose=0), first.predict(X, verbose=0), atol=1e-5
    )


@pytest.mark.slow
def test_any_order_of_several_callbacks_trains_alike(tmp_path):
    results = []
    orders = list(itertools.permutations(range(3)))[::2]
    for number, order in enumerate(orders):
        callbacks = [
            scheduler(),
            keras.callbacks.BackupAndRestore(tmp_path / str(number)),
            keras.callbacks.LearningRateScheduler(lambda e: 0.05 / (1 + e)),
        ]
        results.append(run([callbacks[i] for i in order]))
    for other in results[1:]:
        for ours, theirs in zip(other.weights, results[0].weights, strict=True):
            np.testing.assert_array_equal(np.array(ours), np.array(theirs))


def test_a_failed_run_leaves_no_trace_in_the_callback():
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise KeyboardInterrupt

    callback = scheduler()
    with pytest.raises(KeyboardInterrupt):
        run([callback, Crash()])
    model = prepared()
    # A list of one's own is not reordered; the callback does all by itself.
    callbacks = keras.callbacks.CallbackList(
        [callback], add_history=True, model=model, epochs=6, steps=2
    )
    model.fit(X, Y, batch_size=16, epochs=6, verbose=0, callbacks=callbacks)
    assert keras_chex.summary(model).flops <= 0.5 * (
        keras_chex.summary(model).dense_flops
    )


def test_callbacks_may_stand_anywhere_among_the_arguments():
    model = prepared()
    callback = scheduler()
    model.fit(X, Y, 8, 6, 0, [callback], 0.0, None, False)
    assert len(callback.history) == 5
    assert prepared().fit(X, Y, 8, 1, 0).epoch == [0]


def test_epoch_logs_are_those_of_the_trained_network():
    seen = Weights()
    run([seen, scheduler()])
    keys, _ = seen.seen[0]
    assert {"chex/flops", "chex/params"} <= set(keys)
