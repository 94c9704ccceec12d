"""Reads the memory of this process, and measures in processes of their own."""

import concurrent.futures
import json
import pathlib
import subprocess
import sys

MEBIBYTE = 2**20
STATUS = pathlib.Path("/proc/self/status")
CLEAR = pathlib.Path("/proc/self/clear_refs")


def resident():
    """Mebibytes of this process that are in memory now."""
    return _status("VmRSS")


def peak():
    """The most mebibytes of this process that were ever in memory."""
    return _status("VmHWM")


def forget_peak():
    """Lets `peak` start again from what is in memory now."""
    CLEAR.write_text("5", encoding="utf-8")


def _status(key):
    for line in STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024 / MEBIBYTE
    raise OSError(f"{STATUS} has no line '{key}'")


def measure_apart(module, variants, arguments, processes=1):
    """Runs a benchmark once per variant, each in a fresh process.

    Memory that one variant leaves behind would be found by the next.

    Args:
        module: str, the program; it takes `--variant` and prints one JSON
            object as its last line.
        variants: list of str.
        arguments: list of str, other flags.
        processes: int, how many run at the same time.

    Returns:
        Dict from the variant to its object.
    """

    def run(variant):
        command = [
            *(sys.executable, "-m", module),
            f"--variant={variant}",
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{variant}: {done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        return dict(zip(variants, pool.map(run, variants), strict=True))
