"""Dense and CHEX on a few synthetic clouds: results, files, pictures."""

import keras
import numpy as np
import pytest

import keras_chex
from experiments.common import (
    contest,
    point_contest,
    point_models,
    point_pictures,
)
from experiments.common.point_files import synthetic_points
from experiments.common.point_pipeline import Augmentation, PointBatches
from experiments.common.point_recipe import PointRecipe, compile_model
from experiments.common.run_directory import read_json, read_rows

pytestmark = pytest.mark.slow

RECIPE = PointRecipe(epochs=2, batch_size=8, lr=3e-3)


def build():
    # PointNet++ takes three times as long to compile; the program's test has
    # it.
    return point_models.pointnet(24, 4, (8, 16), (12,), (), 0.1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, eager_training):
    batches = PointBatches(
        synthetic_points(16, 8), 24, 8, Augmentation(jitter=0.0), balance=0.5
    )
    race = point_contest.PointContest(
        tmp_path_factory.mktemp("run"),
        batches,
        RECIPE,
        latency_runs=3,
        draws=2,
    )
    scheduler = keras_chex.ChexScheduler(
        flops=0.5, regrow=0.2, interval=1, end=1, verbose=0
    )
    return race, race.run(build, scheduler, "Shapes")


@pytest.fixture(params=["dense", "CHEX"])
def folder(request, finished):
    return finished[0].folder(request.param)


def test_budget_is_met(finished):
    _, results = finished
    share = results["CHEX"]["flops"] / results["dense"]["flops"]
    assert 0.45 < share <= 0.5
    assert results["dense"]["training_share"] == 1.0
    assert 0.5 < results["CHEX"]["training_share"] < 1.0


def test_accuracies_are_those_of_the_predictions_kept(finished, folder):
    race, results = finished
    predicted = np.array(read_json(folder / "predictions.json"))
    right = predicted == race.images.task.test.labels
    result = read_json(folder / "result.json")
    assert result["accuracy"] == pytest.approx(right.mean())
    # Each class has as many test clouds as the others.
    assert result["mean_class_accuracy"] == pytest.approx(right.mean())
    assert result["accuracy"] in [r["accuracy"] for r in results.values()]


def test_saved_model_predicts_what_was_measured(finished, folder):
    race, _ = finished
    loaded = keras.models.load_model(folder / "model.keras")
    predicted = point_contest.predictions(loaded, race.images, draws=2)
    assert predicted.tolist() == read_json(folder / "predictions.json")


def test_all_files_are_there(finished, folder):
    race, _ = finished
    for name in ("model.tflite", "saved_model/saved_model.pb"):
        assert (folder / name).stat().st_size > 0
    rows = read_rows(folder / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2]
    for name in ("curves.png", "channels.png", "clouds.png", "result.json"):
        assert (race.directory / name).stat().st_size > 0


def test_table_has_both_accuracies(finished, capsys):
    race, results = finished
    contest.report([results], race.directory, point_contest.ROWS)
    table = capsys.readouterr().out
    for line in ("overall accuracy", "mean-class accuracy", "training FLOPs"):
        assert line in table
    assert (race.directory / "table.txt").read_text() in table


def test_averages_of_draws_decide():
    class Votes:
        """Is sure of class 1 in the second draw, and leans to 0 before."""

        def __init__(self):
            self.calls = 0

        def predict(self, dataset, verbose):
            self.calls += 1
            count = sum(len(labels) for _, labels in dataset)
            row = [1.0, 0.0] if self.calls == 1 else [0.0, 50.0]
            return np.tile(np.array(row, "float32"), (count, 1))

    batches = PointBatches(synthetic_points(8, 8), 8, 4)
    assert point_contest.predictions(Votes(), batches).tolist() == [0] * 8
    assert point_contest.predictions(Votes(), batches, 2).tolist() == [1] * 8


def test_mean_over_classes_ignores_their_sizes():
    found = point_contest.accuracies(
        np.array([0] * 8 + [3] * 2), np.array([0] * 8 + [3, 1])
    )
    assert found == {"accuracy": 0.9, "mean_class_accuracy": 0.75}


def test_weight_decay_spares_biases_and_norms():
    model = build()
    compile_model(model, PointRecipe(weight_decay=0.1), steps_per_epoch=10)
    model.optimizer.build(model.trainable_variables)
    decayed = {
        variable.name
        for variable in model.trainable_variables
        if model.optimizer._use_weight_decay(variable)
    }
    assert decayed == {"kernel"}


def test_pictures_show_all_classes_and_differences():
    labels = np.arange(40) % 10
    same = labels.copy()
    other = labels.copy()
    other[[31, 35]] = 0
    shown = point_pictures.chosen_clouds(labels, [same, other])
    assert len(shown) == 12
    assert set(labels[shown]) == set(range(10))
    assert {31, 35} <= set(shown)
