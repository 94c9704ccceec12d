"""Paths are checked before the work; a failure leaves what was there."""

import os

import pytest

from keras_chex.export.staging import staged_file, staged_folder


def test_file_appears_at_the_end(tmp_path):
    target = tmp_path / "model.tflite"
    with staged_file(target, ".tflite") as staged:
        staged.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_file_has_ordinary_permissions(tmp_path):
    with staged_file(tmp_path / "model.tflite", ".tflite") as staged:
        staged.write_bytes(b"new")
    (tmp_path / "other").write_bytes(b"")
    mode = (tmp_path / "model.tflite").stat().st_mode
    assert mode == (tmp_path / "other").stat().st_mode


def test_failed_file_leaves_the_old_one(tmp_path):
    target = tmp_path / "model.tflite"
    target.write_bytes(b"old")
    with (
        pytest.raises(KeyboardInterrupt),
        staged_file(target, ".tflite") as staged,
    ):
        staged.write_bytes(b"half")
        raise KeyboardInterrupt
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "marker").write_text("old")
    with (
        pytest.raises(RuntimeError, match="disk full"),
        staged_folder(target, "marker") as staged,
    ):
        staged.mkdir()
        (staged / "marker").write_text("half")
        raise RuntimeError("disk full")
    assert (target / "marker").read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_relative_path_in_the_current_folder_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with staged_file("model.tflite", ".tflite") as staged:
        staged.write_bytes(b"new")
    assert (tmp_path / "model.tflite").read_bytes() == b"new"


@pytest.mark.parametrize("path", ["model.lite", "model", "model.tflite.bak"])
def test_other_endings_are_refused(path, tmp_path):
    with (
        pytest.raises(
            ValueError,
            match="Argument `path` must end with '.tflite'. Received: path=",
        ),
        staged_file(tmp_path / path, ".tflite"),
    ):
        pass


def test_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "model.tflite").mkdir()
    with (
        pytest.raises(ValueError, match="must name a file.*is a folder"),
        staged_file(tmp_path / "model.tflite", ".tflite"),
    ):
        pass


def test_file_in_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "model").write_text("")
    with (
        pytest.raises(ValueError, match="which is something else"),
        staged_folder(tmp_path / "model", "marker"),
    ):
        pass


def test_missing_parent_is_named(tmp_path):
    with (
        pytest.raises(
            ValueError,
            match="must lie in an existing folder. Received: .*; create "
            ".*missing' first",
        ),
        staged_folder(tmp_path / "missing" / "model", "marker"),
    ):
        pass


@pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="needs a folder that refuses files"
)
def test_unwritable_folder_is_refused_before_the_work():
    work_done = False
    with (
        pytest.raises(
            ValueError,
            match="must lie in a folder that can be written to. Received: "
            "path='/proc/model.tflite'",
        ),
        staged_file("/proc/model.tflite", ".tflite"),
    ):
        work_done = True
    assert not work_done


def test_other_types_are_refused():
    with (
        pytest.raises(
            TypeError,
            match="must be a string or an `os.PathLike`. Received: 3 of type",
        ),
        staged_file(3, ".tflite"),
    ):
        pass
