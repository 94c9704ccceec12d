"""Pictures of a study: accuracy against cost, widths over time."""

import itertools

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from keras_chex.report import figures

from ..common.run_directory import replacing
from . import grid
from .page import describe

# Contenders of the headline stand out; others are black, told apart by marker.
STYLES = {
    "dense": ("#767676", "s"),
    "slim": ("#c45a00", "o"),
    "slim_equal_training": ("#e8a15c", "o"),
    "oneshot_l1": ("#3d8b37", "^"),
    "oneshot_bn_scale": ("#77b85f", "v"),
    "oneshot_css": ("#1f5c1b", "<"),
    "oneshot_fisher": ("#2fae8f", ">"),
    "prune_early": ("#8a4fa3", "D"),
    "prune_gradual": ("#b98bc9", "d"),
    "prune_gradual_fisher": ("#7fc8d4", "p"),
    "chex": ("#0b62a4", "*"),
    "chex_uniform": ("#5b9bd5", "*"),
    "css_mru": ("#b5404a", "X"),
    "css_mru_fisher": ("#17a2b8", "P"),
    "css_mru_bn_scale": ("#8a8a3a", "h"),
    "magnitude": ("#d4499a", "s"),
    "torch_pruning": ("#e0a800", "D"),
}
OTHER_MARKERS = "x+1234|_"
COSTS = (
    ("FLOPs / dense", lambda line: line.share("flops", "dense_flops")),
    (
        "training FLOPs / dense",
        lambda line: line.share("train_flops", "dense_train_flops"),
    ),
    ("seconds of training", lambda line: line.seconds),
)
WITHOUT_TIME = COSTS[:2]


def draw(records, parent):
    """Draws all pictures.

    Args:
        records: `statistics.Records`.
        parent: `pathlib.Path` of the page.

    Returns:
        Dict from `(study, setting)` to a list of `(title, path from the page)`.
    """
    drawn = {}
    for name, study in grid.STUDIES.items():
        for setting in study.settings:
            found = list(_draw(records, name, study, setting, parent))
            if found:
                drawn[name, setting] = found
    return drawn


def _draw(records, name, study, setting, parent):
    if not name.startswith(("headline", "trial")):
        return
    lines = {
        (line.contender, line.records[0]["budget"]): line
        for budget in study.budgets
        for line in records.lines(study, setting, budget)
    }
    if not lines:
        return
    some = describe(next(iter(lines.values())).records[0])
    path = f"results/compare_{setting}.png"
    plot_costs(list(lines.values()), parent / path, some)
    yield "Accuracy against what it costs", path
    for budget in study.budgets:
        line = lines.get(("chex", budget))
        if line is None:
            line = lines.get(("chex_uniform", budget))
        if line is not None:
            title = f"CHEX at {budget:.0%}: widths over time, seed "
            title += str(line.records[0]["seed"])
            path = f"results/compare_{setting}_widths_{budget:g}.png"
            plot_widths(line.records[0], parent / path, title)
            yield title, path


def plot_costs(lines, path, title):
    """Draws accuracies over FLOPs, training FLOPs and wall time.

    Wall time is left out for runs that were made beside others.

    Args:
        lines: list of `statistics.Line`, of all budgets; points of the same
            contender are joined.
        path: path of the PNG file.
        title: string.
    """
    figure = Figure(figsize=(12, 4.6), layout="constrained", dpi=130)
    timed = any(line.seconds is not None for line in lines)
    costs = COSTS if timed else WITHOUT_TIME
    panels = figure.subplots(1, len(costs), sharey=True)
    names = list(dict.fromkeys(line.contender for line in lines))
    others = [name for name in names if name not in STYLES]
    markers = dict(zip(others, itertools.cycle(OTHER_MARKERS), strict=False))
    for axes, (label, cost) in zip(panels, costs, strict=True):
        for name in names:
            points = sorted(
                (cost(line), line.accuracy, line.spread or 0.0)
                for line in lines
                if line.contender == name and cost(line) is not None
            )
            if not points:
                continue
            x, y, spreads = zip(*points, strict=True)
            colour, marker = STYLES.get(name, ("black", markers.get(name)))
            axes.errorbar(
                x,
                y,
                spreads,
                color=colour,
                marker=marker,
                markersize=11 if marker == "*" else 6,
                linewidth=1.2,
                elinewidth=0.9,
                capsize=2,
                label=name,
            )
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
        figures.plain(axes)
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
    panels[0].set_ylabel("test accuracy")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside right upper",
        frameon=False,
        fontsize=8,
    )
    save(figure, path)


def plot_widths(record, path, title):
    """Draws the active share of every channel group over the epochs.

    Args:
        record: dict of one cell that explored.
        path: path of the PNG file.
        title: string.
    """
    per_epoch = record["dense_train_flops"] / record["setting"]["epochs"]
    rows, changes = [], dict(map(tuple, record["widths"]))
    widths = ()
    for epoch, flops in enumerate(record["history"]["train_flops"]):
        widths = changes.get(epoch, widths)
        row = {"epoch": epoch + 1, "chex/flops": flops / per_epoch}
        for group, width in zip(record["groups"], widths, strict=True):
            row[f"channels/{group}"] = width
        rows.append(row)
    save(figures.draw_channels(rows, record["groups"], title), path)


def save(figure, path):
    """Writes a picture in one piece."""
    with replacing(path) as beside:
        figure.savefig(beside)
