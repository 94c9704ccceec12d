"""Pictures of point clouds with what networks take them for."""

import numpy as np
from matplotlib.figure import Figure

from .run_directory import replacing

RIGHT, WRONG = "#2e7d32", "#b3261e"
SHOWN = 12
COLUMNS = 4
POINTS = 1500


def plot_predictions(task, predicted, path, title):
    """Draws test clouds with their class and the predictions beneath.

    Args:
        task: `PointSet`.
        predicted: dict from the network's name to the predicted label of every
            test cloud.
        path: path of the PNG file.
        title: string.
    """
    shown = chosen_clouds(task.test.labels, list(predicted.values()))
    lines = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(10, 0.8 + 2.9 * lines), dpi=110)
    figure.suptitle(title, x=0.03, ha="left", fontsize=12, fontweight="bold")
    for place, index in enumerate(shown, start=1):
        axes = figure.add_subplot(lines, COLUMNS, place, projection="3d")
        _draw_cloud(axes, task.test[index], task.vertical)
        truth = task.test.labels[index]
        across = np.ptp(task.test[index], axis=0).max()
        heading = f"{task.classes[truth]} ({across:.1f} across)"
        axes.set_title(heading, fontsize=10, y=0.97)
        for line, (name, labels) in enumerate(predicted.items()):
            axes.text2D(
                0.5,
                0.02 - 0.075 * line,
                f"{name}: {task.classes[labels[index]]}",
                transform=axes.transAxes,
                ha="center",
                fontsize=9,
                color=RIGHT if labels[index] == truth else WRONG,
            )
    top = 1 - 0.45 / figure.get_figheight()
    figure.subplots_adjust(0.02, 0.06, 0.98, top, 0.05, 0.16)
    with replacing(path) as beside:
        figure.savefig(beside)


def chosen_clouds(labels, predicted):
    """Which clouds to show: one of every class, then differences, then any.

    Args:
        labels: int array.
        predicted: list of sequences of ints, one for every network.

    Returns:
        Sorted list of up to 12 places.

    Example:

    >>> labels = np.array([0, 0, 1, 1])
    >>> chosen_clouds(labels, [[0, 0, 1, 1], [0, 1, 1, 1]])
    [0, 1, 2, 3]
    """
    _, firsts = np.unique(labels, return_index=True)
    differ = np.flatnonzero(np.ptp(np.array(predicted), axis=0))
    # At least a third of the picture for clouds that the networks differ on.
    kept = firsts[: SHOWN - min(len(differ), SHOWN // 3)]
    order = [*kept, *differ, *firsts, *range(len(labels))]
    return sorted(int(i) for i in list(dict.fromkeys(order))[:SHOWN])


def _draw_cloud(axes, points, vertical):
    points = np.roll(points, 2 - vertical, axis=1)
    rng = np.random.default_rng(0)
    points = points[rng.permutation(len(points))[:POINTS]]
    axes.scatter(
        *points.T,
        c=points[:, 2],
        cmap="viridis",
        s=max(2.0, 12.0 - len(points) / 60),
        depthshade=False,
        linewidths=0,
    )
    middle = (points.max(axis=0) + points.min(axis=0)) / 2
    reach = np.ptp(points, axis=0).max() / 2 or 1.0
    limits = np.stack([middle - reach, middle + reach], axis=1)
    axes.set(xlim=limits[0], ylim=limits[1], zlim=limits[2])
    axes.set_box_aspect((1, 1, 1), zoom=1.0)
    axes.view_init(elev=18, azim=-60)
    axes.set_axis_off()
