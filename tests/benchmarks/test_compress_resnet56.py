"""The benchmark of one-shot compression, on noise and random weights."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

ON_NOISE = """
import sys
import numpy as np
from absl import app
from benchmarks import compress_resnet56 as program
from experiments.common import datasets, models

def noise(name, data_dir):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (160, 32, 32, 3)).astype("uint8")
    labels = rng.integers(0, 10, 160).astype("int32")
    train, test = (pixels[:128], labels[:128]), (pixels[128:], labels[128:])
    return datasets.ImageSet(name, train, test, 10, flip=True)

def network(path):
    assert path == "weights.npz"
    return models.cifar_resnet(20, (4, 8, 16), shortcut="pad")

program.datasets.load_tfds = noise
program.load_reference = network
app.run(program.main, sys.argv)
"""


def run(tmp_path, *options):
    done = subprocess.run(
        [
            *(sys.executable, "-c", ON_NOISE, "--weights=weights.npz"),
            *("--test_images=32", "--data_images=32", "--flops=0.6"),
            *("--criterion=css", "--criterion=random", "--seeds=2"),
            f"--workdir={tmp_path / 'run'}",
            f"--output={tmp_path / 'result.json'}",
            f"--page={tmp_path / 'page.md'}",
            *options,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((tmp_path / "result.json").read_text())


@pytest.mark.large
def test_every_network_is_measured_once(tmp_path):
    result = run(tmp_path)
    networks = result["networks"]
    assert len(networks) == len(list((tmp_path / "run").iterdir())) == 6
    assert all(0.5 < network["share"] <= 0.6 for network in networks)
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}

    tuned = run(tmp_path, "--fine_tune_epochs=1")["networks"]
    assert len(tuned) == 9
    assert all(path.stat().st_mtime_ns == t for path, t in times.items())
    page = (tmp_path / "page.md").read_text().splitlines()
    assert page[0].endswith("| css | random |")
    assert [line.split("|")[4].strip() for line in page[3:]] == [
        "no",
        "no",
        "1 epochs",
    ]
    assert "±" in page[3]
