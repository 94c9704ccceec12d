"""What a report knows about a run, read from its directory.

Of the directory and of the folder of every network in it, these files count:
`result.json`, `history.csv`, `model.keras`, `model.tflite`, `saved_model/`.
"""

import contextlib
import csv
import dataclasses
import json
import pathlib
import statistics

import keras

from keras_chex.analysis.summary import summary
from keras_chex.export.engines import size_of

FILES = ("model.keras", "model.tflite", "saved_model")


@dataclasses.dataclass
class Network:
    """One network of a run: the dense one, say, or the one with CHEX.

    Attributes:
        name: str.
        rows: list of dicts, its history, one per epoch.
        result: dict of what was measured: `accuracy`, `flops`, `params`,
            `latency_ms`, `groups` (`{group: size}`), where known.
        layers: dict from a layer's name to its multiply-adds.
        bytes: dict from a file's name to its size.
    """

    name: str
    rows: list = dataclasses.field(default_factory=list)
    result: dict = dataclasses.field(default_factory=dict)
    layers: dict = dataclasses.field(default_factory=dict)
    bytes: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class RunData:
    """A run.

    Attributes:
        title: str.
        networks: list of `Network`, the reference first.
        notes: list of str, what is missing and what follows.
        settings: dict, for the foot of the page.
    """

    title: str
    networks: list
    notes: list = dataclasses.field(default_factory=list)
    settings: dict = dataclasses.field(default_factory=dict)


def read_run(folder):
    """Reads the directory of a run, as the programs of `experiments` leave it.

    A directory with `history.csv` (of `keras.callbacks.CSVLogger`, say) or
    `model.keras` on its own is a run of one network. Of several seeds, the
    numbers are means, and the rest is of the first one.

    Args:
        folder: path.

    Returns:
        `RunData`.

    Raises:
        ValueError: If there is no such folder, nothing of a run is in it, or
            a file is damaged.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(
            "Argument `folder` must be the directory of a run. Received: "
            f"'{folder}', which is no folder"
        )
    result = _read_json(folder / "result.json")
    measured = result.get("contenders", {})
    run = RunData(folder.name, [], settings=_settings(folder, result))
    parts = folder
    if (folder / "seed0").is_dir() or _is_several(measured):
        parts = min(folder.glob("seed*"), default=folder)
        run.notes.append(
            f"Several seeds: numbers are means; curves, channels and layers "
            f"are those of {parts.name}."
        )
    names = list(measured) or [
        path.parent.name for path in sorted(parts.glob("*/history.csv"))
    ]
    for name in names:
        found = _mean(measured.get(name, {}))
        run.networks.append(
            _read_network(run, name, parts / name.lower(), found)
        )
    if not names and any((folder / name).exists() for name in SINGLE):
        run.networks.append(_read_network(run, folder.name, folder, {}))
    if not run.networks:
        raise ValueError(
            "Argument `folder` must hold a run: 'result.json', or a "
            "'history.csv' or 'model.keras' in it or in a folder per network. "
            f"Received: '{folder}' without any of them"
        )
    if not result:
        run.notes.append(
            "No result.json: the run is not finished, or another program "
            "wrote it. Accuracy on the test set and latency are unknown."
        )
    return run


SINGLE = ("history.csv", "model.keras")


def read_rows(path):
    """The rows of a CSV file; numbers as numbers, empty fields left out."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            {key: _number(text) for key, text in row.items() if text}
            for row in csv.DictReader(file)
        ]
    if not all(isinstance(row.get("epoch"), float) for row in rows):
        raise ValueError(f"'{path}' has no column 'epoch' of numbers")
    # `CSVLogger` counts epochs from 0.
    shift = 1 if rows and rows[0]["epoch"] == 0 else 0
    return [{**row, "epoch": int(row["epoch"]) + shift} for row in rows]


def _read_network(run, name, folder, result):
    network = Network(name, read_rows(folder / "history.csv"), result)
    if not network.rows:
        run.notes.append(
            f"{name}: no history.csv, so its accuracy and channels over time "
            "are not shown."
        )
    for file in FILES:
        path = folder / file
        if path.exists():
            network.bytes[file] = size_of(path)
    _read_layers(run, network, folder / "model.keras")
    return network


def _read_layers(run, network, path):
    if not path.exists():
        run.notes.append(
            f"{network.name}: no model.keras, so the FLOPs of its layers are "
            "not shown."
        )
        return
    try:
        model = keras.models.load_model(path, compile=False)
        found = summary(model)
    except (ValueError, TypeError, OSError) as error:
        text = " ".join(str(error).split())[:200]
        run.notes.append(
            f"{network.name}: the FLOPs of its layers are not shown, because "
            f"model.keras cannot be read: {text}"
        )
        return
    network.layers = layer_flops(found)
    network.result.setdefault("flops", found.flops)
    network.result.setdefault("params", found.params)


def layer_flops(found, dense=False):
    """Multiply-adds of the layers that have any, by name."""
    name = "dense_flops" if dense else "flops"
    costs = {layer.name: getattr(layer, name) for layer in found.layers}
    return {layer: cost for layer, cost in costs.items() if cost}


def _read_json(path):
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"'{path}' must hold an object of JSON")
    return value


def _settings(folder, result):
    """What the run was asked, and what it ran on."""
    parts = {
        "flags": _read_json(folder / "flags.json"),
        "recipe": result.get("recipe", {}),
        "software": result.get("software", {}),
    }
    return {name: values for name, values in parts.items() if values}


def _is_several(measured):
    return any(isinstance(values, list) for values in measured.values())


def _mean(values):
    """One dict for the measurements of one or several seeds."""
    if isinstance(values, dict):
        return dict(values)
    result = dict(values[0])
    for key, value in result.items():
        if isinstance(value, (int, float)):
            result[key] = statistics.fmean(one[key] for one in values)
    return result


def _number(text):
    with contextlib.suppress(ValueError):
        return float(text)
    return text
