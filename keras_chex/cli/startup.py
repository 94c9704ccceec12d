"""Imports Keras; silently where this process is the command line.

TensorFlow writes to the terminal while it is imported, whatever its settings.
In programs that import this package it does so as ever.
"""

import contextlib
import pathlib
import sys

from keras_chex.cli.console import silenced_descriptor


def is_command_line():
    """Tells whether `keras_chex` is the program, not a library of another."""
    if sys.argv[0] != "-m":
        return pathlib.Path(sys.argv[0]).stem == "keras_chex"
    # What `python -m` is about to run.
    words = sys.orig_argv
    return words[words.index("-m") + 1 :][:1] == ["keras_chex"]


with silenced_descriptor() if is_command_line() else contextlib.nullcontext():
    import keras as keras
