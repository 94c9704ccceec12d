"""experiments/coco_instances.py: plan, bad flags, smoke run, restart."""

import functools

import pytest

from experiments.common.run_directory import read_json, read_rows
from tests.experiments.programs import start_program

start = functools.partial(start_program, "coco_instances.py")


@pytest.mark.large
def test_plan_needs_no_data():
    planned = start("--dry_run", "--flops=0.37", "--budget_scope=features")
    assert planned.returncode == 0, planned.stderr
    printed = planned.stdout
    assert "every 1,000 steps" in printed or "at step 1000, 2000" in printed
    assert "Mask R-CNN with resnet50 for COCO 2017 at 832 x 1344" in printed
    assert "12 epochs of 7,329 steps of 16 pictures" in printed


@pytest.mark.large
@pytest.mark.parametrize(
    "flags, message",
    [
        ((), "Flag --data_dir must be given, or --smoke"),
        (("--smoke", "--image_size=100,64"), "multiples of 64. Received"),
    ],
)
def test_bad_flags_are_refused_before_anything_is_written(
    flags, message, tmp_path
):
    refused = start(*flags, f"--workdir={tmp_path / 'run'}")
    assert refused.returncode != 0
    assert message in refused.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.large
def test_smoke_run_leaves_everything_and_is_not_repeated(tmp_path):
    flags = ("--smoke", f"--workdir={tmp_path}")
    first = start(*flags, "--latency_runs=3")
    assert first.returncode == 0, first.stderr
    for line in ("box AP50", "mask AP", "TensorFlow, one picture", "mean step"):
        assert line in first.stdout
    for name in ("dense", "chex"):
        folder = tmp_path / name
        for part in ("model", "box_head", "mask_head"):
            assert (folder / f"{part}.tflite").stat().st_size > 0
        for file in ("model.keras", "saved_model/saved_model.pb"):
            assert (folder / file).stat().st_size > 0
        assert len(read_rows(folder / "history.csv")) == 4
    for name in ("channels.png", "curves.png", "objects.png", "table.txt"):
        assert (tmp_path / name).stat().st_size > 0
    contenders = read_json(tmp_path / "result.json")["contenders"]
    share = contenders["CHEX"]["flops"] / contenders["dense"]["flops"]
    assert 0.45 < share <= 0.5
    assert contenders["CHEX"]["stripped_gap"] <= 1e-4
    assert contenders["CHEX"]["stripped_AP_gap"] == 0
    second = start(*flags, "--latency_runs=2")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("finished before") == 2
    assert "epoch" not in second.stdout
