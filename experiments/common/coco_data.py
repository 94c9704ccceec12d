"""Pictures with boxes and masks in COCO layout, read with pycocotools.

Boxes are float32 arrays of shape `(objects, 4)` everywhere: left, top, right
and bottom edge ("xyxy") in pixels of the picture, edges included.
"""

import contextlib
import dataclasses
import io
import pathlib

import numpy as np

INSTALL = "Install it with `pip install 'keras_chex[coco]'`"


@dataclasses.dataclass(frozen=True)
class Objects:
    """What is annotated in one picture.

    Attributes:
        boxes: float32 array of shape `(objects, 4)`, "xyxy" in pixels.
        labels: int32 array, places in `CocoPart.classes`.
        annotation_ids: int64 array, ids in the annotation file.
    """

    boxes: np.ndarray
    labels: np.ndarray
    annotation_ids: np.ndarray

    def __len__(self):
        return len(self.labels)


@dataclasses.dataclass(frozen=True)
class CocoPart:
    """The pictures of one annotation file, such as the training part.

    Attributes:
        coco: `pycocotools.coco.COCO`, the annotations.
        folder: `pathlib.Path` of the pictures.
        image_ids: tuple of ints, in ascending order.
        category_ids: tuple of ints; the label `i` stands for the `i`-th one.
    """

    coco: object = dataclasses.field(repr=False)
    folder: pathlib.Path
    image_ids: tuple = dataclasses.field(repr=False)
    category_ids: tuple = dataclasses.field(repr=False)

    def __len__(self):
        return len(self.image_ids)

    @property
    def classes(self):
        """Names of the categories, in the order of labels."""
        return tuple(
            category["name"] for category in self.coco.loadCats(self._cats())
        )

    def _cats(self):
        return list(self.category_ids)

    def size(self, index):
        """Height and width of a picture, as the annotation file tells it."""
        (entry,) = self.coco.loadImgs(self.image_ids[index])
        return entry["height"], entry["width"]

    def path(self, index):
        """Path of a picture."""
        (entry,) = self.coco.loadImgs(self.image_ids[index])
        return self.folder / entry["file_name"]

    def image(self, index):
        """A picture as uint8 array of shape `(height, width, 3)`.

        Raises:
            ValueError: If its size is not the annotated one.
        """
        from PIL import Image

        with Image.open(self.path(index)) as file:
            pixels = np.asarray(file.convert("RGB"))
        if pixels.shape[:2] != self.size(index):
            raise ValueError(
                "A picture must have the height and width that its annotation "
                f"file tells. Received: {self.path(index)} of "
                f"{pixels.shape[:2]} instead of {self.size(index)}. Annotate "
                "the picture as it is stored"
            )
        return pixels

    def objects(self, index):
        """The `Objects` of a picture; without crowds and empty boxes."""
        found = self.coco.loadAnns(
            self.coco.getAnnIds(imgIds=[self.image_ids[index]], iscrowd=False)
        )
        height, width = self.size(index)
        corners = np.array(
            [annotation["bbox"] for annotation in found], "float32"
        ).reshape(-1, 4)
        boxes = np.concatenate(
            [corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1
        ).clip(0, np.array([width, height, width, height], "float32"))
        kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        places = {number: i for i, number in enumerate(self.category_ids)}
        labels = [places[annotation["category_id"]] for annotation in found]
        ids = [annotation["id"] for annotation in found]
        return Objects(
            boxes[kept],
            np.array(labels, "int32")[kept],
            np.array(ids, "int64")[kept],
        )

    def masks(self, index):
        """Masks of the objects that `objects` gives, in the same order.

        Returns:
            Bool array of shape `(objects, height, width)`.

        Raises:
            ValueError: If an object has no segmentation.
        """
        ids = self.objects(index).annotation_ids
        found = self.coco.loadAnns([int(number) for number in ids])
        for annotation in found:
            if not annotation.get("segmentation"):
                raise ValueError(
                    "Every object must have a `segmentation` where masks are "
                    f"asked for. Received: annotation {annotation['id']} of "
                    f"{self.path(index)} without one"
                )
        masks = [self.coco.annToMask(a).astype(bool) for a in found]
        return np.array(masks, bool).reshape(-1, *self.size(index))

    def with_objects(self):
        """The same part with only those pictures that have any object."""
        kept = [
            self.image_ids[index]
            for index in range(len(self))
            if len(self.objects(index))
        ]
        return dataclasses.replace(self, image_ids=tuple(kept))

    def first(self, count):
        """The same part with only its first pictures."""
        return dataclasses.replace(self, image_ids=self.image_ids[:count])


@dataclasses.dataclass(frozen=True)
class CocoSet:
    """A task: what is trained on, and what is scored.

    Attributes:
        name: string.
        train: `CocoPart`, pictures with objects.
        test: `CocoPart`.
    """

    name: str
    train: CocoPart
    test: CocoPart

    @property
    def classes(self):
        """Names of the categories, in the order of labels."""
        return self.train.classes


def load_coco(data_dir, test_part=None):
    """Reads a folder in COCO layout.

    For every `annotations/instances_<part>.json` there is a folder `<part>`
    with the pictures: `train`, `val` and `test`, or `train2017` and `val2017`
    as COCO itself has them.

    Args:
        data_dir: path of the folder.
        test_part: string, the beginning of the part to score on, such as
            `"val"`. Defaults to `"test"` where there is such a part, and to
            `"val"` where there is none.

    Returns:
        A `CocoSet`.

    Raises:
        ValueError: If parts or pictures are missing, or annotations are not
            as they should be.
    """
    folder = pathlib.Path(data_dir)
    files = _annotation_files(folder)
    if test_part is None:
        test_part = "test" if _matching(files, "test") else "val"
    parts = {}
    for part in ("train", test_part):
        found = _matching(files, part)
        if len(found) != 1:
            raise ValueError(
                "Flag `--data_dir` must name a folder with one file "
                f"annotations/instances_{part}*.json. Received: {folder} with "
                f"{sorted(files) or 'none at all'}"
            )
        parts[part] = read_part(files[found[0]], folder / found[0])
    train, test = parts["train"].with_objects(), parts[test_part]
    if train.classes != test.classes or not len(train):
        raise ValueError(
            "Training and test part must have the same categories, and the "
            f"training part objects. Received: {train.classes} with "
            f"{len(train)} pictures with objects, and {test.classes}, in "
            f"{folder}"
        )
    return CocoSet(folder.resolve().name, train, test)


def read_part(annotations, folder):
    """Reads one annotation file.

    Args:
        annotations: path of the JSON file.
        folder: path of its pictures.

    Returns:
        A `CocoPart` of all pictures, with objects or without.

    Raises:
        ValueError: If pictures are missing, or annotations are not as they
            should be.
    """
    coco = read_annotations(annotations)
    folder = pathlib.Path(folder)
    part = CocoPart(
        coco,
        folder,
        tuple(sorted(coco.getImgIds())),
        tuple(sorted(coco.getCatIds())),
    )
    problem = _problem(coco, part)
    if problem:
        raise ValueError(
            "An annotation file must list pictures that exist, and objects of "
            "its own pictures and categories, with boxes of four numbers. "
            f"Received: {annotations} with {problem}"
        )
    return part


def read_annotations(path):
    """`pycocotools.coco.COCO` of a JSON file, without what it prints.

    Raises:
        ImportError: If pycocotools is not installed.
        ValueError: If the file is no annotation file.
    """
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise ImportError(
            f"Reading COCO annotations needs pycocotools. {INSTALL}"
        ) from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(path))
    except (ValueError, KeyError, AssertionError, TypeError) as error:
        raise ValueError(
            "An annotation file must be JSON in COCO's format. Received: "
            f"{path}, which is not"
        ) from error
    if not {"images", "annotations", "categories"} <= coco.dataset.keys():
        raise ValueError(
            "An annotation file must have the entries images, annotations and "
            f"categories. Received: {path} with {sorted(coco.dataset)}"
        )
    return coco


def _annotation_files(folder):
    """Dict from the part to the path of its annotation file."""
    begin = "instances_"
    return {
        path.stem.removeprefix(begin): path
        for path in sorted(folder.glob(f"annotations/{begin}*.json"))
    }


def _matching(files, part):
    return [name for name in files if name.startswith(part)]


def _problem(coco, part):
    """What is wrong with the annotations of a part, or `None`."""
    images, categories = set(part.image_ids), set(part.category_ids)
    for annotation in coco.dataset["annotations"]:
        box = annotation.get("bbox", ())
        known = (
            annotation.get("image_id") in images
            and annotation.get("category_id") in categories
        )
        if not known or len(box) != 4 or not np.isfinite(box).all():
            return f"annotation {annotation.get('id')}: {str(annotation)[:150]}"
    for index in range(len(part)):
        if not part.path(index).is_file():
            return f"no picture {part.path(index)}"
    return None
