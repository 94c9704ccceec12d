"""Cells of every kind, trained in miniature on noise."""

import dataclasses
import importlib.util
import json

import keras
import numpy as np
import pytest

from experiments.common import training
from experiments.common.run_directory import read_json
from experiments.compare import cell as cells
from experiments.compare import grid
from experiments.compare.cell import mean_share, run_cell
from experiments.compare.data import load_images
from experiments.compare.estimate import Estimator
from experiments.compare.places import Places
from experiments.compare.settings import Setting
from experiments.compare.variants import CONTENDERS

pytestmark = pytest.mark.slow

EPOCHS, IMAGES = 4, 64
TOY = Setting("toy", "digits", 8, 8, 4, EPOCHS, 64, 0.05, 1e-3, 1)
# Those that need another come after it.
NAMES = ("dense", "slim", "oneshot_css", "chex")
NAMES += ("slim_equal_training", "chex_widths_scratch", "magnitude")


def toy(name):
    return grid.Cell(TOY, CONTENDERS[name], 0.5, seed=1)


def make_data(directory):
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES + 20, dtype="int32") % 10
    pixels = rng.normal(8, 4, (len(labels), 8, 8, 1)).astype("float32")
    pixels[:, 0] += labels[:, None, None]
    directory.mkdir(parents=True)
    np.savez(
        directory / "digits_8.npz",
        train_images=pixels[:IMAGES],
        train_labels=labels[:IMAGES],
        test_images=pixels[IMAGES:],
        test_labels=labels[IMAGES:],
    )


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    places = Places(workdir, workdir / "records")
    make_data(places.data())
    return places


@pytest.fixture(scope="module")
def records(places, eager_training):
    return {name: run_cell(toy(name), places) for name in NAMES}


def test_variants_are_chosen_on_training_images(places):
    everything = load_images(TOY, places.data())
    setting = dataclasses.replace(TOY, holdout=24, examples=32)
    images = load_images(setting, places.data())
    labels = everything.train[1]
    np.testing.assert_array_equal(images.train[1], labels[:32])
    np.testing.assert_array_equal(images.test[1], labels[IMAGES - 24 :])
    # Not even images that are left out of training are scored.
    assert len(images.test[0]) == 24


def test_missing_data_and_nothing_to_make_it_of(tmp_path, monkeypatch):
    setting = dataclasses.replace(TOY, dataset="cifar10")
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "tensorflow_datasets" else find(name),
    )
    with pytest.raises(RuntimeError, match="cifar10_8.npz is missing"):
        load_images(setting, tmp_path)


def cost_by_hand(first, second, third):
    """Multiply-adds of ResNet-8 on 8x8 images of one colour."""
    stem = 64 * 9 * first
    stage1 = 64 * 9 * 2 * first * first
    stage2 = 16 * (9 * first * second + 9 * second**2 + first * second)
    stage3 = 4 * (9 * second * third + 9 * third**2 + second * third)
    return stem + stage1 + stage2 + stage3 + 10 * third


def test_training_flops_of_a_dense_cell(records):
    record = records["dense"]
    assert record["flops"] == record["dense_flops"] == 49_568
    assert cost_by_hand(4, 8, 16) == 49_568
    assert record["train_flops"] == 49_568 * IMAGES * EPOCHS
    assert record["train_flops"] == record["dense_train_flops"]
    assert record["groups"] == {} and record["widths"] == []


def test_training_flops_of_a_slim_cell(records):
    record = records["slim"]
    assert record["flops"] == cost_by_hand(3, 5, 11)
    assert abs(record["flops"] / 49_568 - 0.5) < 0.05
    assert record["train_flops"] == record["flops"] * IMAGES * EPOCHS


def test_longer_slim_cell_trains_as_many_flops_as_chex(records):
    record, chex = records["slim_equal_training"], records["chex"]
    assert record["flops"] == records["slim"]["flops"]
    assert record["epochs"] == len(record["history"]["accuracy"])
    assert record["train_flops"] == pytest.approx(
        chex["train_flops"], abs=record["flops"] * IMAGES / 2 + 1
    )


def test_magnitude_leaves_the_parameters_of_slim_and_no_less_flops(records):
    record, slim = records["magnitude"], records["slim"]
    # Every kernel is rounded to whole elements.
    assert record["params"] == pytest.approx(slim["params"], abs=20)
    assert record["flops"] == record["dense_flops"]
    assert record["train_flops"] == record["dense_train_flops"]


def test_one_shot_is_dense_and_then_small(records):
    record = records["oneshot_css"]
    epochs = record["history"]["train_flops"]
    assert epochs[:2] == [49_568 * IMAGES] * 2
    assert epochs[2:] == [record["flops"] * IMAGES] * 2
    assert [epoch for epoch, _ in record["widths"]] == [0, 2]
    assert 0.45 < record["flops"] / 49_568 <= 0.5


def test_chex_meets_the_budget_and_says_how_its_widths_went(records):
    record = records["chex"]
    assert 0.45 < record["flops"] / record["dense_flops"] <= 0.5
    assert record["widths"][0][0] == 0
    widths = record["widths"][-1][1]
    assert len(widths) == len(record["groups"])
    assert sum(widths) < sum(record["groups"].values())
    last = record["history"]["train_flops"][-1]
    assert last == record["flops"] * IMAGES
    assert sum(record["history"]["train_flops"]) == record["train_flops"]


def test_scratch_has_the_widths_of_chex_from_the_start(records):
    record, chex = records["chex_widths_scratch"], records["chex"]
    assert record["flops"] == chex["flops"]
    assert record["params"] == chex["params"]
    assert record["train_flops"] == chex["flops"] * IMAGES * EPOCHS


def test_record_has_what_a_page_needs(records, places):
    for name, record in records.items():
        assert len(record["history"]["accuracy"]) == record["epochs"]
        assert record["accuracy"] == pytest.approx(
            record["history"]["accuracy"][-1], abs=1e-4
        )
        assert 0 < record["seconds"] and 0 < record["core_seconds"]
        assert record["software"]["keras"] == keras.__version__
        assert record["hardware"]["devices"] and record["alone"]
        text = places.record(toy(name)).read_text()
        assert json.loads(text) == json.loads(json.dumps(record))
        assert not (places.folder(toy(name)) / "backup").exists()


def test_finished_cell_is_not_trained_again(records, places, monkeypatch):
    monkeypatch.setattr(cells, "_train", lambda *_: pytest.fail("again"))
    assert run_cell(toy("chex"), places) == read_json(
        places.record(toy("chex"))
    )


class Kill(training.ProgressLine):
    """Stands for a killed process, before the second exploration step."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise KeyboardInterrupt


@pytest.mark.large
def test_killed_cell_ends_with_the_same_record(
    records, places, tmp_path, monkeypatch
):
    again = Places(tmp_path, tmp_path / "records")
    make_data(again.data())
    with monkeypatch.context() as patch:
        patch.setattr(cells, "ProgressLine", Kill)
        with pytest.raises(KeyboardInterrupt):
            run_cell(toy("chex"), again)
    assert not again.record(toy("chex")).exists()
    elsewhere = {
        "hardware": {"processor": "another", "devices": ["gpu:0"]},
        "software": {"keras": "0", "another": "1"},
    }
    machines = again.folder(toy("chex")) / "machines.json"
    machines.write_text(json.dumps([elsewhere]))
    record, whole = run_cell(toy("chex"), again), records["chex"]
    for key in ("accuracy", "flops", "params", "train_flops"):
        assert record[key] == pytest.approx(whole[key])
    assert record["hardware"]["processor"].startswith("another, then ")
    assert record["hardware"]["devices"][0] == "gpu:0"
    assert record["software"] == {**whole["software"], "another": "1"}
    assert record["widths"] == whole["widths"]
    assert record["history"]["train_flops"] == whole["history"]["train_flops"]
    assert record["history"]["loss"] == pytest.approx(
        whole["history"]["loss"], abs=1e-3
    )


def test_cell_of_another_setting_is_refused(places):
    other = dataclasses.replace(TOY, lr=0.1)
    cell = dataclasses.replace(toy("prune_early"), setting=TOY)
    folder = places.folder(cell)
    folder.mkdir(parents=True)
    (folder / "flags.json").write_text(
        json.dumps({"setting": dataclasses.asdict(other)})
    )
    with pytest.raises(ValueError, match="must name a new directory"):
        run_cell(cell, places)


def test_estimates_are_near_what_is_trained(records, places, tmp_path):
    empty = dataclasses.replace(places, records=tmp_path)
    estimator = Estimator(empty)
    for name, record in records.items():
        planned = estimator.train_flops(toy(name))
        assert planned == pytest.approx(record["train_flops"], rel=0.2)
        assert Estimator(places).train_flops(toy(name)) == record["train_flops"]
    assert estimator.train_flops(toy("dense")) == 49_568 * IMAGES * EPOCHS


@pytest.mark.parametrize(
    "changes, expected",
    [
        ([], 0.8),
        ([(0, 1.0)], 1.0),
        ([(8, 0.5)], 0.5),
        ([(0, 1.0), (12, 0.5)], 0.75),
        ([(16, 0.5)], 0.8),
    ],
)
def test_mean_share_of_an_epoch(changes, expected):
    assert mean_share(changes, 8, 16, 0.8) == expected
