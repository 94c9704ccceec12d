"""Training: a run that was killed ends where an unbroken one ends."""

import keras
import numpy as np
import pytest

from experiments.common import training
from experiments.common.datasets import ImageSet
from experiments.common.recipe import Recipe
from experiments.common.run_directory import read_rows

RECIPE = Recipe(epochs=4, batch_size=8, lr=0.1, shift=1, seed=3)


class StopBefore(keras.callbacks.Callback):
    """Stands for a killed process."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def small_model():
    keras.utils.set_random_seed(RECIPE.seed)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="logits"),
        ]
    )


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 40).astype("int32")
    pixels = rng.normal(size=(40, 4, 4, 1)) + labels[:, None, None, None]
    pixels = pixels.astype("float32")
    return ImageSet("toy", (pixels[:24], labels[:24]), (pixels, labels), 2)


def interrupt(images, folder, epoch, **options):
    with pytest.raises(KeyboardInterrupt):
        training.train(
            small_model(),
            images,
            RECIPE,
            folder,
            [StopBefore(epoch)],
            **options,
        )


@pytest.mark.parametrize("backup_every, epoch", [(1, 2), (2, 3), (3, 2)])
def test_interrupted_run_ends_where_an_unbroken_one_ends(
    images, tmp_path, backup_every, epoch
):
    whole = small_model()
    rows = training.train(whole, images, RECIPE, tmp_path / "whole")
    interrupt(images, tmp_path / "two", epoch, backup_every=backup_every)
    model = small_model()
    again = training.train(model, images, RECIPE, tmp_path / "two")

    for expected, got in zip(whole.weights, model.weights, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(got),
            keras.ops.convert_to_numpy(expected),
            atol=1e-6,
        )
    assert [row["epoch"] for row in again] == [1, 2, 3, 4]
    assert [row["val_loss"] for row in again] == pytest.approx(
        [row["val_loss"] for row in rows], abs=1e-5
    )


def test_rows_after_the_last_saved_state_are_written_anew(images, tmp_path):
    interrupt(images, tmp_path, epoch=3, backup_every=2)
    assert len(read_rows(tmp_path / "history.csv")) == 3
    training.train(small_model(), images, RECIPE, tmp_path)
    rows = read_rows(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]


def test_only_the_newest_state_is_kept(images, tmp_path):
    training.train(small_model(), images, RECIPE, tmp_path)
    names = [path.name for path in (tmp_path / "backup").iterdir()]
    assert names == ["state-00004.weights.h5"]


def test_a_finished_training_is_loaded_and_not_repeated(images, tmp_path):
    first = small_model()
    training.train(first, images, RECIPE, tmp_path)
    second = small_model()
    rows = training.train(second, images, RECIPE, tmp_path, [StopBefore(0)])
    assert len(rows) == 4
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(second.get_layer("conv").kernel),
        keras.ops.convert_to_numpy(first.get_layer("conv").kernel),
    )
    assert int(second.optimizer.iterations) == 4 * 3


def test_history_has_accuracies_and_time(images, tmp_path):
    rows = training.train(small_model(), images, RECIPE, tmp_path)
    for row in rows:
        assert 0 <= row["val_accuracy"] <= 1
        assert row["seconds"] > 0
    assert rows[-1]["val_accuracy"] > 0.6


def test_progress_is_printed_every_few_epochs(images, tmp_path, capsys):
    line = training.ProgressLine("dense", every=3)
    training.train(small_model(), images, RECIPE, tmp_path, [line])
    printed = capsys.readouterr().out.splitlines()
    assert [text[:16] for text in printed] == [
        "dense  epoch 3/4",
        "dense  epoch 4/4",
    ]


def test_progress_shows_what_there_is(capsys):
    line = training.ProgressLine("x", shown=(("loss", "loss"), ("AP", "AP")))
    line.set_params({"epochs": 2})
    line.on_epoch_end(0, {"loss": 0.5, "accuracy": 1.0})
    line.on_epoch_end(1, {"loss": 0.25, "AP": 0.125})
    assert capsys.readouterr().out.splitlines() == [
        "x  epoch 1/2  loss 0.5000",
        "x  epoch 2/2  loss 0.2500  AP 0.1250",
    ]
