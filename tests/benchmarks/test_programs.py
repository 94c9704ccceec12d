"""The benchmark programs run and write what they measured."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run_program(name, tmp_path, *flags):
    output = tmp_path / "result.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", f"benchmarks.{name}"),
            *flags,
            f"--output={output}",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(output.read_text()), done.stdout


@pytest.mark.large
def test_training_step_reports_ratios(tmp_path):
    result, printed = run_program(
        *("training_step", tmp_path, "--width=4", "--image_size=8"),
        *("--batch_size=4", "--rounds=2", "--steps=1"),
    )
    assert set(result["ratios"]) == {
        "narrow / dense",
        "narrow / stripped",
        "all active / dense",
    }
    assert result["flops"]["narrow"] == result["flops"]["stripped"]
    assert result["flops"]["narrow"] <= 0.25 * result["flops"]["dense"]
    assert len(result["seconds_per_step"]["dense"]) == 2
    assert result["machine"]["cores"] >= 1
    assert "narrow / dense:" in printed


@pytest.mark.large
def test_exploration_step_lists_its_phases(tmp_path):
    result, printed = run_program(
        "exploration_step", tmp_path, "--image_size=32", "--steps=1"
    )
    for phase in ("gather weights", "prune by css", "regrow", "whole step"):
        assert phase in result["seconds"]
        assert phase in printed
    assert result["groups"] > 30
