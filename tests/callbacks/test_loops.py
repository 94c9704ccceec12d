"""`ChexScheduler` in training loops written by hand, and its plan."""

import keras
import numpy as np
import pytest

import keras_chex
from tests.callbacks.small_run import X, Y, fit, prepared, scheduler

BATCH = 16
STEPS = len(X) // BATCH


def loop(model, callback, first=0, last=6 * STEPS):
    changed = []
    for step in range(first, last):
        begin = BATCH * (step % STEPS)
        rows = slice(begin, begin + BATCH)
        model.train_on_batch(X[rows], Y[rows])
        if callback.step():
            changed.append(step + 1)
    return changed


@pytest.mark.parametrize(
    "options,times",
    [
        ({"interval": 1, "end": 4}, [2, 4, 6, 8]),
        ({"unit": "step", "interval": 3, "end": 8}, [3, 6, 8]),
    ],
)
def test_a_loop_by_hand_does_what_fit_does(options, times):
    model, callback = prepared(), scheduler(**options)
    callback.start(model, epochs=6, steps_per_epoch=STEPS)
    assert loop(model, callback) == times
    assert callback.finish()["chex/flops"] <= 0.5
    fitted = prepared()
    other = scheduler(**options)
    fit(fitted, other, shuffle=False)
    assert [e["fingerprint"] for e in callback.history] == [
        e["fingerprint"] for e in other.history
    ]
    for ours, theirs in zip(model.weights, fitted.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("unit,interval,end", [("epoch", 1, 4), ("step", 3, 8)])
@pytest.mark.parametrize("stop", [pytest.param(1, marks=pytest.mark.large), 7])
def test_an_interrupted_loop_goes_on(tmp_path, unit, interval, end, stop):
    options = {"unit": unit, "interval": interval, "end": end}
    whole, callback = prepared(), scheduler(**options)
    callback.start(whole, epochs=6, steps_per_epoch=STEPS)
    loop(whole, callback)
    callback.finish()

    first, callback = prepared(), scheduler(**options)
    callback.start(first, epochs=6, steps_per_epoch=STEPS)
    loop(first, callback, last=stop)
    first.save_weights(tmp_path / "state.weights.h5")

    again, callback = prepared(seed=7), scheduler(**options)
    again.optimizer.build(again.trainable_variables)
    again.load_weights(tmp_path / "state.weights.h5")
    callback.start(again, epochs=6, steps_per_epoch=STEPS)
    loop(again, callback, first=stop)
    callback.finish()
    for ours, theirs in zip(again.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(np.array(ours), np.array(theirs))


def test_a_loop_that_stops_early_is_cut_to_the_budget():
    model, callback = prepared(), scheduler()
    callback.start(model, epochs=6, steps_per_epoch=STEPS)
    loop(model, callback, last=3)
    assert keras_chex.summary(model).flops > 0.5 * 1e5
    assert callback.finish()["chex/flops"] <= 0.5


def test_the_plan_tells_what_training_costs():
    model = prepared()
    plan = scheduler(allocation="uniform").plan(model, epochs=10)
    assert plan.clock.times == (1, 2, 3, 4, 5, 6, 7)
    callback = scheduler(allocation="uniform")
    history = fit(model, callback, epochs=10).history
    assert plan.training_share == pytest.approx(
        np.mean(history["chex/flops"]), abs=1e-6
    )
    assert "Training is expected to take" in str(plan)


def test_a_dense_start_waits_for_the_first_step():
    model = prepared()
    callback = scheduler(flops=0.3, initial="dense", interval=2)
    plan = callback.plan(model, epochs=6)
    assert plan.start == 1
    before = model.predict(X, verbose=0)
    model.optimizer.learning_rate = 0.0
    history = fit(model, callback).history
    assert history["chex/flops"][:2] == [1.0, 1.0]
    assert history["chex/flops"][2] < 1
    assert history["chex/flops"][-1] <= 0.3
    assert before.shape == (32, 4)


def test_weights_of_a_trained_model_are_kept_by_a_dense_start():
    model = prepared()
    state = [np.array(w) for w in model.get_layer("stem").layer.weights]
    callback = scheduler(initial="dense")
    callback.start(model, epochs=6, steps_per_epoch=STEPS)
    for before, now in zip(
        state, model.get_layer("stem").layer.weights, strict=True
    ):
        np.testing.assert_array_equal(before, np.array(now))


def test_unknown_start_is_refused():
    message = (
        r"^Argument `initial` must be one of \['uniform', 'dense'\]. "
        "Received: initial='full'$"
    )
    with pytest.raises(ValueError, match=message):
        scheduler(initial="full")


def test_steps_of_a_run_count_updates_of_the_optimizer():
    optimizer = keras.optimizers.SGD(0.05, gradient_accumulation_steps=2)
    model = prepared(optimizer=optimizer)
    callback = scheduler(unit="step", interval=2, end=0.5)
    fit(model, callback)
    # 6 epochs of 2 batches are 6 updates; exploration ends at 3.
    assert [entry["step"] for entry in callback.history] == [0, 2, 3]
