"""The directory of a run: what it was asked, what came out, where it stopped.

A killed program is started again with the same command: it keeps what is
finished and goes on from the last complete epoch of what is not. Every file is
written beside its place and then renamed, so none is ever half there.
"""

import contextlib
import csv
import io
import json
import os
import pathlib
import shutil


@contextlib.contextmanager
def replacing(path):
    """Yields a path beside `path`; on success it takes the place of `path`.

    The name keeps its suffixes, which tell Keras the format of a file. After an
    exception `path` is as before and nothing is left beside it.

    Args:
        path: path of a file, or of a directory, that may exist already.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"partial-{path.name}")
    _remove(beside)
    try:
        yield beside
        if beside.is_dir():
            _remove(path)  # a directory cannot be renamed onto a full one
        os.replace(beside, path)
    finally:
        _remove(beside)


def write_text(path, text):
    """Writes a text file in one piece."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Writes a JSON file in one piece."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path):
    """The value of a JSON file, or `None` where there is no file."""
    path = pathlib.Path(path)
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def write_rows(path, rows):
    """Writes dicts as a CSV file in one piece.

    Args:
        path: path of the file.
        rows: list of dicts. A column appears where its key came first; a row
            without that key has an empty field.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def read_rows(path):
    """The rows of a CSV file, numbers as numbers, empty fields left out.

    Returns:
        List of dicts, empty where there is no file.
    """
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {key: _number(text) for key, text in row.items() if text != ""}
            for row in csv.DictReader(file)
        ]


def open_run(workdir, settings, write=True):
    """Starts a run directory or returns to it.

    Args:
        workdir: path of the directory, made if needed.
        settings: dict that decides the result; kept as `flags.json`.
        write: bool; of several processes one writes.

    Returns:
        `pathlib.Path` of the directory.

    Raises:
        ValueError: If the directory belongs to a run with other settings.
    """
    workdir = pathlib.Path(workdir)
    settings = json.loads(json.dumps(settings))
    before = read_json(workdir / "flags.json")
    if before is None:
        if write:
            write_json(workdir / "flags.json", settings)
        return workdir
    # A flag that came later was not set before.
    changed = [
        f"--{n}={before.get(n)} there, {settings.get(n)} now"
        for n in sorted(before.keys() | settings.keys())
        if before.get(n) != settings.get(n)
    ]
    if changed:
        raise ValueError(
            "Flag `--workdir` must name a new directory or one with the same "
            f"settings. Received: {workdir}, which holds a run with "
            f"{'; '.join(changed)}. Name another one, or remove it"
        )
    return workdir


def _number(text):
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
