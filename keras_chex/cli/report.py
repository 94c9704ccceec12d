"""`keras_chex report`: a page about a run."""

import dataclasses

import keras_chex
from keras_chex.cli.console import Outcome
from keras_chex.cli.options import add_command

EXAMPLE = """\
  $ keras_chex report runs/digits

  Writes report.html, one page that needs nothing beside it, and the figures in
  it as PNG files. Reads history.csv, result.json, and the model.keras and
  model.tflite of every network; the page says what it did not find.
"""


def add(commands):
    """Adds the command."""
    parser = add_command(
        commands,
        "report",
        run,
        "Write report.html about a training run.",
        EXAMPLE,
    )
    parser.add_argument("folder", help="the directory of the run")


def run(args):
    """Reads the directory and writes the page into it."""
    report = keras_chex.write_report(args.folder)
    value = {
        name: [str(path) for path in found] if name == "figures" else found
        for name, found in dataclasses.asdict(report).items()
    }
    return Outcome(str(report), value | {"path": str(report.path)})
