"""Run directory: whole files or none, one directory for one run."""

import pytest

from experiments.common import run_directory


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "run" / "result.json"
    run_directory.write_json(path, {"accuracy": 0.5})
    assert run_directory.read_json(path) == {"accuracy": 0.5}
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        with run_directory.replacing(path) as beside:
            beside.write_text("half of the n")
            raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_beside_keeps_its_suffixes(tmp_path):
    with run_directory.replacing(tmp_path / "state-1.weights.h5") as beside:
        assert beside.name.endswith(".weights.h5")
        assert beside.parent == tmp_path
        beside.touch()


def test_leftovers_of_a_killed_process_do_not_disturb(tmp_path):
    (tmp_path / "partial-model").mkdir()
    (tmp_path / "partial-model" / "junk").touch()
    with run_directory.replacing(tmp_path / "model") as beside:
        beside.mkdir()
        (beside / "weights").touch()
    names = [p.name for p in (tmp_path / "model").iterdir()]
    assert names == ["weights"]


def test_a_directory_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "saved_model"
    path.mkdir()
    (path / "old").touch()
    with run_directory.replacing(path) as beside:
        beside.mkdir()
        (beside / "new").touch()
    assert [p.name for p in path.iterdir()] == ["new"]


def test_missing_files_read_as_nothing(tmp_path):
    assert run_directory.read_json(tmp_path / "a.json") is None
    assert run_directory.read_rows(tmp_path / "a.csv") == []


def test_rows_keep_numbers_and_leave_empty_fields_out(tmp_path):
    rows = [
        {"model": "dense", "epoch": 1, "loss": 0.25},
        {"model": "CHEX", "epoch": 1, "loss": 1e-7, "chex/flops": 0.5},
    ]
    run_directory.write_rows(tmp_path / "history.csv", rows)
    assert run_directory.read_rows(tmp_path / "history.csv") == rows
    header = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert header == "model,epoch,loss,chex/flops"


def test_the_same_settings_open_the_directory_again(tmp_path):
    settings = {"epochs": 3, "interval": 2.0, "contenders": ("a", "b")}
    run_directory.open_run(tmp_path / "run", settings)
    assert run_directory.open_run(tmp_path / "run", settings).is_dir()


def test_other_settings_need_another_directory(tmp_path):
    run_directory.open_run(tmp_path, {"epochs": 3, "lr": 0.1, "seed": 0})
    with pytest.raises(
        ValueError,
        match=r"--epochs=3 there, 4 now; --lr=0.1 there, 0.2 now. Name another",
    ):
        run_directory.open_run(tmp_path, {"epochs": 4, "lr": 0.2, "seed": 0})


def test_a_flag_that_came_later_was_not_set(tmp_path):
    run_directory.open_run(tmp_path, {"epochs": 3})
    run_directory.open_run(tmp_path, {"epochs": 3, "budget_scope": None})
    with pytest.raises(ValueError, match="--budget_scope=None there, b now"):
        run_directory.open_run(tmp_path, {"epochs": 3, "budget_scope": "b"})
