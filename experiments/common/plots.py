"""Pictures of a run: accuracy and cost per epoch, channels of every group."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from .run_directory import replacing

# Distinguishable with colour-blind eyes; the first contender stays in the
# background because it is the reference.
COLOURS = ("#767676", "#0b62a4", "#c45a00", "#3d8b37")


def plot_curves(histories, path, title, costs=None):
    """Draws test accuracy and FLOPs of all contenders over the epochs.

    Args:
        histories: dict from the contender's name to the rows of its history.
        path: path of the PNG file.
        title: string.
        costs: dict from the name to the share of the dense FLOPs, for
            contenders whose history has no `chex/flops`. Defaults to 1.
    """
    figure = Figure(figsize=(8, 6.4), layout="constrained", dpi=130)
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (5, 2)}
    )
    accuracies = []
    for (name, rows), colour in zip(histories.items(), COLOURS, strict=False):
        epochs = [row["epoch"] for row in rows]
        tested = [row["val_accuracy"] for row in rows]
        share = (costs or {}).get(name, 1.0)
        flops = [row.get("chex/flops", share) for row in rows]
        label = f"{name}: {tested[-1]:.2%} after the last epoch"
        upper.plot(epochs, tested, color=colour, linewidth=1.6, label=label)
        lower.step(epochs, flops, where="mid", color=colour, linewidth=1.8)
        accuracies += tested
    # The first epochs are near chance; the interesting part is what follows.
    low, high = np.quantile(accuracies, 0.2), max(accuracies)
    margin = 0.1 * (high - low) + 0.001
    upper.set_ylim(low - margin, min(1.0, high + margin))
    upper.yaxis.set_major_formatter(PercentFormatter(1.0))
    upper.set_ylabel("test accuracy")
    upper.set_title(title, loc="left", fontsize=11, fontweight="bold")
    upper.legend(loc="lower right", frameon=False)
    lower.set_ylim(0, 1.08)
    lower.set_ylabel("FLOPs / dense")
    lower.set_xlabel("epoch")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (upper, lower):
        plain(axes)
    save(figure, path)


def plot_channels(rows, sizes, path, title):
    """Draws the active share of every channel group over the epochs.

    Args:
        rows: list of dicts, a history with the columns `channels/<group>` and
            `chex/flops`.
        sizes: dict from the group's name to its size; one line of the picture
            for each, in this order.
        path: path of the PNG file.
        title: string.
    """
    epochs = [row["epoch"] for row in rows]
    active = np.array([[r[f"channels/{g}"] for r in rows] for g in sizes])
    shares = active / np.array(list(sizes.values()))[:, np.newaxis]

    height = 2.6 + 0.27 * len(sizes)
    figure = Figure(figsize=(9, height), layout="constrained", dpi=130)
    upper, lower = figure.subplots(
        2,
        1,
        sharex=True,
        gridspec_kw={"height_ratios": (1.3, 0.27 * len(sizes))},
    )
    flops = [row["chex/flops"] for row in rows]
    upper.step(epochs, flops, where="mid", color=COLOURS[1], linewidth=1.8)
    upper.set_ylim(0, 1.08)
    upper.set_ylabel("FLOPs / dense")
    upper.set_title(title, loc="left", fontsize=11, fontweight="bold")
    upper.annotate(
        f"{flops[-1]:.3f}",
        (epochs[-1], flops[-1]),
        xytext=(0, 6),
        textcoords="offset points",
        ha="right",
        color=COLOURS[1],
    )
    plain(upper)
    _heat_map(figure, lower, epochs, shares, active, sizes)
    save(figure, path)


def _heat_map(figure, axes, epochs, shares, active, sizes):
    """One line per group; the names stand left, the final widths right."""
    count = len(sizes)
    picture = axes.imshow(
        shares,
        aspect="auto",
        interpolation="nearest",
        cmap="viridis",
        vmin=0.0,
        vmax=1.0,
        extent=(epochs[0] - 0.5, epochs[-1] + 0.5, count - 0.5, -0.5),
    )
    _write_widths(axes, epochs, shares, active)
    axes.set_yticks(range(count), list(sizes), fontsize=8)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # White gaps, so that equal neighbours still read as separate groups.
    axes.hlines(
        np.arange(count - 1) + 0.5,
        epochs[0] - 0.5,
        epochs[-1] + 0.5,
        color="white",
        linewidth=1.5,
    )
    finals = [
        f"{int(now)} of {size}"
        for now, size in zip(active[:, -1], sizes.values(), strict=True)
    ]
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(count), finals, fontsize=8)
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(
        picture,
        ax=axes,
        label="share of channels active",
        format=PercentFormatter(1.0),
        aspect=25,
        shrink=min(1.0, 12 / count),
        anchor=(0.0, 1.0),
        pad=0.02,
    )


def _write_widths(axes, epochs, shares, active):
    """Puts each width where it begins, if it stays long enough to be read."""
    shortest = len(epochs) / 20
    for line, widths in enumerate(active):
        starts = np.flatnonzero(np.diff(widths, prepend=-1))
        lengths = np.diff(starts, append=len(widths))
        for start in starts[lengths >= shortest]:
            axes.annotate(
                str(int(widths[start])),
                (epochs[start] - 0.5, line),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color="black" if shares[line, start] > 0.55 else "white",
            )


def plain(axes):
    """Leaves of the frame what helps reading."""
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure, path):
    """Writes a picture in one piece."""
    with replacing(path) as beside:
        figure.savefig(beside)
