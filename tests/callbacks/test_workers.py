"""Two workers of `MultiWorkerMirroredStrategy`, on the loopback interface."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = 300
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def start(directory, fault=""):
    """Starts both workers of a job."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for one in sockets:
        one.close()
    jobs = []
    for index in range(2):
        config = {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
        }
        env = {**os.environ, "TF_CONFIG": json.dumps(config)}
        env |= {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
        command = [sys.executable, "-m", "tests.callbacks.worker"]
        jobs.append(
            subprocess.Popen(
                [*command, str(directory), fault],
                cwd=ROOT,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return jobs


def finish(jobs):
    """Waits for both; returns what they wrote."""
    try:
        return [job.communicate(timeout=SECONDS) for job in jobs]
    finally:
        for job in jobs:
            job.kill()


def lines(text):
    return [json.loads(x) for x in text.splitlines() if x.startswith("{")]


def check(outputs, steps):
    first, second = (lines(out) for out, _ in outputs)
    assert len(first) == steps + 1, outputs[0][1][-3000:]
    assert first == second
    assert first[-1]["share"] <= 0.5
    assert len({entry["fingerprint"] for entry in first[:-1]}) > 1


def test_workers_explore_alike(tmp_path):
    check(finish(start(tmp_path)), steps=5)


@pytest.mark.parametrize(
    "fault,what",
    [
        pytest.param(
            *("other_seed", "options, epoch or optimizer step"),
            marks=pytest.mark.large,
        ),
        ("other_channels", "active channels"),
    ],
)
def test_workers_that_differ_stop(tmp_path, fault, what):
    jobs = start(tmp_path, fault)
    for _, err in finish(jobs):
        assert (
            f"All replicas must explore alike. Received: other {what} in "
            "replica 1 than in replica 0, of 2."
        ) in err
    assert all(job.returncode for job in jobs)


@pytest.mark.large
def test_a_job_goes_on_after_a_worker_died(tmp_path):
    jobs = start(tmp_path, "dies")
    assert jobs[1].wait(SECONDS) == -9
    # What runs the job on a cluster ends all its workers and starts it again.
    jobs[0].kill()
    finish(jobs)
    assert (tmp_path / "epoch").read_text() == "3"
    check(finish(start(tmp_path)), steps=2)
