"""Pictures with the boxes that networks find in them."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .run_directory import replacing

SHOWN = 5
LEAST_SCORE = 0.5
COLOURS = ("#ffb000", "#00c2ff", "#ff4fa3", "#7dff6a", "#ffffff")


def plot_boxes(part, detections, path, title, least_score=LEAST_SCORE):
    """Draws test pictures: annotated boxes, then those of every network.

    Args:
        part: `CocoPart`.
        detections: dict from the network's name to its results, in COCO's
            format.
        path: path of the PNG file.
        title: string.
        least_score: float, detections below are not drawn.
    """
    places = chosen_pictures(part)
    height, width = np.max([part.size(place) for place in places], axis=0)
    columns = 1 + len(detections)
    across = 10.0
    down = across / columns * height / width
    figure = Figure(figsize=(across, 0.7 + len(places) * down), dpi=110)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11, fontweight="bold")
    grid = figure.subplots(len(places), columns, squeeze=False)
    for axes, name in zip(grid[0], ("annotated", *detections), strict=True):
        axes.set_title(name, fontsize=10)
    for row, place in zip(grid, places, strict=True):
        image = part.image(place)
        objects = part.objects(place)
        drawn = [(objects.boxes, objects.labels, None)]
        for results in detections.values():
            drawn.append(_found(part, place, results, least_score))
        for axes, found in zip(row, drawn, strict=True):
            axes.imshow(image)
            _draw(axes, *found)
            axes.set_axis_off()
    top = 1 - 0.75 / figure.get_figheight()
    figure.subplots_adjust(0.01, 0.05, 0.99, top, 0.02, 0.03)
    legend = [
        Rectangle((0, 0), 1, 1, color=_colour(label), label=name)
        for label, name in enumerate(part.classes[: len(COLOURS)])
    ]
    figure.legend(
        handles=legend,
        loc="lower left",
        ncols=len(COLOURS),
        fontsize=8,
        facecolor="#777777",
        labelcolor="white",
    )
    with replacing(path) as beside:
        figure.savefig(beside)


def chosen_pictures(part):
    """Places of a few pictures: those that show the most classes, spread out.

    Args:
        part: `CocoPart`.

    Returns:
        Sorted list of up to 5 ints.
    """
    kinds = [len(set(part.objects(i).labels)) for i in range(len(part))]
    steps = np.array_split(np.arange(len(part)), min(SHOWN, len(part)))
    return [int(max(step, key=lambda i: kinds[i])) for step in steps]


def _found(part, place, results, least_score):
    number = part.image_ids[place]
    kept = [
        r
        for r in results
        if r["image_id"] == number and r["score"] >= least_score
    ]
    corners = np.array([r["bbox"] for r in kept], float).reshape(-1, 4)
    boxes = np.concatenate(
        [corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1
    )
    labels = [part.category_ids.index(r["category_id"]) for r in kept]
    return boxes, labels, [r["score"] for r in kept]


def _colour(label):
    return COLOURS[label % len(COLOURS)]


def _draw(axes, boxes, labels, scores):
    for place, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        left, top, right, bottom = box
        axes.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                linewidth=1.2,
                edgecolor=_colour(label),
            )
        )
        if scores is not None:
            axes.text(
                left + 2,
                top + 2,
                f"{100 * scores[place]:.0f}",
                fontsize=5,
                color=_colour(label),
                va="top",
            )
