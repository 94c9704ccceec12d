"""Where the scheduler's lines go: the terminal, or the log."""

import sys

import keras
from absl import logging


def print_message(text):
    """Shows a line as Keras shows its own."""
    if keras.config.is_interactive_logging_enabled():
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    else:
        logging.info(text)
