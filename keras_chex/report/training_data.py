"""What a report knows about a run, from the objects that made it."""

import pathlib

import keras

from keras_chex.analysis.summary import summary
from keras_chex.export.engines import size_of
from keras_chex.export.latency import compare_latency
from keras_chex.report.run_data import Network, RunData, layer_flops


def run_of(title, model=None, history=None, scheduler=None, tflite=()):
    """Collects a run from a model, a history, a scheduler and files.

    Args:
        title: str.
        model: a built `keras.Model`, wrapped or plain.
        history: what `fit` returned, its dict, or a list of dicts by epoch.
        scheduler: a `ChexScheduler` that has run.
        tflite: paths of `.tflite` files, which are timed now.

    Returns:
        `RunData`.

    Raises:
        TypeError: If `model` or `history` is of another kind.
        ValueError: If a file does not exist.
    """
    run = RunData(title, [])
    network = Network("trained", rows_of(history))
    if model is not None:
        _add_model(run, network, model)
    if scheduler is not None:
        _add_widths(run, network, scheduler)
    for missing, what in (
        (history is None, "No history: accuracy over time is not shown."),
        (model is None, "No model: its cost and its layers are not shown."),
        (scheduler is None, "No scheduler: channels over time are not shown."),
        (not tflite, "No .tflite files: latency was not measured."),
    ):
        if missing:
            run.notes.append(what)
    if history is not None or model is not None or scheduler is not None:
        run.networks.append(network)
    if tflite:
        _add_files(run, tflite)
    return run


def rows_of(history):
    """The history of `fit` as a list of dicts.

    >>> rows_of({"loss": [2.0, 1.0]})
    [{'epoch': 1, 'loss': 2.0}, {'epoch': 2, 'loss': 1.0}]
    """
    if history is None:
        return []
    if isinstance(history, list):
        return history
    epochs = getattr(history, "epoch", None)
    logs = getattr(history, "history", history)
    if not isinstance(logs, dict):
        raise TypeError(
            "Argument `history` must be what `fit` returned, a dict of lists, "
            f"or a list of dicts. Received: {history!r}"
        )
    count = max((len(values) for values in logs.values()), default=0)
    epochs = epochs or range(count)
    return [
        {
            "epoch": epoch + 1,
            **{key: float(v[i]) for key, v in logs.items() if i < len(v)},
        }
        for i, epoch in enumerate(epochs)
    ]


def _add_model(run, network, model):
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Argument `model` must be a `keras.Model`. Received: "
            f"{type(model).__name__}"
        )
    found = summary(model)
    network.layers = layer_flops(found)
    network.result |= {"flops": found.flops, "params": found.params}
    if found.flops == found.dense_flops:
        run.notes.append(
            f"'{model.name}' has all its channels: hand over the wrapped model "
            "to see its layers before and after."
        )
        return
    dense = Network("dense", layers=layer_flops(found, dense=True))
    dense.result = {"flops": found.dense_flops, "params": found.dense_params}
    run.networks.append(dense)
    network.result["groups"] = {
        group.name: group.size for group in found.groups if not group.frozen
    }


def _add_widths(run, network, scheduler):
    """Adds the channels of every epoch to the rows of the history."""
    steps = scheduler.history
    if not steps:
        run.notes.append("The scheduler has not run: it has no history.")
        return
    if "groups" not in network.result:
        run.notes.append(
            "No wrapped model: group sizes are the largest widths seen."
        )
        network.result["groups"] = {
            name: max(step["widths"][name] for step in steps)
            for name in steps[0]["widths"]
        }
    if not network.rows:
        last = max(step["epoch"] for step in steps)
        network.rows = [{"epoch": epoch + 1} for epoch in range(last + 1)]
    for row in network.rows:
        # A step at `epoch` is made before that epoch trains.
        made = [step for step in steps if step["epoch"] < row["epoch"]]
        step = made[-1] if made else steps[0]
        row.setdefault("chex/flops", step["flops"])
        for name, width in step["widths"].items():
            row[f"channels/{name}"] = width


def _add_files(run, tflite):
    measured = compare_latency([str(path) for path in tflite])
    by_name = {network.name: network for network in run.networks}
    for path, latency in zip(tflite, measured.results, strict=True):
        path = pathlib.Path(path)
        network = by_name.get(path.stem) or Network(path.name)
        network.bytes["model.tflite"] = size_of(path)
        network.result["latency_ms"] = latency.median_ms
        if network not in run.networks:
            run.networks.append(network)
