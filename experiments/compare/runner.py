"""Works through cells: each in a process of its own, none twice."""

import multiprocessing
import os
import sys
import threading
from importlib.util import find_spec

from .locks import Busy, is_locked

BUSY = 75
# Packages, beyond a backend of Keras, that some contenders are made with.
PACKAGES = {
    "magnitude": ("tensorflow_model_optimization",),
    "torch_pruning": ("torch", "torch_pruning"),
}


def part_of(cells, part):
    """Every n-th cell, for machines that share no directory.

    Args:
        cells: list.
        part: string, `"2/3"` for the second of three parts.

    Raises:
        ValueError: If `part` is no such string.

    Example:

    >>> part_of(["a", "b", "c", "d"], "2/3")
    ['b']
    """
    first, _, count = part.partition("/")
    valid = first.isdigit() and count.isdigit()
    if not valid or not 1 <= int(first) <= int(count):
        raise ValueError(
            "Flag `--part` must be two numbers such as 1/3. "
            f"Received: --part={part}"
        )
    return cells[int(first) - 1 :: int(count)]


def state(cell, places):
    """`"finished"`, `"running"`, `"interrupted"`, `"waiting"` or `"open"`.

    A waiting cell needs another that is not finished. A cell that needs
    packages which are not installed is `"needs ..."`.
    """
    if places.record(cell).exists():
        return "finished"
    if is_locked(places.lock(cell)):
        return "running"
    missing = missing_packages(cell)
    if missing:
        return f"needs {', '.join(missing)}"
    if cell.needed and not places.record(cell.needed).exists():
        return "waiting"
    if (places.folder(cell) / "history.csv").exists():
        return "interrupted"
    return "open"


def missing_packages(cell):
    """Names of packages that a cell needs and that are not installed."""
    packages = PACKAGES.get(cell.contender.kind, ())
    return [name for name in packages if not find_spec(name)]


def run_all(cells, places, train):
    """Trains all cells that can be trained now.

    Passes over those that are left are made as long as one more gets done,
    because a cell may need a later one.

    Args:
        cells: list of `grid.Cell`.
        places: `places.Places`.
        train: function from a cell and places that trains it, and returns
            whether it did (another process may have the cell).

    Returns:
        List of cells that are not finished: they wait, another process has
        them, or packages are missing.
    """
    left, before = list(cells), None
    while left and len(left) != before:
        before, later = len(left), []
        for cell in left:
            if places.record(cell).exists():
                continue
            now = state(cell, places)
            if now in ("waiting", "running") or now.startswith("needs"):
                later.append(cell)
            elif not train(cell, places):
                later.append(cell)
        left = later
    return left


def train_in_process(cell, places, **options):
    """Trains a cell in a new process.

    TensorFlow keeps memory of every function it ever traced, and CHEX traces
    a new one whenever widths change.

    Args:
        cell: a `grid.Cell`.
        places: `places.Places`.
        **options: further arguments of `cell.run_cell`.

    Returns:
        Bool: whether it was trained here.

    Raises:
        RuntimeError: If the process failed.
    """
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=_target, args=(cell, places, options), daemon=True
    )
    process.start()
    process.join()
    if process.exitcode not in (0, BUSY):
        raise RuntimeError(
            f"Cell {cell.name} ended with exit code {process.exitcode}; "
            "its own message stands above. Start again to go on with it"
        )
    return process.exitcode == 0


def _end_with_parent():
    """Ends this process when the one that started it is killed."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _target(cell, places, options):
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Not before now: the process that waits needs no backend of Keras.
    from .cell import run_cell

    try:
        run_cell(cell, places, **options)
    except Busy:
        sys.exit(BUSY)
