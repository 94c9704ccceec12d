"""Made-up pictures in COCO layout: rectangles and discs on a noisy ground."""

import pathlib

import numpy as np

from .run_directory import replacing, write_json

CLASSES = ("rectangle", "disc")
COLOURS = ((60, 90, 200), (210, 90, 50))


def write_shapes(
    data_dir, pictures=(("train", 24), ("val", 8)), size=(96, 128), seed=0
):
    """Writes pictures and annotations; nothing where they are already.

    Rectangles are annotated with polygons and discs with run lengths, so that
    readers of either are put to use.

    Args:
        data_dir: path of the folder, made if needed.
        pictures: pairs of a part's name and the number of its pictures.
        size: two ints, height and width of the pictures.
        seed: int.

    Returns:
        `pathlib.Path` of the folder.
    """
    data_dir = pathlib.Path(data_dir)
    for number, (part, count) in enumerate(pictures):
        file = data_dir / "annotations" / f"instances_{part}.json"
        if not file.exists():
            rng = np.random.default_rng([seed, number])
            write_json(file, _write_part(data_dir / part, count, size, rng))
    return data_dir


def _write_part(folder, count, size, rng):
    from PIL import Image

    annotations, images = [], []
    for image_id in range(1, count + 1):
        name = f"shapes{image_id:04d}.png"
        pixels, shapes = draw_picture(size, rng)
        with replacing(folder / name) as beside:
            Image.fromarray(pixels).save(beside)
        images.append(
            {
                "id": image_id,
                "file_name": name,
                "height": size[0],
                "width": size[1],
            }
        )
        for shape in shapes:
            number = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append({**number, **shape, "iscrowd": 0})
    categories = [
        {"id": number, "name": name}
        for number, name in enumerate(CLASSES, start=1)
    ]
    return {
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def draw_picture(size, rng):
    """Draws one picture with one to four shapes that do not overlap.

    Args:
        size: two ints, height and width.
        rng: `np.random.Generator`.

    Returns:
        `(pixels, shapes)`: uint8 array of shape `(*size, 3)`, and a list of
        dicts with `category_id`, `bbox`, `area` and `segmentation`.
    """
    height, width = size
    ground = rng.normal(150, 12, size=(height, width, 3))
    taken = np.zeros(size, bool)
    shapes = []
    for _ in range(rng.integers(1, 5)):
        h, w = rng.integers(height // 5, height // 2, size=2)
        category = int(rng.integers(len(CLASSES)))
        if CLASSES[category] == "disc":
            w = h
        top = int(rng.integers(0, height - h))
        left = int(rng.integers(0, width - w))
        mask = _mask(CLASSES[category], size, (top, left, int(h), int(w)))
        if (mask & taken).any():
            continue
        taken |= mask
        ground[mask] += np.array(COLOURS[category]) - 150
        shapes.append(_annotation(category, mask, (top, left, int(h), int(w))))
    return ground.clip(0, 255).astype("uint8"), shapes


def _mask(name, size, place):
    top, left, height, width = place
    y, x = np.indices(size)
    if name == "rectangle":
        inside = (y >= top) & (y < top + height)
        return inside & (x >= left) & (x < left + width)
    radius = height / 2
    across = (y + 0.5 - top - radius) ** 2 + (x + 0.5 - left - radius) ** 2
    return across <= radius**2


def _annotation(category, mask, place):
    top, left, height, width = place
    right, bottom = left + width, top + height
    polygon = [left, top, right, top, right, bottom, left, bottom]
    return {
        "category_id": category + 1,
        "bbox": [left, top, width, height],
        "area": int(mask.sum()),
        "segmentation": run_lengths(mask)
        if CLASSES[category] == "disc"
        else [polygon],
    }


def run_lengths(mask):
    """A mask as COCO's uncompressed run lengths, column by column.

    Args:
        mask: bool array of shape `(height, width)`.

    Returns:
        Dict with `size` and `counts`, lengths of runs that are not set and
        set in turn; the first may be 0.

    Example:

    >>> run_lengths(np.array([[True, False], [True, True]]))
    {'size': [2, 2], 'counts': [0, 2, 1, 1]}
    """
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    edges = np.concatenate([[0], changes, [mask.size]])
    return {"size": list(mask.shape), "counts": np.diff(edges).tolist()}
