"""Test pictures with the true objects and those that networks see."""

import numpy as np
from matplotlib.figure import Figure

from .coco_pictures import chosen_pictures
from .run_directory import replacing

# Objects drawn have at least this score.
LEAST_SCORE = 0.5
COLOURS = np.array(
    [
        [230, 75, 60],
        [60, 160, 230],
        [90, 200, 90],
        [240, 190, 40],
        [180, 100, 220],
        [40, 200, 190],
    ],
    "float32",
)
OPACITY = 0.5


def plot_objects(part, results, path, title):
    """Draws test pictures: the truth, then what each network sees.

    Args:
        part: `CocoPart`.
        results: dict from the network's name to a list of dicts as from
            `detections`.
        path: path of the PNG file.
        title: string.
    """
    columns = ["annotated", *results]
    shown = chosen_pictures(part)
    height, width = np.max([part.size(index) for index in shown], axis=0)
    down = 3 * height / width + 0.3
    figure = Figure(
        figsize=(3 * len(columns), 0.6 + down * len(shown)), dpi=110
    )
    inch = 1 / figure.get_figheight()
    figure.suptitle(title, x=0.03, y=1 - 0.1 * inch, ha="left").set(
        fontsize=12, fontweight="bold"
    )
    axes = figure.subplots(len(shown), len(columns), squeeze=False)
    for row, index in enumerate(shown):
        image = part.image(index)
        seen = [part.masks(index)]
        seen += [masks_of(part, index, found) for found in results.values()]
        for place, name, masks in zip(axes[row], columns, seen, strict=True):
            place.imshow(with_masks(image, masks))
            place.set_axis_off()
            place.set_title(f"{name}: {len(masks)}", fontsize=9)
    figure.subplots_adjust(0.02, 0.02, 0.98, 1 - 0.6 * inch, 0.05, 0.12)
    with replacing(path) as beside:
        figure.savefig(beside)


def masks_of(part, index, results):
    """Masks of one picture with a score of at least 0.5.

    Args:
        part: `CocoPart`.
        index: int, place of the picture.
        results: list of dicts as from `detections`.

    Returns:
        Bool array of shape `(objects, height, width)`.
    """
    from pycocotools import mask as run_lengths

    number = part.image_ids[index]
    masks = [
        run_lengths.decode(result["segmentation"]).astype(bool)
        for result in results
        if result["image_id"] == number and result["score"] >= LEAST_SCORE
    ]
    return np.array(masks, bool).reshape(-1, *part.size(index))


def with_masks(image, masks):
    """A picture with half-transparent masks.

    Args:
        image: uint8 array of shape `(height, width, 3)`.
        masks: bool array of shape `(objects, height, width)`.

    Returns:
        uint8 array like `image`.

    Example:

    >>> image = np.zeros((1, 2, 3), "uint8")
    >>> with_masks(image, np.array([[[True, False]]])).tolist()
    [[[115, 37, 30], [0, 0, 0]]]
    """
    mixed = image.astype("float32")
    for number, mask in enumerate(masks):
        colour = COLOURS[number % len(COLOURS)]
        mixed[mask] = (1 - OPACITY) * mixed[mask] + OPACITY * colour
    return mixed.astype("uint8")
