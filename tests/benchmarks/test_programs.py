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


@pytest.mark.large
def test_training_step_takes_an_application(tmp_path):
    result, _ = run_program(
        *("training_step", tmp_path, "--model=MobileNetV2"),
        *("--image_size=32", "--batch_size=2", "--rounds=1", "--steps=1"),
    )
    assert result["flags"]["model"] == "MobileNetV2"
    assert result["flops"]["narrow"] <= 0.25 * result["flops"]["dense"]


@pytest.mark.large
def test_task_steps_compares_with_dense(tmp_path):
    result, printed = run_program(
        *("task_steps", tmp_path, "--task=point clouds", "--rounds=1"),
    )
    times = result["tasks"]["point clouds"]
    assert set(times["seconds_per_step"]) == {"dense", "mean", "last"}
    assert times["last_flops"] < times["mean_flops"] < 1
    assert "point clouds" in printed


@pytest.mark.large
def test_retrace_memory_compares_with_plain_retraces(tmp_path):
    result, printed = run_program(
        *("retrace_memory", tmp_path, "--width=4", "--image_size=8"),
        *("--retraces=3", "--warmup=1", "--round_to=1"),
    )
    assert set(result["growth_of_plain"]) == {"plain", "1"}
    assert result["growth_of_plain"]["plain"] == 1.0
    assert len(result["mebibytes"]["1"]["resident"]) == 4
    assert "round_to=1" in printed


@pytest.mark.large
def test_step_memory_compares_with_dense(tmp_path):
    result, printed = run_program(
        *("step_memory", tmp_path, "--model=cifar_resnet", "--steps=1"),
        *("--image_size=16", "--batch_size=16"),
    )
    assert set(result["peak_of_dense"]) == {"dense", "narrow", "stripped"}
    for variant, found in result["mebibytes"].items():
        assert 0 < found["weights"] < found["peak"]
        assert variant in printed


@pytest.mark.large
def test_short_run_times_both(tmp_path):
    result, printed = run_program(
        *("short_run", tmp_path, "--width=4", "--image_size=8"),
        *("--examples=64", "--batch_size=16", "--validation=16", "--epochs=6"),
    )
    (chex,), (dense,) = result["runs"]["chex"], result["runs"]["dense"]
    assert len(chex["epochs"]) == len(dense["epochs"]) == 6
    assert chex["explored_in_epoch"] == [0, 2, 4]
    assert chex["flops"][-1] <= 0.25
    assert dense["flops"] == []
    assert "chex / dense:" in printed


@pytest.mark.large
def test_exploration_share_is_projected(tmp_path):
    result, printed = run_program(
        *("exploration_share", tmp_path, "--model=MobileNetV2"),
        *("--image_size=32", "--batch_size=2", "--rounds=1", "--steps=1"),
    )
    projected = result["projected"]
    assert projected["explorations"] == 90
    assert 0 < projected["share"] < 1
    assert set(result["seconds"]) == {
        "training step",
        "decide",
        "apply",
        "retrace train",
        "retrace test",
    }
    assert "share of exploration:" in printed


@pytest.mark.large
def test_round_to_compares_with_a_uniform_network(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- widths: begin --><!-- widths: end -->")
    result, printed = run_program(
        *("round_to", tmp_path, "--models=MobileNetV2", "--image_size=32"),
        *("--flops=0.5", "--round_to=auto", "--modes=float32", "--runs=3"),
        f"--page={page}",
    )
    dense, rounded, uniform = result["files"]
    assert dense["speedup"] == 1
    assert rounded["flops"] <= 0.5
    assert uniform["at_equal_flops"] == pytest.approx(1)
    assert "times faster" in printed
    assert f"| 0.5 | {rounded['speedup']:.2f} |" in page.read_text()


@pytest.mark.large
def test_latency_budget_compares_prediction_and_file(tmp_path):
    result, printed = run_program(
        *("latency_budget", tmp_path, "--models=MobileNetV2"),
        *("--image_size=32", "--round_to=16", "--runs=3", "--rounds=3"),
    )
    (network,) = result["networks"]
    (case,) = network["budgets"]
    assert case["predicted"] <= case["latency"] == 0.5
    assert case["measured"] > 0
    assert "over budget" in printed
