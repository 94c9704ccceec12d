"""A contest of dense, CHEX and slim, small enough to run in seconds."""

import keras
import numpy as np
import pytest

import keras_chex
from experiments.common import contest, training
from experiments.common.datasets import load_digits
from experiments.common.recipe import Recipe
from experiments.common.run_directory import read_json, read_rows
from experiments.common.widths import stage_widths

pytestmark = pytest.mark.slow

RECIPE = Recipe(epochs=4, batch_size=64, lr=0.1, shift=1)
TITLE = "Digits"


def build(widths):
    first, second, _ = widths
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(first, 3, use_bias=False, name="first"),
            keras.layers.BatchNormalization(name="first_bn"),
            keras.layers.ReLU(),
            keras.layers.Conv2D(second, 3, use_bias=False, name="second"),
            keras.layers.BatchNormalization(name="second_bn"),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, name="logits"),
        ]
    )


def scheduler():
    return keras_chex.ChexScheduler(
        flops=0.5, regrow=0.2, interval=1, end=0.75, verbose=0
    )


@pytest.fixture(scope="module")
def images():
    return load_digits().first(train=128, test=64)


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory, eager_training):
    race = contest.Contest(tmp_path_factory.mktemp("run"), images, RECIPE)
    return race, race.run(build, 12, scheduler(), True, TITLE)


def test_chex_ends_just_below_its_budget(finished):
    _, results = finished
    share = results["CHEX"]["flops"] / results["dense"]["flops"]
    assert 0.48 < share <= 0.5


def test_slim_network_costs_about_the_same(finished):
    _, results = finished
    share = results["slim"]["flops"] / results["CHEX"]["flops"]
    assert share == pytest.approx(1, abs=0.1)


def test_exported_model_is_what_was_measured(finished, images):
    race, results = finished
    path = race.folder("CHEX") / "model.keras"
    model = keras.models.load_model(path)
    assert keras_chex.flops(model) == results["CHEX"]["flops"]
    assert model.count_params() == results["CHEX"]["params"]
    logits = model.predict(images.test[0], verbose=0)
    hits = logits.argmax(axis=-1) == images.test[1]
    assert hits.mean() == results["CHEX"]["accuracy"]


def test_history_follows_the_widths_of_all_groups(finished):
    race, results = finished
    rows = read_rows(race.directory / "history.csv")
    explored = [row for row in rows if row["model"] == "CHEX"]
    assert results["CHEX"]["groups"] == {"first": 12, "second": 24}
    model = keras.models.load_model(race.folder("CHEX") / "model.keras")
    for group in ("first", "second"):
        widths = [row[f"channels/{group}"] for row in explored]
        assert widths[-1] == model.get_layer(group).filters
        assert widths[0] >= widths[-1]
    assert explored[-1]["chex/flops"] == pytest.approx(
        results["CHEX"]["flops"] / results["dense"]["flops"]
    )


def test_everything_is_written(finished):
    race, results = finished
    names = {path.name for path in race.directory.iterdir()}
    assert {"curves.png", "channels.png", "history.csv"} <= names
    written = read_json(race.directory / "result.json")
    assert written["contenders"] == results
    assert written["recipe"]["epochs"] == 4
    for name in results:
        folder = {path.name for path in race.folder(name).iterdir()}
        assert folder == {
            "history.csv",
            "model.keras",
            "model.tflite",
            "model.tflite.json",
            "saved_model",
            "result.json",
        }


def test_finished_contenders_are_not_trained_again(finished, capsys):
    race, results = finished

    def never(widths):
        if widths == stage_widths(12):
            raise AssertionError("a finished contender was built again")
        return build(widths)

    again = race.run(never, 12, scheduler(), False, TITLE)
    assert capsys.readouterr().out.count("finished before") == 2
    for name, result in again.items():
        assert result["accuracy"] == results[name]["accuracy"]


def test_report_shows_the_mean_of_several_seeds(finished, tmp_path, capsys):
    _, results = finished
    contest.report([results, results], tmp_path)
    table = (tmp_path / "table.txt").read_text()
    assert table in capsys.readouterr().out
    assert "± 0.00 %" in table
    written = read_json(tmp_path / "result.json")["contenders"]
    assert written["dense"] == [results["dense"]] * 2


class StopBefore(keras.callbacks.Callback):
    """Stands for a killed process."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def explored_weights(images, folder, extra=()):
    keras.utils.set_random_seed(0)
    model = keras_chex.wrap(build((8, 12, None)))
    callbacks = [*extra, scheduler(), training.ChannelLog()]
    rows = training.train(model, images, RECIPE, folder, callbacks)
    stripped = keras_chex.strip(model)
    weights = map(keras.ops.convert_to_numpy, stripped.weights)
    return rows, list(weights)


@pytest.mark.large
def test_interrupted_exploration_ends_where_an_unbroken_one_ends(
    images, tmp_path
):
    rows, weights = explored_weights(images, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        explored_weights(images, tmp_path / "two", [StopBefore()])
    again, resumed = explored_weights(images, tmp_path / "two")
    for expected, got in zip(weights, resumed, strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)
    for key in ("chex/flops", "channels/first", "channels/second"):
        assert [r[key] for r in again] == [r[key] for r in rows]
