"""experiments/pointcloud.py: plan, bad flags, smoke run, restart."""

import functools

import pytest

from experiments.common import table
from experiments.common.point_contest import ROWS
from experiments.common.run_directory import read_json
from tests.experiments.programs import ROOT, start_program

start = functools.partial(start_program, "pointcloud.py")


@pytest.mark.large
def test_plan_needs_no_data():
    planned = start("--dry_run", "--flops=0.25")
    assert planned.returncode == 0, planned.stderr
    printed = planned.stdout
    assert "pointnet2 for 1,024 points of ModelNet40" in printed
    assert "dense: 837.5 M multiply-adds, 1,472,360 trainable" in printed
    assert "200 epochs of 410 steps of 24 clouds" in printed
    assert "kept: model output" in printed


def test_data_must_be_named(tmp_path):
    refused = start(f"--workdir={tmp_path / 'run'}")
    assert refused.returncode != 0
    assert "Flag --data must be given, or --smoke" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_page_shows_the_measured_numbers():
    measured = read_json(ROOT / "docs" / "results" / "pointcloud_sydney.json")
    runs = {
        name: found if isinstance(found, list) else [found]
        for name, found in measured["contenders"].items()
    }
    page = (ROOT / "docs" / "pointcloud.md").read_text(encoding="utf-8")
    assert table.results_table(runs, ROWS) in page


@pytest.mark.large
@pytest.mark.parametrize("model", ["pointnet2", "pointnet"])
def test_smoke_run_leaves_everything_and_is_not_repeated(model, tmp_path):
    flags = ("--smoke", f"--model={model}", f"--workdir={tmp_path}")
    first = start(*flags, "--latency_runs=5")
    assert first.returncode == 0, first.stderr
    for line in ("overall accuracy", "mean-class accuracy", "LiteRT latency"):
        assert line in first.stdout
    for name in ("dense", "chex"):
        for file in ("model.keras", "model.tflite", "predictions.json"):
            assert (tmp_path / name / file).stat().st_size > 0
    for name in ("channels.png", "curves.png", "clouds.png", "table.txt"):
        assert (tmp_path / name).stat().st_size > 0
    contenders = read_json(tmp_path / "result.json")["contenders"]
    share = contenders["CHEX"]["flops"] / contenders["dense"]["flops"]
    assert 0.45 < share <= 0.5
    # Fewer timed inferences are no other run.
    second = start(*flags, "--latency_runs=3")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("finished before") == 2
    assert "epoch" not in second.stdout
