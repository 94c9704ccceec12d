"""`ChexScheduler(latency=...)`, on tables that are made up."""

import keras
import pytest

import keras_chex
from keras_chex.callbacks import latency as latency_module
from keras_chex.callbacks.agreement import worker_count
from tests.callbacks.latency_tables import made_up_table
from tests.callbacks.small_run import X, Y, fit, prepared


def scheduler_for(model, **options):
    options = {
        "latency": 0.5,
        "latency_table": made_up_table(model),
        "interval": 1,
        "verbose": 0,
        **options,
    }
    return keras_chex.ChexScheduler(**options)


def test_training_ends_within_the_latency():
    model = prepared()
    table = made_up_table(model)
    dense = table.predict(model)
    scheduler = scheduler_for(model, latency_table=table)
    history = fit(model, scheduler).history
    reached = history["chex/latency"][-1]
    assert 0.4 < reached <= 0.5
    assert table.predict(model) == pytest.approx(reached * dense, rel=1e-6)
    assert scheduler.history[-1]["latency"] == reached
    assert set(scheduler.history[0]) >= {"flops", "params", "latency"}


def test_other_budgets_log_no_latency():
    model = prepared()
    scheduler = keras_chex.ChexScheduler(flops=0.5, interval=1, verbose=0)
    assert "chex/latency" not in fit(model, scheduler).history
    assert scheduler.latency_table is None


def test_a_table_is_read_from_its_file(tmp_path):
    model = prepared()
    table = made_up_table(model)
    table.save(tmp_path / "phone.json")
    scheduler = scheduler_for(model, latency_table=tmp_path / "phone.json")
    assert scheduler.latency_table == table


def test_plan_and_steps_say_what_was_asked_and_reached(capsys):
    model = prepared()
    scheduler = scheduler_for(model, verbose=1)
    plan = str(scheduler.plan(model, epochs=6))
    assert "Channel exploration to latency=0.5: at most " in plan
    assert " ms on phone, 1 thread, LiteRT." in plan
    fit(model, scheduler)
    assert "% of the dense latency" in capsys.readouterr().out


@pytest.mark.tensorflow
def test_a_table_is_measured_when_there_is_none(monkeypatch):
    model = prepared()
    table = made_up_table(model)
    asked = []

    def measure(model, input_shape, share):
        asked.append((model, input_shape, share))
        return table

    monkeypatch.setattr(latency_module, "measure_latency", measure)
    monkeypatch.setattr(latency_module, "worker_count", lambda model: 1)
    scheduler = scheduler_for(model, latency_table=None)
    assert scheduler.latency_table is None
    scheduler.plan(model, epochs=6)
    scheduler.plan(model, epochs=6)
    assert scheduler.latency_table is table
    assert asked == [(model, None, 0.5)]


@pytest.mark.tensorflow
def test_measuring_is_announced(monkeypatch, capsys):
    model = prepared()
    table = made_up_table(model)
    monkeypatch.setattr(
        latency_module, "measure_latency", lambda model, **options: table
    )
    monkeypatch.setattr(latency_module, "worker_count", lambda model: 1)
    scheduler_for(model, latency_table=None, verbose=1).plan(model, epochs=6)
    assert "Measuring the latency" in capsys.readouterr().out


def test_several_workers_need_a_table(monkeypatch):
    model = prepared()
    assert worker_count(model) == 1
    monkeypatch.setattr(latency_module, "worker_count", lambda model: 2)
    scheduler = scheduler_for(model, latency_table=None)
    with pytest.raises(ValueError, match="given in a job of several workers"):
        scheduler.plan(model, epochs=6)


def test_other_backends_need_a_table(monkeypatch):
    model = prepared()
    monkeypatch.setattr(latency_module, "worker_count", lambda model: 1)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    scheduler = scheduler_for(model, latency_table=None)
    with pytest.raises(ValueError, match="must be given where Keras does not"):
        scheduler.plan(model, epochs=6)


def test_the_table_of_another_model_is_refused():
    model = prepared()
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    scheduler = scheduler_for(model, latency_table=made_up_table(other))
    with pytest.raises(ValueError, match=r"without 4 layers.*'stem' \(convol"):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[scheduler])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flops": 0.5}, "`latency` must be given. Received"),
        ({"latency": 1.5}, "`latency` must be between 0 and 1"),
        ({"latency": 0.001}, "`latency` asks for less than"),
        ({"latency": None, "flops": 0.5}, "must come with a budget `latency`"),
        ({"latency_table": "nowhere.json"}, "must be a JSON file"),
    ],
)
def test_wrong_budgets_are_refused(options, message):
    model = prepared()
    with pytest.raises(ValueError, match=message):
        scheduler_for(model, **options).plan(model, epochs=6)


def test_wrong_tables_are_refused():
    with pytest.raises(TypeError, match="`latency_table` must be"):
        scheduler_for(prepared(), latency_table={"conv": 3})
