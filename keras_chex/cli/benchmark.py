"""`keras_chex benchmark`: latency and size of files, measured in turns."""

import dataclasses

import keras_chex
from keras_chex.cli.console import Outcome
from keras_chex.cli.options import add_command, positive

EXAMPLE = """\
  $ keras_chex benchmark dense.tflite small.tflite

  The files take turns, so that their ratios hold on a machine whose speed
  drifts. The first file is what the others are compared with.
"""


def add(commands):
    """Adds the command."""
    parser = add_command(
        commands,
        "benchmark",
        run,
        "Time files against each other in one run.",
        EXAMPLE,
    )
    parser.add_argument("files", nargs="+", help="exported files")
    for name, default, help_text in (
        ("threads", 1, "threads of the interpreter"),
        ("batch-size", None, "examples per inference"),
        ("runs", 100, "timed inferences of each file"),
        ("warmup", 10, "inferences before them"),
    ):
        parser.add_argument(
            f"--{name}",
            type=positive,
            default=default,
            metavar="N",
            help=f"{help_text} (default: {default or 'as the file takes'})",
        )


def run(args):
    """Measures and compares."""
    comparison = keras_chex.compare_latency(
        args.files,
        threads=args.threads,
        batch_size=args.batch_size,
        runs=args.runs,
        warmup=args.warmup,
    )
    results = [dataclasses.asdict(result) for result in comparison.results]
    for result, ratio in zip(results, comparison.ratios, strict=True):
        result["ratio"] = ratio
    return Outcome(str(comparison), {"results": results})
