"""A whole run on photographs, in small: killed, resumed, finished."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_chex
from experiments.common import photo_run
from experiments.common.imagenet_recipe import ImagenetRecipe
from experiments.common.photo_pipeline import PhotoBatches
from experiments.common.photographs import synthetic_photos
from experiments.common.run_directory import read_json, read_rows

RECIPE = ImagenetRecipe(epochs=3, batch_size=4, base_lr=2.0)
STEPS = 2


class Scheduler(keras_chex.ChexScheduler):
    """Stands for a process that is killed before an epoch, if asked."""

    def __init__(self, killed_before=None):
        super().__init__(flops=0.6, interval=1, end=1, verbose=0)
        self.killed_before = killed_before

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.killed_before:
            raise KeyboardInterrupt
        super().on_epoch_begin(epoch, logs)


def small_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, name="logits"),
        ]
    )


@pytest.fixture(scope="module")
def photos():
    return synthetic_photos(8, 6, size=16)


def make_run(directory, photos, name="CHEX"):
    batches = PhotoBatches(
        photos,
        tf.distribute.get_strategy(),
        image_size=8,
        batch_size=4,
        mixup=0.2,
    )
    return photo_run.PhotoRun(directory, batches, RECIPE, STEPS, name)


@pytest.mark.large
def test_killed_run_ends_where_an_unbroken_one_ends(photos, tmp_path):
    whole = keras_chex.wrap(small_model())
    make_run(tmp_path / "whole", photos).train(whole, Scheduler())

    run = make_run(tmp_path / "killed", photos)
    with pytest.raises(KeyboardInterrupt):
        run.train(keras_chex.wrap(small_model()), Scheduler(killed_before=2))
    assert len(read_rows(run.folder / "history.csv")) == 2
    model = keras_chex.wrap(small_model())
    run.train(model, Scheduler())

    for expected, got in zip(whole.weights, model.weights, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(got),
            keras.ops.convert_to_numpy(expected),
            atol=1e-5,
            err_msg=got.path,
        )
    rows = read_rows(run.folder / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3]

    # A finished training is loaded, and only the rest is made.
    again = keras_chex.wrap(small_model())
    run.train(again, Scheduler(killed_before=0))
    result = run.finish(again, small_model(), keras_chex.wrap, {"seed": 0})
    assert result == read_json(run.directory / "result.json")
    assert result["settings"] == {"seed": 0}
    dense, small = result["contenders"].values()
    assert 0.3 < small["flops"] / dense["flops"] <= 0.6
    assert small["accuracy"] == pytest.approx(rows[-1]["val_accuracy"])
    assert small["training_share"] == pytest.approx(
        np.mean([row["chex/flops"] for row in rows])
    )
    assert 0 < small["latency_ms"] and 0 < dense["latency_ms"]
    for name in ("dense", "chex"):
        assert (run.directory / name / "model.tflite").is_file()
    assert not (run.folder / "backup").exists()
    table = (run.directory / "table.txt").read_text()
    assert "top-5 accuracy" in table


def test_dense_run_stands_alone_in_its_table(photos, tmp_path):
    run = make_run(tmp_path, photos, "dense")
    model = small_model()
    run.train(model)
    result = run.finish(model, small_model(), lambda model: model, {})
    assert list(result["contenders"]) == ["dense"]
    assert result["contenders"]["dense"]["training_share"] == 1.0
    saved = keras.saving.load_model(tmp_path / "dense" / "model.keras")
    np.testing.assert_array_equal(
        saved.get_layer("conv").kernel, model.get_layer("conv").kernel
    )


def test_table_shows_the_accuracy_of_a_dense_run_beside():
    costs = {"flops": 4e9, "params": 100, "tflite_bytes": 9, "latency_ms": 2.0}
    trained = {**costs, "accuracy": 0.75, "train_seconds": 50.0}
    small = {**trained, "flops": 1e9, "accuracy": 0.5}
    result = {"contenders": {"dense": costs, "CHEX": small}}
    lines = photo_run.result_table(result).splitlines()
    assert lines[1].split()[2:] == ["-", "50.00", "%"]
    reference = {"contenders": {"dense": trained}}
    lines = photo_run.result_table(result, reference).splitlines()
    assert lines[1].split()[2:] == ["75.00", "%", "50.00", "%"]
    assert lines[3].split()[2:] == ["4.000", "1.000", "(0.250)"]
