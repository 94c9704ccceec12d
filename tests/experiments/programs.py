"""Starts a program of `experiments/` as a user does."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def start_program(name, *flags, timeout=900):
    """Runs `experiments/<name>` to its end; returns the finished process."""
    return subprocess.run(
        [sys.executable, str(ROOT / "experiments" / name), *flags],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
