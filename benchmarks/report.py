"""Where a benchmark ran and how its results are written down."""

import json
import os
import pathlib
import platform


def machine():
    """Names the machine and the libraries that a measurement belongs to.

    Returns:
        Dict of strings and numbers.
    """
    import keras
    import tensorflow as tf

    from keras_chex.export.latency_measurement import processor

    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "accelerators": [
            device.name for device in tf.config.list_physical_devices("GPU")
        ],
        "system": platform.platform(),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


def write_json(path, result):
    """Writes a result beside the machine that it was measured on."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), **result}, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def write_between(path, name, text):
    """Replaces what stands between two marks of a page.

    Args:
        path: path of a Markdown page.
        name: str, in the marks `<!-- name: begin -->`, `<!-- name: end -->`.
        text: str.
    """
    page = pathlib.Path(path)
    begin, end = (f"<!-- {name}: {word} -->" for word in ("begin", "end"))
    before, rest = page.read_text(encoding="utf-8").split(begin)
    after = rest.split(end)[1]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def table(rows):
    """Puts rows of strings into columns: text left, the others right.

    >>> print(table([("step", "ms"), ("dense", "10.5"), ("narrow", "4.0")]))
    step      ms
    dense   10.5
    narrow   4.0
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
