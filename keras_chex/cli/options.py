"""Options that several commands have, and how their values are read."""

import argparse
import importlib
import os
import sys


def shared_options():
    """A parser of what every command understands, to be its parent."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("options of every command")
    group.add_argument(
        "--json", action="store_true", help="print JSON, for programs"
    )
    group.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="import a Python module first, one that registers the classes "
        "of your own layers with keras.saving.register_keras_serializable; "
        "repeat it for more",
    )
    group.add_argument(
        "--debug",
        action="store_true",
        help="show the traceback of an error, and all that libraries say",
    )
    return parser


def add_command(commands, name, run, summary, example):
    """Adds a sub-command whose help ends with a worked example.

    Args:
        commands: what `add_subparsers` returned.
        name: str.
        run: function from the parsed arguments to an `Outcome`.
        summary: str, one sentence.
        example: str, command and output.

    Returns:
        The parser of the sub-command.
    """
    parser = commands.add_parser(
        name,
        parents=[shared_options()],
        help=summary,
        description=summary,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_input_shape(parser):
    """Adds `--input-shape`."""
    parser.add_argument(
        "--input-shape",
        type=shape,
        metavar="H,W,C",
        help="shape of one example, for a model that takes any size",
    )


def shape(text):
    """Reads `"224,224,3"`.

    >>> shape("224,224,3")
    (224, 224, 3)
    """
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(
            f"must be sizes with commas between them, like 224,224,3: {text!r}"
        )
    return sizes


def positive(text):
    """Reads a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a whole number above 0: {text!r}"
        )
    return int(text)


def multiple(text):
    """Reads a whole number above 0, or `auto`.

    >>> multiple("8"), multiple("auto")
    (8, 'auto')
    """
    return text if text == "auto" else positive(text)


def import_modules(names):
    """Imports modules of the user, from the current folder too.

    Raises:
        ValueError: If there is no such module, or it fails.
    """
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise ValueError(
                f"Option `--import` must name a Python module that can be "
                f"imported from here. Received: {name!r}, which fails with "
                f"{type(error).__name__}: {error}"
            ) from error
