"""`write_report`: a page about a run, and its figures beside it."""

import dataclasses
import io
import pathlib

from keras_chex.export.staging import staged_file
from keras_chex.report.figures import (
    curve_of,
    draw_channels,
    draw_costs,
    draw_curves,
    draw_flops,
)
from keras_chex.report.page import render
from keras_chex.report.run_data import read_run
from keras_chex.report.training_data import run_of

PAGE = "report.html"
COSTS = (
    ("multiply-adds", lambda network: network.result.get("flops")),
    ("parameters", lambda network: network.result.get("params")),
    (".tflite bytes", lambda network: network.bytes.get("model.tflite")),
    ("latency, ms", lambda network: network.result.get("latency_ms")),
)


@dataclasses.dataclass(frozen=True)
class RunReport:
    """What `write_report` wrote.

    Attributes:
        path: `pathlib.Path` of the page.
        figures: tuple of `pathlib.Path`, the PNG files beside it.
        notes: tuple of str, what was missing.
    """

    path: pathlib.Path
    figures: tuple
    notes: tuple

    def __str__(self):
        names = ", ".join(path.name for path in self.figures) or "no figure"
        lines = [f"written to {self.path}, with {names} beside it"]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def write_report(
    folder, model=None, history=None, scheduler=None, tflite=(), title=None
):
    """Writes `report.html`, one self-contained page about a training run.

    Accuracy and FLOPs over the epochs, channels over time, FLOPs of every layer
    before and after, latency and sizes; every figure is also written as a PNG
    file beside the page. What is not known is left out, and the page says so.

    With nothing but `folder`, the run is read from the files in it, as the
    programs of `experiments` leave them: `result.json` and `flags.json`, and
    in one folder per network `history.csv`, `model.keras`, `model.tflite` and
    `saved_model/`; or `history.csv` and `model.keras` in the folder itself.
    With any of the next four arguments, the run is what these say, and no file
    is read.

    Args:
        folder: path, where the page is written.
        model: the trained `keras.Model`; a wrapped one knows its layers before
            and after.
        history: what `fit` returned.
        scheduler: the `ChexScheduler` of the run.
        tflite: paths of `.tflite` files, which are timed against each other.
        title: str, heads the page; the name of the folder if `None`.

    Returns:
        A `RunReport`: `path`, `figures` and `notes`.

    Raises:
        ValueError: If there is nothing to report, `folder` cannot be written
            to, or a file is damaged.
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    history = model.fit(x, y, epochs=20, callbacks=[scheduler])
    keras_chex.write_report("runs/first", model, history, scheduler)
    ```
    """
    from keras_chex import __version__

    folder = pathlib.Path(folder)
    handed = (model, history, scheduler, tflite or None)
    if all(one is None for one in handed):
        run = read_run(folder)
        run.title = title or run.title
    else:
        run = run_of(title or folder.name, model, history, scheduler, tflite)
        folder.mkdir(parents=True, exist_ok=True)
    figures = _figures(run)
    for name, (_, _, png) in figures.items():
        with staged_file(folder / name, ".png") as staged:
            staged.write_bytes(png)
    page = render(run, list(figures.values()), __version__)
    with staged_file(folder / PAGE, ".html") as staged:
        staged.write_text(page, encoding="utf-8")
    return RunReport(
        folder / PAGE,
        tuple(folder / name for name in figures),
        tuple(run.notes),
    )


def _figures(run):
    """Draws what the run has: `{file: (heading, caption, PNG)}`."""
    figures = {}
    for name, heading, caption, draw in FIGURES:
        figure = draw(run)
        if figure is not None:
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png")
            figures[name] = heading, caption, buffer.getvalue()
    return figures


def _curves(run):
    histories = {n.name: n.rows for n in run.networks if n.rows}
    if not histories:
        return None
    if curve_of(list(histories.values())) is None:
        run.notes.append(
            "The histories have neither accuracy nor loss: no curve is shown."
        )
        return None
    dense = run.networks[0].result.get("flops")
    costs = {
        network.name: network.result["flops"] / dense
        for network in run.networks
        if dense and "flops" in network.result
    }
    return draw_curves(
        histories, f"{run.title}: accuracy and cost while training", costs
    )


def _channels(run):
    for network in run.networks:
        rows = network.rows
        sizes = {
            name: size
            for name, size in network.result.get("groups", {}).items()
            if rows and all(f"channels/{name}" in row for row in rows)
        }
        if sizes and all("chex/flops" in row for row in rows):
            title = f"{run.title}: active channels of every group"
            return draw_channels(rows, sizes, title)
    run.notes.append(
        "No history with channels of every group: channels over time are not "
        "shown."
    )
    return None


def _flops(run):
    known = [network for network in run.networks if network.layers]
    if len(known) < 2:
        run.notes.append(
            "Fewer than two networks with layers: there is no before and after."
        )
        return None
    before = known[0]
    after = next((n for n in known if "groups" in n.result), known[-1])
    layers = [
        (name, cost, after.layers[name])
        for name, cost in before.layers.items()
        if name in after.layers
    ]
    if not layers:
        run.notes.append(
            f"{before.name} and {after.name} have no layer of the same name: "
            "there is no before and after."
        )
        return None
    title = f"{run.title}: layers of {before.name} and {after.name}"
    return draw_flops(layers, title)


def _costs(run):
    costs = {}
    for measure, read in COSTS:
        values = {network.name: read(network) for network in run.networks}
        known = {name: v for name, v in values.items() if v is not None}
        if len(known) > 1:
            costs[measure] = known
    return draw_costs(costs, f"{run.title}: costs") if costs else None


FIGURES = (
    (
        "curves.png",
        "Accuracy over time",
        "The reference is grey. Below: multiply-adds of each network, as a "
        "share of the dense one.",
        _curves,
    ),
    (
        "channels.png",
        "Channels over time",
        "One line per group of channels that can only go together; numbers "
        "stand where a width begins.",
        _channels,
    ),
    (
        "flops.png",
        "FLOPs of every layer, before and after",
        "Layers with multiply-adds; the percentage is what is left.",
        _flops,
    ),
    (
        "costs.png",
        "Costs",
        "Smaller is better; latencies were measured in turns, in one run.",
        _costs,
    ),
)
