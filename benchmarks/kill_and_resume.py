"""Kills a training program again and again; it has to end up the same.

The digits program trains once without interruption. Then it is started in
another folder, killed with SIGKILL at a random moment, and started again with
the same command, `--kills` times. The trained models have to be equal bit by
bit, and so do the histories: losses, accuracies and channels of every epoch.
Ten minutes on two cores:

    python -m benchmarks.kill_and_resume --kills=10

`--output` gets the moments of the kills and what was compared, as JSON.
"""

import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

from absl import app, flags

from benchmarks.report import write_json

FLAGS = flags.FLAGS

flags.DEFINE_integer("kills", 10, "How often the program is killed.")
flags.DEFINE_integer("epochs", 30, "Length of the run.")
flags.DEFINE_integer("width", 16, "Channels of the network's first stage.")
flags.DEFINE_integer("seed", 0, "Decides the moments of the kills.")
flags.DEFINE_float("longest", 30.0, "Seconds of work before a kill, at most.")
flags.DEFINE_string("output", "runs/kill_and_resume.json", "JSON to write.")

ROOT = pathlib.Path(__file__).parents[1]
SECONDS = 3600


def start(workdir):
    """Starts the program, or goes on with it."""
    command = [sys.executable, "experiments/digits.py", "--deterministic"]
    command += [f"--workdir={workdir}", "--backup_every=1", "--interval=2"]
    command += [f"--epochs={FLAGS.epochs}", f"--width={FLAGS.width}"]
    log = (pathlib.Path(workdir).parent / "log.txt").open("a")
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def rows(workdir):
    """Epochs that the run with channels has behind it, and what they show."""
    from experiments.common.run_directory import read_rows

    found = read_rows(pathlib.Path(workdir) / "chex" / "history.csv")
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in found
    ]


def killed_run(workdir):
    """Runs the program to its end, killing it on the way.

    Returns:
        List of dicts, one for each kill: seconds after the start, epochs that
        were in the history.
    """
    moments, rng = [], random.Random(FLAGS.seed)
    while len(moments) < FLAGS.kills:
        job, begun = start(workdir), time.monotonic()
        before = len(rows(workdir))
        # Importing and compiling is not what is to be interrupted: the clock
        # runs from the first epoch that is complete.
        while job.poll() is None and len(rows(workdir)) == before:
            time.sleep(0.05)
        delay = rng.uniform(0, FLAGS.longest / FLAGS.kills)
        time.sleep(delay)
        if job.poll() is not None:
            raise RuntimeError(
                f"The run ended after {len(moments)} of {FLAGS.kills} kills, "
                f"with code {job.returncode}. Make it longer with --epochs."
            )
        job.send_signal(signal.SIGKILL)
        job.wait()
        seconds = round(time.monotonic() - begun, 2)
        moments.append({"seconds": seconds, "epochs": len(rows(workdir))})
        print(f"kill {len(moments)}: {moments[-1]}", flush=True)
    if start(workdir).wait(SECONDS):
        raise RuntimeError(f"The program failed; see {workdir}/../log.txt")
    return moments


def compare(first, second):
    """Counts the arrays of both trained models, and those that differ."""
    import keras
    import numpy as np

    models = [
        keras.saving.load_model(pathlib.Path(folder) / "chex" / "model.keras")
        for folder in (first, second)
    ]
    ours, theirs = (model.get_weights() for model in models)
    differ = sum(
        a.shape != b.shape or not np.array_equal(a, b)
        for a, b in zip(ours, theirs, strict=True)
    )
    return {
        "arrays": len(ours),
        "arrays_that_differ": differ,
        "numbers": int(sum(array.size for array in ours)),
        "epochs": len(rows(first)),
        "epochs_that_differ": sum(
            a != b for a, b in zip(rows(first), rows(second), strict=True)
        ),
    }


def main(argv):
    del argv
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = (f"{folder}/{n}/run" for n in ("whole", "killed"))
        for path in (whole, killed):
            pathlib.Path(path).mkdir(parents=True)
        if start(whole).wait(SECONDS):
            log = pathlib.Path(folder, "whole", "log.txt")
            raise RuntimeError(f"The program failed: {log.read_text()[-2000:]}")
        print("the run without interruption is complete", flush=True)
        moments = killed_run(killed)
        result = compare(whole, killed)
    for name, value in result.items():
        print(f"{name}: {value}")
    names = ("kills", "epochs", "width", "seed", "longest")
    settings = {name: FLAGS[name].value for name in names}
    write_json(FLAGS.output, {"flags": settings, "kills": moments, **result})
    print(f"written: {FLAGS.output}")
    if result["arrays_that_differ"] or result["epochs_that_differ"]:
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
