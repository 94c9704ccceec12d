"""Trains one cell of the grid and writes its record."""

import dataclasses
import json
import shutil
import time

import keras

import keras_chex

from ..common import measure
from ..common.array_feed import array_feed
from ..common.datasets import steps_per_epoch
from ..common.recipe import Recipe
from ..common.run_directory import open_run, read_json, write_json, write_text
from ..common.scanned_feed import scanned_feed
from ..common.software import hardware, software
from ..common.training import ChannelLog, ProgressLine, Stopwatch, train
from .contenders import images_per_epoch, prepare
from .data import load_images
from .locks import locked
from .magnitude import parameters_left


def run_cell(cell, places, alone=True, compiled_epochs=False):
    """Trains a cell from wherever it was interrupted.

    Args:
        cell: a `grid.Cell`; the cell it needs is finished.
        places: `Places`.
        alone: bool, whether nothing else trains on the machine, so that times
            can be compared; it stands in the record.
        compiled_epochs: bool, a whole epoch is one compiled loop: see
            `scanned_feed`. It stands in the record where it is so.

    Returns:
        Dict, the record; also in `places.record(cell)`.

    Raises:
        Busy: If another process is at work on the cell.
    """
    with locked(places.lock(cell)):
        record = read_json(places.record(cell))
        if record is None:
            feed = scanned_feed if compiled_epochs else array_feed
            record = {**_train(cell, places, feed), "alone": alone}
            if compiled_epochs:
                record["compiled_epochs"] = True
            write_text(places.record(cell), dump(record))
            shutil.rmtree(places.folder(cell) / "backup", ignore_errors=True)
    return record


def settings_of(cell):
    """What decides the result of a cell."""
    return {
        "setting": dataclasses.asdict(cell.setting),
        "contender": dataclasses.asdict(cell.contender),
        "budget": cell.budget,
        "seed": cell.seed,
    }


def dump(record):
    """JSON with one line for every entry of the record."""
    lines = (f" {json.dumps(k)}: {json.dumps(v)}" for k, v in record.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _train(cell, places, feed):
    setting = cell.setting
    folder = open_run(places.folder(cell), settings_of(cell))
    images = load_images(setting, places.data())
    if cell.contender.kind == "torch_pruning":
        # Needs PyTorch, which the others do not.
        from .torch_pruning_cell import train_cell

        record = train_cell(cell, images, _recipe(cell, setting.epochs))
        return {"name": cell.name, **settings_of(cell), **record}
    where = _where(folder / "machines.json")
    needed = cell.needed and read_json(places.record(cell.needed))
    entry = prepare(cell, images, needed)
    scheduler = entry.scheduler
    exploring = [] if scheduler is None else [scheduler, ChannelLog()]
    cores = Stopwatch(time.process_time)
    costs = CostLog(
        steps_per_epoch(len(images.train[0]), setting.batch_size),
        setting.batch_size,
        cores,
        [] if scheduler is None else scheduler.history,
    )
    rows = train(
        entry.model,
        images,
        _recipe(cell, entry.epochs),
        folder,
        [
            *(cores, *exploring, *entry.callbacks, costs),
            ProgressLine(cell.name),
        ],
        feed=feed,
    )
    return _record(cell, images, entry, rows, where)


def _where(path):
    """Notes what the cell is trained on; a run may be carried elsewhere.

    Returns:
        Dict with `hardware` and `software`, all of it since the first epoch.
    """
    known = read_json(path) or []
    now = {"hardware": hardware(), "software": software()}
    if now not in known:
        known.append(now)
        write_json(path, known)
    machines = [entry["hardware"] for entry in known]
    versions = {}
    for entry in known:
        versions |= entry["software"]
    return {
        "software": versions,
        "hardware": {
            "processor": ", then ".join(m["processor"] for m in machines),
            "devices": [device for m in machines for device in m["devices"]],
        },
    }


def _recipe(cell, epochs):
    setting = cell.setting
    return Recipe(
        epochs=epochs,
        batch_size=setting.batch_size,
        lr=setting.lr,
        weight_decay=setting.weight_decay,
        shift=setting.shift,
        seed=cell.seed,
    )


class CostLog(keras.callbacks.Callback):
    """Logs what every epoch cost.

    The keys are `train_flops`, multiply-adds of the forward passes of all
    training steps, each with the channels then active, and `core_seconds`,
    without the evaluation.

    Args:
        steps: int, steps in an epoch.
        batch_size: int.
        stopwatch: a `Stopwatch` of core seconds, before this one in the list.
        changes: list of dicts with `step` and `flops`, filled while training:
            the history of a `ChexScheduler`.
    """

    def __init__(self, steps, batch_size, stopwatch, changes):
        super().__init__()
        self.steps = steps
        self.batch_size = batch_size
        self.stopwatch = stopwatch
        self.changes = changes

    def on_train_begin(self, logs=None):
        # A run that goes on has no history of the changes before.
        summary = keras_chex.summary(self.model)
        self._dense = summary.dense_flops
        self._share = summary.flops / summary.dense_flops

    def on_epoch_end(self, epoch, logs=None):
        begin = epoch * self.steps
        changes = [(change["step"], change["flops"]) for change in self.changes]
        share = mean_share(changes, begin, begin + self.steps, self._share)
        examples = self.steps * self.batch_size
        logs["train_flops"] = round(share * self._dense * examples)
        logs["core_seconds"] = round(self.stopwatch.seconds(), 3)


def mean_share(changes, begin, end, share):
    """Mean of a share over steps of training.

    Args:
        changes: list of `(step, share from this step on)`, in order.
        begin: int, the first step.
        end: int, the step behind the last.
        share: float, the share before all changes.

    Returns:
        Float.

    Example:

    >>> mean_share([(0, 1.0), (10, 0.5), (16, 0.25)], 8, 16, 0.8)
    0.625
    """
    total, since = 0.0, begin
    for step, new in changes:
        if begin < step < end:
            total += share * (step - since)
            since = step
        if step < end:
            share = new
    return (total + share * (end - since)) / (end - begin)


def _record(cell, images, entry, rows, where):
    model, groups = entry.model, {}
    if entry.scheduler is not None:
        found = keras_chex.channel_groups(model)
        groups = {g.name: g.size for g in found if g.frozen is None}
        model = keras_chex.strip(model)
    dense_epoch = entry.dense_flops * images_per_epoch(cell.setting, images)
    train_flops = [int(row["train_flops"]) for row in rows]
    return {
        "name": cell.name,
        **settings_of(cell),
        "epochs": entry.epochs,
        "accuracy": measure.accuracy(model, images),
        "flops": int(keras_chex.flops(model)),
        "params": int(
            parameters_left(model) if entry.is_sparse else model.count_params()
        ),
        "dense_flops": int(entry.dense_flops),
        "train_flops": sum(train_flops),
        "dense_train_flops": dense_epoch * cell.setting.epochs,
        "seconds": round(sum(row["seconds"] for row in rows), 2),
        "core_seconds": round(sum(row["core_seconds"] for row in rows), 2),
        "groups": groups,
        "widths": _changes(groups, rows),
        "history": {
            "accuracy": [round(row["val_accuracy"], 5) for row in rows],
            "train_accuracy": [round(row["accuracy"], 5) for row in rows],
            "loss": [round(row["loss"], 5) for row in rows],
            "train_flops": train_flops,
            "seconds": [row["seconds"] for row in rows],
        },
        **where,
    }


def _changes(groups, rows):
    """`[epoch, widths]` for every epoch whose widths are new; from 0."""
    changes = []
    for epoch, row in enumerate(rows):
        widths = [int(row[f"channels/{group}"]) for group in groups]
        if groups and (not changes or changes[-1][1] != widths):
            changes.append([epoch, widths])
    return changes
