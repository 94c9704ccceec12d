"""`ChexScheduler` inside `fit`: budgets, logs, resuming, stopping early."""

import keras
import numpy as np
import pytest

import keras_chex
from tests.callbacks.small_run import X, Y, fit, prepared, scheduler


@pytest.mark.parametrize(
    "kind,budget",
    [("flops", 0.25), ("flops", 0.8), ("params", 0.4), ("sparsity", 0.6)],
)
def test_budget_is_met_and_never_exceeded(kind, budget):
    model = prepared()
    fit(model, scheduler(**{kind: budget}))
    costs = keras_chex.summary(model)
    kept = {
        "flops": costs.flops / costs.dense_flops,
        "params": costs.params / costs.dense_params,
        "sparsity": costs.channels / costs.dense_channels,
    }[kind]
    limit = 1 - budget if kind == "sparsity" else budget
    # 40 channels: one of them is up to 3 % of the cost.
    assert 0.96 * limit < kept <= limit + 1e-9


def test_logs_have_the_same_keys_every_epoch():
    history = fit(prepared(run_eagerly=False), scheduler()).history
    for key in ("flops", "params", "channels", "regrown"):
        assert len(history[f"chex/{key}"]) == 6
    assert history["chex/flops"][-1] <= 0.5
    assert sum(history["chex/regrown"]) > 0
    assert history["chex/regrown"][-1] == 0


def test_history_lists_every_exploration_step():
    callback = scheduler()
    fit(prepared(), callback)
    assert [entry["epoch"] for entry in callback.history] == [0, 1, 2, 3, 4]
    assert [entry["step"] for entry in callback.history] == [0, 2, 4, 6, 8]
    assert set(callback.history[-1]["widths"]) == {"stem", "inner"}


def test_no_group_falls_under_its_floor():
    callback = scheduler(flops=0.3, min_channels=6)
    fit(prepared(), callback)
    for entry in callback.history:
        assert min(entry["widths"].values()) >= 6


def test_widths_are_multiples_of_round_to():
    callback = scheduler(round_to=8)
    fit(prepared(), callback)
    for entry in callback.history:
        assert all(width % 8 == 0 for width in entry["widths"].values())


def test_multiples_are_chosen_by_the_size_of_a_group():
    model = keras_chex.wrap(
        keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(64, "relu", name="wide"),
                keras.layers.Dense(24, "relu", name="narrow"),
                keras.layers.Dense(2),
            ]
        )
    )
    model.compile("sgd", "mse")
    scheduler = keras_chex.ChexScheduler(params=0.6, interval=1, verbose=0)
    x, y = np.ones((8, 4)), np.ones((8, 2))
    model.fit(x, y, epochs=6, verbose=0, callbacks=[scheduler])
    widths = [entry["widths"] for entry in scheduler.history]
    assert {each["wide"] % 4 for each in widths} == {0}
    assert any(each["narrow"] % 4 for each in widths)
    assert scheduler.history[-1]["params"] <= 0.6


def test_equal_scales_give_uniform_widths():
    widths = []
    for allocation in ("bn_scale", "uniform"):
        model = prepared()
        model.optimizer.learning_rate = 0.0
        callback = scheduler(flops=0.4, allocation=allocation)
        fit(model, callback)
        widths.append([entry["widths"] for entry in callback.history])
    assert widths[0] == widths[1]


def test_unit_step_meets_every_interval():
    callback = scheduler(unit="step", interval=3, end=12)
    fit(prepared(), callback)
    assert [entry["step"] for entry in callback.history] == [0, 3, 6, 9, 12]


@pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="Keras on PyTorch executes one step at a time",
)
def test_unit_step_with_several_steps_per_execution():
    callback = scheduler(unit="step", interval=3, end=12)
    fit(prepared(run_eagerly=False, steps_per_execution=2), callback)
    assert [entry["step"] for entry in callback.history] == [0, 4, 6, 10, 12]


def test_training_that_stops_early_still_meets_the_budget():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    model = prepared()
    fit(model, scheduler(), callbacks=[Stop()])
    costs = keras_chex.summary(model)
    assert costs.flops <= 0.5 * costs.dense_flops


@pytest.mark.parametrize(
    "backup_first", [True, pytest.param(False, marks=pytest.mark.large)]
)
def test_a_run_that_was_interrupted_goes_on_alike(tmp_path, backup_first):
    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    whole = prepared()
    fit(whole, scheduler(), shuffle=False)

    def resumable(model, *more):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        callbacks = (
            [backup, scheduler()]
            if backup_first
            else [
                scheduler(),
                backup,
            ]
        )
        model.fit(
            X,
            Y,
            batch_size=16,
            epochs=6,
            verbose=0,
            shuffle=False,
            callbacks=[*callbacks, *more],
        )

    with pytest.raises(KeyboardInterrupt):
        resumable(prepared(), Crash())
    again = prepared(seed=5)
    resumable(again)
    for name, mask in keras_chex.active_channels(whole).items():
        np.testing.assert_array_equal(
            keras_chex.active_channels(again)[name], mask
        )
    np.testing.assert_allclose(
        again.predict(X, verbose=0), whole.predict(X, verbose=0), atol=1e-4
    )


def test_a_second_run_explores_again():
    model = prepared()
    fit(model, scheduler())
    callback = scheduler(flops=0.3)
    fit(model, callback)
    assert len(callback.history) == 5
    costs = keras_chex.summary(model)
    assert costs.flops <= 0.3 * costs.dense_flops


def test_the_draw_depends_on_the_seed_alone():
    runs = []
    for seed in (0, 0, 1):
        model = prepared()
        model.optimizer.learning_rate = 0.0
        fit(model, scheduler(seed=seed, end=6, interval=2), epochs=6)
        runs.append(
            np.concatenate(list(keras_chex.active_channels(model).values()))
        )
    np.testing.assert_array_equal(runs[0], runs[1])


def test_excluded_layers_stay_whole():
    model = prepared()
    fit(model, scheduler(flops=0.7, exclude=["stem"]))
    assert keras_chex.active_channels(model)["stem"].all()


def test_plan_and_steps_are_reported(capsys):
    fit(prepared(), scheduler(verbose=1, flops=0.4))
    text = capsys.readouterr().out
    assert "Channel exploration to flops=0.4: at most" in text
    assert "kept: model output" in text
    assert "Epoch 2, step 2: exploration 1/4:" in text


@pytest.mark.slow_on_jax
@pytest.mark.parametrize(
    "option", ["l1", "css_consumers", "bn_scale", "fisher", "random"]
)
def test_every_criterion_trains(option):
    model = prepared()
    fit(model, scheduler(criterion=option), epochs=3)
    costs = keras_chex.summary(model)
    assert costs.flops <= 0.5 * costs.dense_flops


@pytest.mark.slow_on_jax
@pytest.mark.parametrize(
    "options",
    [
        {"sampling": "uniform"},
        {"sampling": "none"},
        {"sampling": "gradual"},
        {"restore": "zeros"},
        {"restore": "random"},
        {"allocation": "uniform"},
        {"allocation": "bn_scale_raw"},
        {"allocation": "fisher"},
        {"allocation": "cost"},
        {"schedule": "linear"},
        {"schedule": lambda progress: 1 - progress},
        {"probability": "softmax"},
        {"allocation": "bn_scale", "blend": 1.0, "floor": 0.2},
    ],
    ids=lambda options: "-".join(f"{k}" for k in options),
)
def test_every_option_trains_to_the_budget(options):
    model = prepared()
    fit(model, scheduler(**options), epochs=3)
    costs = keras_chex.summary(model)
    assert costs.flops <= 0.5 * costs.dense_flops


def test_training_that_diverged_is_named():
    model = prepared()
    model.get_layer("inner").kernel.assign(np.full((3, 3, 16, 24), np.nan))
    with pytest.raises(ValueError, match="layer 'inner' is not finite"):
        fit(model, scheduler())
