"""Checks the package on all models of keras.applications and on KerasHub's.

Each model runs in a process of its own, whose memory comes back. One JSON
record per model is added to `--output`; records that are there already are
kept, so that a run can be cut off and continued. Pages are made of the records:

    python -m benchmarks.models --only=MobileNetV2,VGG16
    python -m benchmarks.models --suite=hub
    python -m benchmarks.models --families
    python -m benchmarks.models --export
    python -m benchmarks.models --scaling
    python -m benchmarks.models --page=docs/models.md --only=

All of it takes hours on two cores; `--only` takes names of models.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

from absl import app, flags

from benchmarks.model_page import render_page
from benchmarks.report import machine, write_json

FLAGS = flags.FLAGS

# which models
flags.DEFINE_list("suite", ["applications", "hub"], "Suites of models.")
flags.DEFINE_list("only", None, "Names of models; none of them if empty.")
flags.DEFINE_bool(
    "families",
    False,
    "The smallest model of each family of keras.applications, in two more "
    "variants.",
)
flags.DEFINE_bool(
    "export", False, "Exports of the smallest model of each family instead."
)
flags.DEFINE_enum(
    "again",
    "missing",
    ["missing", "not_passed", "all"],
    "Which records are made: those not there, those not passed too, or all.",
)
flags.DEFINE_bool(
    "train", True, "Whether a training step is compared; it takes longest."
)
flags.DEFINE_integer("timeout", 3600, "Seconds that one model may take.")
# what is done
flags.DEFINE_bool("scaling", False, "Time networks of growing length instead.")
flags.DEFINE_string("output", "docs/results/models.json", "JSON to write.")
flags.DEFINE_string(
    "scaling_output", "docs/results/models_scaling.json", "JSON to write."
)
flags.DEFINE_string("page", None, "Markdown to write from the records.")
flags.DEFINE_string("job", None, "For the processes that this one starts.")

ROOT = pathlib.Path(__file__).parents[1]
KEY = ("kind", "model", "share", "round_to", "seed")
FIRST = {"share": 0.5, "round_to": 1, "seed": 0}
FAMILY_VARIANTS = (
    {"share": 0.3, "round_to": 8, "seed": 0},
    {"share": 0.5, "round_to": 1, "seed": 1},
)
EXPORT = {"share": 0.5, "round_to": 8, "seed": 0}


def key(record):
    """What tells one record from another."""
    return tuple(record[name] for name in KEY)


def plan(entries, families=False, export=False):
    """Lists the jobs for some models.

    Args:
        entries: iterable of `Entry`.
        families: whether the models that stand for their families are checked
            in two more variants, and no others.
        export: whether their exports are checked, and nothing else.

    Returns:
        List of dicts with the entries `KEY`.
    """
    if export:
        variants, kind = (EXPORT,), "export"
    else:
        variants, kind = (FAMILY_VARIANTS if families else (FIRST,)), "checks"
    return [
        {"kind": kind, "model": entry.name, **variant}
        for entry in entries
        if entry.is_first or not (families or export)
        for variant in variants
    ]


def is_wanted(job, records, again):
    """Tells whether a job has to run, given the records that are there."""
    known = next((r for r in records if key(r) == key(job)), None)
    return (
        known is None
        or again == "all"
        or (again == "not_passed" and known["verdict"] != "passed")
    )


def run_job(job):
    """Makes one record, in the process that was started for it."""
    from benchmarks.model_checks import check_model
    from benchmarks.model_exports import check_exports
    from benchmarks.model_suite import ENTRIES

    entry = ENTRIES[job["model"]]
    chosen = entry, job["share"], job["round_to"], job["seed"]
    if job["kind"] == "export":
        return check_exports(*chosen)
    return check_model(*chosen, train=FLAGS.train)


def start_job(job, timeout, train=True):
    """Makes one record in a new process.

    Returns:
        The record; with the verdict `"error"` if the process died.
    """
    command = [sys.executable, "-m", "benchmarks.models"]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, f"--job={json.dumps(job)}", f"--train={train}"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            timeout=timeout,
        )
        last = done.stdout.strip().rpartition("\n")[2]
        record = json.loads(last) if done.returncode == 0 else None
        problem = f"the process ended with {done.returncode}"
    except subprocess.TimeoutExpired:
        record, problem = None, f"it took more than {timeout} s"
    if record is None:
        record = {"errors": {"process": problem}, "verdict": "error"}
    here = machine()
    return {
        **job,
        **record,
        "total_seconds": round(time.perf_counter() - start, 1),
        "machine": {
            name: here[name]
            for name in ("cores", "python", "keras", "tensorflow")
        },
    }


def read_records(path):
    path = pathlib.Path(path)
    if not path.exists():
        return []
    return json.loads(path.read_text(encoding="utf-8"))["records"]


def store(path, records, record):
    """Puts a record in the place of the one with its key, and writes."""
    kept = [r for r in records if key(r) != key(record)]
    kept.append(record)
    write_json(path, {"records": kept})
    return kept


def chosen_entries():
    """The models that the flags name."""
    from benchmarks.model_suite import ENTRIES

    names = ENTRIES if FLAGS.only is None else filter(None, FLAGS.only)
    entries = [ENTRIES[name] for name in names]
    return [entry for entry in entries if entry.suite in FLAGS.suite]


def run_all():
    records = read_records(FLAGS.output)
    jobs = plan(chosen_entries(), FLAGS.families, FLAGS.export)
    jobs = [job for job in jobs if is_wanted(job, records, FLAGS.again)]
    for number, job in enumerate(jobs, 1):
        record = start_job(job, FLAGS.timeout, FLAGS.train)
        records = store(FLAGS.output, records, record)
        print(
            f"{number}/{len(jobs)} {job['model']} {job['share']} "
            f"{job['kind']}: {record['verdict']}, "
            f"{record['total_seconds']} s {record['errors'] or ''}",
            flush=True,
        )


def write_page(path):
    scaling = pathlib.Path(FLAGS.scaling_output)
    times = []
    if scaling.exists():
        times = json.loads(scaling.read_text(encoding="utf-8"))["times"]
    from benchmarks.model_suite import ENTRIES

    order = list(ENTRIES)
    records = read_records(FLAGS.output)
    records.sort(key=lambda record: order.index(record["model"]))
    text = render_page(records, times)
    pathlib.Path(path).write_text(text, encoding="utf-8")
    print(f"written: {path}")


def main(argv):
    del argv
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if FLAGS.job:
        print(json.dumps(run_job(json.loads(FLAGS.job))))
    elif FLAGS.scaling:
        from benchmarks.model_scaling import measure

        write_json(FLAGS.scaling_output, {"times": measure()})
        print(f"written: {FLAGS.scaling_output}")
    else:
        run_all()
    if FLAGS.page:
        write_page(FLAGS.page)


if __name__ == "__main__":
    app.run(main)
