"""Keeps the chatter of TensorFlow's converter off the terminal."""

import contextlib
import os
import sys
import tempfile
import warnings


@contextlib.contextmanager
def quiet_stderr():
    """Holds back what the process writes to stderr, C++ code included.

    Converter and interpreter write dozens of lines there that no Python
    setting reaches. They are dropped if the body succeeds and shown if it
    raises. Text that other threads write meanwhile shares that fate, so the
    body should be short.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(original)
            held.seek(0)
            sys.stderr.write(held.read().decode("utf-8", "replace"))
            raise
        else:
            _restore(original)


def _restore(original):
    sys.stderr.flush()
    os.dup2(original, 2)
    os.close(original)


@contextlib.contextmanager
def no_word_of_litert():
    """Keeps TensorFlow's interpreter from saying that LiteRT succeeds it."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"(?s).*from the ai_edge_litert package"
        )
        yield
