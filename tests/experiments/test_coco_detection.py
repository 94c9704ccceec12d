"""experiments/coco_detection.py: plan, bad flags, smoke run, restart."""

import functools

import pytest

from experiments.common.coco_shapes import write_shapes
from experiments.common.run_directory import read_json, read_rows
from tests.experiments.programs import start_program

pytest.importorskip("pycocotools")
pytest.importorskip("keras_hub")
start = functools.partial(start_program, "coco_detection.py")


@pytest.mark.large
def test_plan_needs_no_data():
    planned = start("--dry_run", "--flops=0.5")
    assert planned.returncode == 0, planned.stderr
    printed = planned.stdout
    assert "ResNet-50 for 800 x 800 pixels and 80 classes (COCO" in printed
    assert "650 epochs of 7,329 steps of 16 pictures" in printed
    assert "exploration steps at epoch 2, 4, 6, ..., 468, 470 of 650" in printed


@pytest.mark.large
@pytest.mark.parametrize(
    "flags, match",
    [
        ((), "Flag --data_dir must be given, or --smoke"),
        (("--data_dir={data}", "--depth=19"), "must be one of 18,34,50"),
        (("--data_dir={data}", "--levels=3,x"), "Flag --levels must list num"),
        (("--data_dir={data}/none",), "Flag `--data_dir` must name a folder"),
    ],
)
def test_nothing_is_written_for_wrong_flags(flags, match, tmp_path):
    data = write_shapes(tmp_path / "data", size=(60, 80))
    flags = [flag.format(data=data) for flag in flags]
    refused = start(*flags, f"--workdir={tmp_path / 'run'}")
    assert refused.returncode != 0
    assert match in refused.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.large
def test_smoke_run_leaves_everything_and_is_not_repeated(tmp_path):
    flags = ("--smoke", f"--workdir={tmp_path}")
    first = start(*flags, "--latency_runs=5")
    assert first.returncode == 0, first.stderr
    for line in ("AP50", "AP before stripping", "mean training step"):
        assert line in first.stdout
    for name in ("dense", "chex"):
        for file in ("model.keras", "model.tflite", "detections.json"):
            assert (tmp_path / name / file).stat().st_size > 0
    for name in ("channels.png", "curves.png", "boxes.png", "table.txt"):
        assert (tmp_path / name).stat().st_size > 0
    contenders = read_json(tmp_path / "result.json")["contenders"]
    share = contenders["CHEX"]["flops"] / contenders["dense"]["flops"]
    assert 0.45 < share <= 0.5
    assert contenders["CHEX"]["raw_difference"] <= 1e-4
    assert contenders["CHEX"]["AP"] == contenders["CHEX"]["trained_AP"]
    assert read_rows(tmp_path / "dense" / "history.csv")[-1]["val_AP"] >= 0
    # Fewer timed inferences are no other run.
    second = start(*flags, "--latency_runs=3")
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("finished before") == 2
    assert "epoch" not in second.stdout
