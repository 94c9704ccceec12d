"""Figures of a run: curves, channels over time, FLOPs of layers, costs.

Every function returns a figure of matplotlib, which is imported on demand.
"""

import numpy as np

# Distinguishable with colour-blind eyes; the first network stays in the
# background because it is the reference.
COLOURS = ("#767676", "#0b62a4", "#c45a00", "#3d8b37")
LIGHT = "#c9d8e4"
DPI = 130


def curve_of(histories):
    """Chooses what the accuracy curve shows: a key that all histories have.

    Returns:
        `(key, title)`, or `None` where the histories have nothing in common.

    >>> curve_of([[{"epoch": 1, "loss": 2.0, "val_accuracy": 0.5}]])
    ('val_accuracy', 'validation accuracy')
    """
    keys = [key for key in histories[0][-1] if key != "epoch"]
    keys = [k for k in keys if all(k in row for h in histories for row in h)]
    for wanted in (
        lambda key: key.startswith("val_") and "acc" in key,
        lambda key: "acc" in key,
        lambda key: key == "val_loss",
        lambda key: key == "loss",
    ):
        for key in filter(wanted, keys):
            title = key.removeprefix("val_").replace("_", " ")
            if title != key.replace("_", " "):
                title = f"validation {title}"
            return key, title
    return None


def draw_curves(histories, title, costs=None):
    """Draws accuracy and FLOPs of all networks over the epochs.

    Args:
        histories: dict from the network's name to the rows of its history,
            with what `curve_of` finds.
        title: str.
        costs: dict from the name to the share of the dense FLOPs, for networks
            whose history has no `chex/flops`. Defaults to 1.
    """
    key, what = curve_of(list(histories.values()))
    figure = _figure(8, 6.4)
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (5, 2)}
    )
    values = []
    form = "{:.2%}" if "acc" in key else "{:.4g}"
    for number, (name, rows) in enumerate(histories.items()):
        colour = COLOURS[number % len(COLOURS)]
        epochs = [row["epoch"] for row in rows]
        measured = [row[key] for row in rows]
        share = (costs or {}).get(name, 1.0)
        flops = [row.get("chex/flops", share) for row in rows]
        label = f"{name}: {form.format(measured[-1])} after the last epoch"
        upper.plot(epochs, measured, color=colour, linewidth=1.6, label=label)
        lower.step(epochs, flops, where="mid", color=colour, linewidth=1.8)
        values += measured
    _frame(upper, values, "acc" in key)
    upper.set_ylabel(what)
    upper.set_title(title, loc="left", fontsize=11, fontweight="bold")
    lower.set_ylim(0, 1.08)
    lower.set_ylabel("FLOPs / dense")
    lower.set_xlabel("epoch")
    _whole_numbers(lower)
    for axes in (upper, lower):
        plain(axes)
    return figure


def _frame(axes, values, is_share):
    """Shows what follows the first epochs, which are near chance."""
    first, last = (0.2, 1.0) if is_share else (0.0, 0.8)
    low, high = np.quantile(values, first), np.quantile(values, last)
    margin = 0.1 * (high - low) + 0.001
    top = high + margin
    axes.set_ylim(low - margin, min(1.0, top) if is_share else top)
    axes.legend(loc="lower right" if is_share else "upper right", frameon=False)
    if is_share:
        _percent(axes.yaxis)


def draw_channels(rows, sizes, title):
    """Draws the active share of every channel group over the epochs.

    Args:
        rows: list of dicts, a history with the columns `channels/<group>` and
            `chex/flops`.
        sizes: dict from the group's name to its size; one line of the picture
            for each, in this order.
        title: str.
    """
    epochs = [row["epoch"] for row in rows]
    active = np.array([[r[f"channels/{g}"] for r in rows] for g in sizes])
    shares = active / np.array(list(sizes.values()))[:, np.newaxis]

    height = 2.6 + 0.27 * len(sizes)
    figure = _figure(9, height)
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
    return figure


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
    _whole_numbers(axes)
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
    bar = figure.colorbar(
        picture,
        ax=axes,
        label="share of channels active",
        aspect=25,
        shrink=min(1.0, 12 / count),
        anchor=(0.0, 1.0),
        pad=0.02,
    )
    _percent(bar.ax.yaxis)


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


def draw_flops(layers, title):
    """Draws the multiply-adds of every layer, before and after.

    Args:
        layers: list of `(name, before, after)`.
        title: str.
    """
    count = len(layers)
    figure = _figure(9, 1.4 + 0.24 * count)
    axes = figure.subplots()
    names, before, after = zip(*layers, strict=True)
    places = np.arange(count)
    before, after = np.array(before) / 1e6, np.array(after) / 1e6
    axes.barh(places, before, 0.72, color=LIGHT, label="before")
    axes.barh(places, after, 0.72, color=COLOURS[1], label="after")
    for place, whole, now in zip(places, before, after, strict=True):
        axes.annotate(
            f"{now / whole:.0%}",
            (max(whole, now), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.set_yticks(places, names, fontsize=8)
    axes.set_ylim(count - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.set_xlabel("million multiply-adds of one example")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    # Above the axes, where no bar can be.
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False
    )
    plain(axes, "x")
    axes.tick_params(axis="y", length=0)
    return figure


def draw_costs(costs, title):
    """Draws what each network costs, one panel for each measure.

    Args:
        costs: dict from the measure to a dict from the network to a number.
        title: str.
    """
    figure = _figure(2.6 * len(costs) + 0.6, 3.2)
    panels = figure.subplots(1, len(costs), squeeze=False)[0]
    for axes, (measure, values) in zip(panels, costs.items(), strict=True):
        numbers = list(values.values())
        colours = [COLOURS[i % len(COLOURS)] for i in range(len(numbers))]
        bars = axes.bar(range(len(numbers)), numbers, 0.62, color=colours)
        axes.bar_label(bars, [short(n) for n in numbers], fontsize=8)
        axes.set_xticks(range(len(numbers)), list(values), fontsize=8)
        axes.set_title(measure, fontsize=9)
        axes.set_yticks([])
        axes.margins(y=0.12)
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def short(number):
    """A number with three digits and a unit.

    >>> short(20_480_000), short(9000), short(0.0712)
    ('20.5 M', '9.00 k', '0.0712')
    """
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:#.3g}{unit}".replace(". ", " ")
    return f"{number:.3g}"


def _figure(width, height):
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "Figures of a report need matplotlib, which is not installed: "
            "`pip install 'keras_chex[report]'` or `pip install matplotlib`"
        ) from error
    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def _whole_numbers(axes):
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _percent(axis):
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0))


def plain(axes, grid="y"):
    """Leaves of the frame what helps reading."""
    axes.grid(axis=grid, color="#e5e5e5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
