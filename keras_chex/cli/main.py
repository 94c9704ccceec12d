"""The command line: parses, runs a command, turns errors into one line."""

import argparse
import contextlib
import json
import sys

import keras_chex
from keras_chex.cli import (
    benchmark,
    compress,
    export,
    inspect_model,
    report,
    strip,
)
from keras_chex.cli.console import one_line, silenced
from keras_chex.cli.options import import_modules

COMMANDS = (inspect_model, compress, strip, export, benchmark, report)

DESCRIPTION = """\
Makes Keras models smaller by removing channels, and brings them to devices.
"""
EPILOG = """\
from a trained model to a phone:
  $ keras_chex inspect model.keras
  $ keras_chex compress model.keras --flops=0.5 --data train.npy -o small.keras
  $ keras_chex export model.keras -o dense.tflite
  $ keras_chex export small.keras -o small.tflite
  $ keras_chex benchmark dense.tflite small.tflite

`keras_chex COMMAND --help` has more. Exit code 0: done. 1: refused or failed,
with one line that says why; nothing was written. 2: wrong usage.
"""


def build_parser():
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="keras_chex",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=keras_chex.__version__
    )
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(argv=None):
    """Runs one command.

    Args:
        argv: list of str, the words after the program's name; `None` for those
            of the process.

    Returns:
        int, the exit code: 0, or 1 where something was refused or failed.

    Raises:
        SystemExit: With code 2, if `argv` is wrong.
    """
    args = build_parser().parse_args(argv)
    quiet = contextlib.nullcontext() if args.debug else silenced()
    try:
        with quiet:
            import_modules(args.imports)
            outcome = args.run(args)
    except Exception as error:
        if args.debug:
            raise
        sys.stderr.write(f"keras_chex: error: {one_line(error)}\n")
        return 1
    text = json.dumps(outcome.value, indent=2) if args.json else outcome.text
    sys.stdout.write(text + "\n")
    return 0
