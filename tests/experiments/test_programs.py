"""The programs, end to end: files, table, a second start."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from experiments.common.run_directory import read_json, read_rows

ROOT = pathlib.Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"

# Runs experiments/cifar10.py on images that need no download.
CIFAR_ON_NOISE = """
import sys
import numpy as np
from absl import app
from common import datasets
import cifar10

def noise(name, data_dir):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (96, 32, 32, 3)).astype("uint8")
    labels = rng.integers(0, 10, 96).astype("int32")
    train, test = (pixels[:64], labels[:64]), (pixels[64:], labels[64:])
    return datasets.ImageSet(name, train, test, 10, flip=True)

datasets.load_tfds = noise
app.run(cifar10.main, sys.argv)
"""


def run(*command):
    paths = os.pathsep.join([str(ROOT), str(EXPERIMENTS)])
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=600,
    )


def assert_contender_is_complete(folder):
    for name in ("model.keras", "model.tflite", "saved_model/saved_model.pb"):
        assert (folder / name).stat().st_size > 0
    assert not (folder / "backup").exists()


@pytest.mark.parametrize("program", ["digits", "cifar10"])
def test_help_names_the_flags_of_the_exploration(program):
    helped = run(EXPERIMENTS / f"{program}.py", "--help")
    text = helped.stdout
    for flag in ("--flops", "--interval", "--end", "--smoke", "--workdir"):
        assert flag in text


def test_workdir_of_another_run_is_refused(tmp_path):
    (tmp_path / "flags.json").write_text(json.dumps({"epochs": 1}))
    refused = run(EXPERIMENTS / "digits.py", "--smoke", f"--workdir={tmp_path}")
    assert refused.returncode != 0
    assert "--epochs=1 there, 4 now" in refused.stderr


@pytest.mark.large
def test_digits_smoke_run_leaves_everything_and_is_not_repeated(tmp_path):
    command = (
        EXPERIMENTS / "digits.py",
        "--smoke",
        "--slim",
        f"--workdir={tmp_path}",
    )
    first = run(*command)
    assert first.returncode == 0, first.stderr
    for line in ("dense", "CHEX", "slim", "test accuracy", "LiteRT latency"):
        assert line in first.stdout
    for name in ("dense", "chex", "slim"):
        assert_contender_is_complete(tmp_path / name)
    for name in ("report.html", "channels.png", "curves.png", "table.txt"):
        assert (tmp_path / name).stat().st_size > 0

    result = read_json(tmp_path / "result.json")
    costs = {n: c["flops"] for n, c in result["contenders"].items()}
    assert 0.45 * costs["dense"] < costs["CHEX"] <= 0.5 * costs["dense"]
    history = read_rows(tmp_path / "history.csv")
    assert [r["epoch"] for r in history if r["model"] == "CHEX"] == [1, 2, 3, 4]

    second = run(*command)
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("finished before") == 3
    assert "epoch" not in second.stdout
    assert read_json(tmp_path / "chex" / "result.json").items() <= (
        result["contenders"]["CHEX"].items()
    )


@pytest.mark.large
def test_cifar10_smoke_run_ends_within_the_budget(tmp_path):
    finished = run(
        "-c",
        CIFAR_ON_NOISE,
        "--smoke",
        "--width=4",
        "--batch_size=32",
        "--flops=0.6",
        f"--workdir={tmp_path}",
    )
    assert finished.returncode == 0, finished.stderr
    for name in ("dense", "chex"):
        assert_contender_is_complete(tmp_path / name)
    contenders = read_json(tmp_path / "result.json")["contenders"]
    share = contenders["CHEX"]["flops"] / contenders["dense"]["flops"]
    assert 0.5 < share <= 0.6
    assert read_json(tmp_path / "flags.json")["flops"] == 0.6
