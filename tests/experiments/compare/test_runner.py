"""Who trains what: locks between processes, cells that wait for others."""

import signal
import subprocess
import sys

import pytest

from experiments.compare import grid, runner
from experiments.compare.locks import Busy, is_locked, locked
from experiments.compare.places import Places
from experiments.compare.runner import run_all, state

HOLD = """
import pathlib, sys
from experiments.compare.locks import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def places(tmp_path):
    return Places(tmp_path, tmp_path / "records")


def cells(*names):
    study = grid.STUDIES["trial"].cells()
    chosen = {c.contender.name: c for c in study if c.seed == 0}
    return [chosen[name] for name in names]


def finish(cell, places):
    places.records.mkdir(exist_ok=True)
    places.record(cell).write_text("{}")


def test_a_lock_is_held_once(tmp_path):
    path = tmp_path / "some" / "lock"
    with locked(path):
        assert is_locked(path)
        with pytest.raises(Busy, match="held by another process"):
            with locked(path):
                pass
    assert not is_locked(path)
    with locked(path):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        assert is_locked(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(path):
            pass


def test_a_cell_waits_for_the_one_it_needs(places):
    order = []

    def train(cell, places):
        order.append(cell.contender.name)
        finish(cell, places)
        return True

    queue = cells("slim_equal_training", "dense", "chex")
    assert run_all(queue, places, train) == []
    assert order == ["dense", "chex", "slim_equal_training"]
    assert run_all(queue, places, lambda *_: pytest.fail("again")) == []


def test_cells_that_cannot_be_trained_are_left(places):
    waiting, busy, free = cells("slim_equal_training", "chex", "dense")
    with locked(places.lock(busy)):
        left = run_all(
            [waiting, busy, free],
            places,
            lambda cell, places: finish(cell, places) is None,
        )
    assert left == [waiting, busy]


def test_states_of_a_cell(places):
    slim, chex = cells("slim_equal_training", "chex")
    assert state(slim, places) == "waiting"
    assert state(chex, places) == "open"
    with locked(places.lock(chex)):
        assert state(chex, places) == "running"
    (places.folder(chex) / "history.csv").write_text("epoch\n1\n")
    assert state(chex, places) == "interrupted"
    finish(chex, places)
    assert state(chex, places) == "finished"
    assert state(slim, places) == "open"


def test_cells_whose_packages_are_missing_are_left(places, monkeypatch):
    monkeypatch.setattr(runner, "find_spec", lambda name: name == "torch")
    other, slim, sparse = cells("torch_pruning", "slim", "magnitude")
    assert state(other, places) == "needs torch_pruning"
    assert state(sparse, places) == "needs tensorflow_model_optimization"
    trained = []

    def train(cell, places):
        trained.append(cell)
        finish(cell, places)
        return True

    left = run_all([other, slim, sparse], places, train)
    assert left == [other, sparse] and trained == [slim]
    monkeypatch.setattr(runner, "find_spec", lambda name: True)
    assert state(other, places) == "open"
