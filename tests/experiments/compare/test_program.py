"""The program, end to end: killed, started again, listed."""

import pathlib
import signal
import subprocess
import sys

import pytest

from experiments.common.run_directory import read_json, read_rows
from experiments.compare.locks import locked

ROOT = pathlib.Path(__file__).parents[3]
NAME = "smoke_digits-chex-0.5-seed0"


def start(workdir, *flags):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "experiments.compare", "--smoke"),
            *("--study=headline_small", "--cells=digits-chex-0.5-seed0"),
            *(f"--workdir={workdir}", *flags),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.large
def test_killed_program_goes_on_where_it_was(tmp_path):
    with start(tmp_path) as killed:
        for line in killed.stdout:
            if "epoch  3/12" in line:
                break
        killed.send_signal(signal.SIGKILL)
    folder = tmp_path / "cells" / NAME
    with locked(folder / "lock", wait=True):
        before = len(read_rows(folder / "history.csv"))
    assert 2 <= before < 12

    with start(tmp_path, "--dry_run") as listed:
        text = listed.stdout.read()
    assert f"{NAME}  interrupted" in text

    with start(tmp_path) as again:
        text = again.stdout.read()
    assert "epoch  1/12" not in text and "epoch 12/12" in text
    assert "1 of 1 cells are finished" in text
    record = read_json(tmp_path / "records" / f"{NAME}.json")
    assert len(record["history"]["accuracy"]) == 12
