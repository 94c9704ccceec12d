"""What a record of a checked model amounts to, and how it holds an error."""

import contextlib
import logging

# Largest difference allowed, as a share of the largest output.
TOLERANCE = 1e-4
# A mistake that was made on purpose must change the outputs by this share.
SEEN = 1e-3
# Outputs that differ less between examples prove nothing.
VARIATION = 0.01
# Neither does training that moves half of the weights less.
MOVED = 1e-5
DIFFERENCES = ("permuted", "zeroed", "inference", "trained", "reloaded")

_LOGGER = logging.getLogger(__name__)


@contextlib.contextmanager
def errors_noted(record, step):
    """Puts an error into a record, and lets the program go on.

    Args:
        record: dict with the entry `errors`.
        step: str, under which name.
    """
    try:
        yield
    except Exception as error:
        _LOGGER.exception("%s: %s", record["model"], step)
        text = " ".join(str(error).split())
        if len(text) > 800:
            text = f"{text[:400]} ... {text[-400:]}"
        record["errors"][step] = f"{type(error).__name__}: {text}"


def verdict(record):
    """Sums a record up.

    Returns:
        `"passed"`, `"failed"` (a difference is too large or a mistake was not
        seen), `"void"` (the outputs or weights moved too little to tell),
        `"whole"` (no channel can be removed) or `"error"`.
    """
    if record.get("unfrozen_groups") == 0:
        return "whole"
    if record["errors"]:
        return "error"
    varied = record["variation"].values()
    if not all(value >= VARIATION for value in varied):
        return "void"
    is_trained = "trained" not in record["skipped"]
    if is_trained and not record["moved"] >= MOVED:
        return "void"
    expected = set(DIFFERENCES) - set(record["skipped"])
    right = (
        set(record["differences"]) == expected
        and all(d <= TOLERANCE for d in record["differences"].values())
        and set(record["seen"]) == {"permuted", "stripped"}
        and all(d > SEEN for d in record["seen"].values())
        and all(record["costs_agree"].values())
    )
    return "passed" if right else "failed"


def exports_verdict(record):
    """Sums a record of exports up, as `verdict` does."""
    if record["errors"]:
        return "error"
    if not record["variation"] >= VARIATION:
        return "void"
    worst = max(record["differences"].values())
    return "passed" if worst <= TOLERANCE else "failed"
