"""What the terminal gets to see: results and one line about an error."""

import contextlib
import dataclasses
import io
import os
import sys
import warnings

LONGEST = 600
# Others are no refusal but a mistake in this package or below it.
REFUSALS = (ValueError, TypeError, RuntimeError, ImportError)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a command has to say.

    Attributes:
        text: str, for people.
        value: dict, the same for machines; JSON can hold it.
    """

    text: str
    value: dict


@contextlib.contextmanager
def silenced():
    """Drops what libraries write to the terminal, C++ code included."""
    with (
        silenced_descriptor(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def silenced_descriptor():
    """Drops what is written to file descriptor 2, stderr of C++ code."""
    sys.stderr.flush()
    original = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)


def one_line(error):
    """The message of an exception, without line breaks.

    >>> one_line(ValueError("Argument `flops`:\\n  received 2"))
    'Argument `flops`: received 2'
    >>> one_line(FileNotFoundError(2, "No such file", "model.keras"))
    "No such file: 'model.keras'"
    >>> one_line(ZeroDivisionError("division by zero"))
    'ZeroDivisionError: division by zero (--debug shows where)'
    """
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        named = f": {str(error.filename)!r}" if error.filename else ""
        text = f"{error.strerror}{named}"
    elif not text or not isinstance(error, (OSError, *REFUSALS)):
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + " ..."
