"""experiments/imagenet.py: plan, smoke run, restart, devices, workers."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from experiments.common import strategies
from experiments.common.run_directory import read_json, read_rows

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = ROOT / "experiments" / "imagenet.py"
# A network that is quickly compiled, on images that need no data.
TINY = (
    "--smoke",
    "--dataset=synthetic",
    "--image_size=32",
    "--train_examples=32",
    "--eval_examples=20",
)


def start(*flags, **variables):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*flags):
    process = start(*flags)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


def assert_complete(workdir, name="chex"):
    for path in ("model.keras", "model.tflite", "saved_model/saved_model.pb"):
        assert (workdir / name / path).stat().st_size > 0
    for path in ("curves.png", "table.txt", "result.json", "flags.json"):
        assert (workdir / path).stat().st_size > 0
    assert list((workdir / "tensorboard").glob("events.*"))
    assert not (workdir / name / "backup").exists()


def test_plan_needs_no_data():
    printed = run(
        "--dry_run", "--model=resnet18", "--flops=0.25", "--round_to=1"
    )
    assert "resnet18 of imagenet2012, dense: 1.814 G" in printed
    assert "11,689,512 trainable parameters" in printed
    assert "250 epochs of 1,251 steps of 1,024 images" in printed
    assert "learning rate 1.024 after 8 epochs" in printed
    (share,) = [
        float(line.split()[1])
        for line in printed.splitlines()
        if line.startswith("Training:")
    ]
    assert 0.25 < share < 0.4


def test_strategies_are_checked(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG must describe"):
        strategies.make_strategy("multi_worker")
    one = strategies.make_strategy("one")
    assert one.num_replicas_in_sync == 1
    assert strategies.is_chief(one)


@pytest.mark.parametrize(
    "jobs, task, expected",
    [
        (["worker"], ("worker", 0), True),
        (["worker"], ("worker", 1), False),
        (["chief", "worker"], ("worker", 0), False),
        (["chief", "worker"], ("chief", 0), True),
    ],
)
def test_one_worker_is_the_chief(jobs, task, expected):
    class Resolver:
        task_type, task_id = task

        def cluster_spec(self):
            return type("Spec", (), {"jobs": jobs})

    class Strategy:
        cluster_resolver = Resolver()

    assert strategies.is_chief(Strategy()) == expected


@pytest.mark.large
@pytest.mark.parametrize(
    "devices", [("--strategy=one",), ("--strategy=mirrored", "--devices=2")]
)
def test_killed_run_goes_on_where_it_was(devices, tmp_path):
    flags = (*TINY, *devices, f"--workdir={tmp_path}", "--epochs=5")
    first = start(*flags)
    deadline = time.time() + 500
    while not list(tmp_path.glob("chex/backup/state-00002*")):
        assert first.poll() is None, first.stderr.read()
        assert time.time() < deadline
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    printed = run(*flags)
    assert "Going on at epoch" in printed
    assert "epoch 1/5" not in printed and "epoch 5/5" in printed
    assert_complete(tmp_path)
    rows = read_rows(tmp_path / "chex" / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    for key in ("learning_rate", "images_per_second", "val_top5_accuracy"):
        assert all(key in row for row in rows)
    assert rows[-1]["chex/flops"] <= 0.5
    assert rows[-1]["learning_rate"] == pytest.approx(0, abs=1e-6)
    assert rows[-1]["channels/stem_conv"] < 64
    contenders = read_json(tmp_path / "result.json")["contenders"]
    share = contenders["CHEX"]["flops"] / contenders["dense"]["flops"]
    assert 0.45 < share <= 0.5
    # The exported network is the one that was evaluated while training.
    assert contenders["CHEX"]["accuracy"] == pytest.approx(
        rows[-1]["val_accuracy"]
    )
    assert "finished before" in run(*flags)


@pytest.mark.large
def test_two_devices_and_the_layers_of_the_paper(tmp_path):
    run(
        *TINY,
        f"--workdir={tmp_path}",
        "--strategy=mirrored",
        "--devices=2",
        "--exclude_residual",
        "--flops=0.6",
        "--precision=bfloat16",
    )
    assert_complete(tmp_path)
    result = read_json(tmp_path / "result.json")
    assert result["replicas"] == 2
    contenders = result["contenders"]
    share = contenders["CHEX"]["flops"] / contenders["dense"]["flops"]
    assert 0.5 < share <= 0.6
    (row, *_) = read_rows(tmp_path / "chex" / "history.csv")
    groups = [key for key in row if key.startswith("channels/")]
    assert len(groups) == 8 and "channels/stem_conv" not in groups


@pytest.mark.large
def test_dense_network_of_keras_applications(tmp_path):
    run(
        *TINY,
        f"--workdir={tmp_path}",
        "--dense",
        "--model=MobileNetV3Small",
        "--epochs=1",
        "--steps_per_epoch=1",
        "--precision=float16",
    )
    assert_complete(tmp_path, "dense")
    contenders = read_json(tmp_path / "result.json")["contenders"]
    assert list(contenders) == ["dense"]
    assert contenders["dense"]["training_share"] == 1


@pytest.mark.large
def test_input_speed_is_measured(tmp_path):
    printed = run(*TINY, "--benchmark_input", f"--workdir={tmp_path}")
    assert "training step alone" in printed
    speeds = read_json(tmp_path / "input_speed.json")
    assert speeds["input alone"] > 0 and speeds["both together"] > 0


@pytest.mark.large
def test_two_workers_train_and_one_writes(tmp_path):
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            ports.append(probe.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    workers = [
        start(
            *TINY,
            f"--workdir={tmp_path}",
            "--strategy=multi_worker",
            "--epochs=2",
            TF_CONFIG=json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": i}}
            ),
        )
        for i in range(2)
    ]
    outputs = [worker.communicate(timeout=900) for worker in workers]
    for worker, (_, err) in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, err
    assert "top-1 accuracy" in outputs[0][0]
    assert "CHEX" not in outputs[1][0]
    assert_complete(tmp_path)
    assert len(read_rows(tmp_path / "chex" / "history.csv")) == 2
