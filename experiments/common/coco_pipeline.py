"""Batches of pictures with boxes, changed at random.

What happens to a picture follows from the seed, the epoch and the picture
alone: an interrupted run that goes on sees the same batches as one that was
never interrupted.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from .coco_data import CocoSet
from .coco_geometry import Placement, cut_boxes, letterbox
from .datasets import steps_per_epoch
from .pipeline import index_batches

# Of ImageNet's pixels, scaled to [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The ground of a canvas is the mean, which becomes zero.
GROUND = tuple(round(255 * mean) for mean in MEAN)
GREY = np.array([0.299, 0.587, 0.114])
# In place of boxes that a picture has fewer of.
NO_BOX, NO_LABEL = -1.0, -1.0


@dataclasses.dataclass(frozen=True)
class PictureChanges:
    """How training pictures are changed at random.

    Attributes:
        mirror: bool, mirror every second picture.
        zoom: two floats, smallest and largest factor of the size that fits
            the canvas. What is too large is cut at a random place, what is too
            small is put at one.
        colour: float, largest change of brightness, contrast and saturation,
            as a share.
    """

    mirror: bool = True
    zoom: tuple = (0.8, 1.25)
    colour: float = 0.2


def random_placement(size, canvas, changes, rng):
    """Draws where a training picture comes to lie.

    Args:
        size: two ints, height and width of the picture.
        canvas: two ints, height and width of the canvas.
        changes: `PictureChanges`.
        rng: `np.random.Generator`.

    Returns:
        A `Placement`.
    """
    low, high = np.log(changes.zoom)
    fitted = letterbox(size, canvas, float(np.exp(rng.uniform(low, high))))
    rooms = np.subtract(canvas, fitted.inner)
    offset = tuple(int(round(rng.uniform() * room)) for room in rooms)
    mirrored = bool(rng.uniform() < 0.5) and changes.mirror
    return Placement(size, canvas, fitted.inner, offset, mirrored)


def random_colour(image, changes, rng):
    """Changes brightness, contrast and saturation.

    Args:
        image: uint8 array of shape `(height, width, 3)`.
        changes: `PictureChanges`.
        rng: `np.random.Generator`.

    Returns:
        uint8 array like `image`.
    """
    bright, contrast, colourful = 1 + rng.uniform(
        -changes.colour, changes.colour, size=3
    )
    pixels = image.astype("float32") * bright
    grey = (pixels @ GREY.astype("float32"))[..., None]
    pixels = grey + colourful * (pixels - grey)
    middle = grey.mean()
    pixels = middle + contrast * (pixels - middle)
    return np.rint(pixels).clip(0, 255).astype("uint8")


def training_example(part, index, canvas, changes, rng):
    """A picture with its boxes, changed at random.

    Args:
        part: `CocoPart`.
        index: int, place of the picture in the part.
        canvas: two ints, height and width.
        changes: `PictureChanges`.
        rng: `np.random.Generator`.

    Returns:
        `(pixels, boxes, labels, placement, kept)`: uint8 array of shape
        `(*canvas, 3)`, float32 boxes "xyxy" in pixels of the canvas, int32
        labels, the `Placement`, and a bool array that tells which of the
        picture's objects these boxes are.
    """
    placed = random_placement(part.size(index), canvas, changes, rng)
    pixels = placed.picture(part.image(index), GROUND)
    objects = part.objects(index)
    boxes, kept = cut_boxes(placed.boxes(objects.boxes), canvas)
    pixels = random_colour(pixels, changes, rng)
    return pixels, boxes, objects.labels[kept], placed, kept


def normalized(pixels):
    """Pixels from 0 to 255 as the networks take them."""
    pixels = tf.cast(pixels, tf.float32) / 255.0
    return (pixels - tf.constant(MEAN)) / tf.constant(STD)


@dataclasses.dataclass(frozen=True)
class CocoBatches:
    """Training and test batches of one task.

    A batch is `(pictures, {"boxes": ..., "labels": ...})`: normalized float32
    pictures, boxes "xyxy" in pixels of the canvas, labels as floats. Where
    pictures have fewer objects than others, both end in -1.

    Attributes:
        task: `CocoSet`.
        canvas: two ints, height and width that all pictures are brought to.
        batch_size: int.
        changes: `PictureChanges`.
        seed: int.
    """

    task: CocoSet
    canvas: tuple
    batch_size: int
    changes: PictureChanges = PictureChanges()
    seed: int = 0

    @property
    def steps(self):
        """Steps in an epoch."""
        return steps_per_epoch(len(self.task.train), self.batch_size)

    def train(self, first_epoch=0):
        """An endless dataset of training batches.

        Args:
            first_epoch: int, the epoch in which it begins.
        """
        part, steps = self.task.train, self.steps
        most = most_objects(part)

        def batch(step, chosen):
            examples = []
            for index in chosen:
                key = [self.seed, int(step) // steps, int(index)]
                rng = np.random.default_rng(key)
                example = training_example(
                    part, int(index), self.canvas, self.changes, rng
                )
                examples.append(example[:3])
            return stacked(examples, most)

        return (
            index_batches(len(part), self.batch_size, self.seed, first_epoch)
            .map(
                lambda *keys: self._load(batch, keys, self.batch_size, most),
                num_parallel_calls=2,
                deterministic=True,
            )
            .prefetch(2)
        )

    def evaluation(self):
        """All test pictures in order, once, as large as they fit."""
        part = self.task.test
        most = most_objects(part)

        def batch(chosen):
            examples = []
            for index in chosen:
                placed = letterbox(part.size(int(index)), self.canvas)
                objects = part.objects(int(index))
                pixels = placed.picture(part.image(int(index)), GROUND)
                boxes = placed.boxes(objects.boxes)
                examples.append((pixels, boxes, objects.labels))
            return stacked(examples, most)

        places = tf.data.Dataset.range(len(part)).batch(self.batch_size)
        return places.map(
            lambda *keys: self._load(batch, keys, None, most)
        ).prefetch(2)

    def _load(self, batch, keys, size, most):
        pixels, boxes, labels = tf.numpy_function(
            batch, keys, (tf.uint8, tf.float32, tf.float32)
        )
        pixels = tf.ensure_shape(pixels, [size, *self.canvas, 3])
        return normalized(pixels), {
            "boxes": tf.ensure_shape(boxes, [size, most, 4]),
            "labels": tf.ensure_shape(labels, [size, most]),
        }


def most_objects(part):
    """The most objects that any picture of a part has, at least 1."""
    return max(1, *(len(part.objects(index)) for index in range(len(part))))


def stacked(examples, most):
    """Puts examples into arrays; boxes and labels end in -1.

    Args:
        examples: list of `(pixels, boxes, labels)`.
        most: int, boxes of every picture in the result.

    Returns:
        `(pixels, boxes, labels)`: uint8, float32, float32.
    """
    boxes = np.full((len(examples), most, 4), NO_BOX, "float32")
    labels = np.full((len(examples), most), NO_LABEL, "float32")
    for row, (_, found, numbers) in enumerate(examples):
        boxes[row, : len(found)] = found
        labels[row, : len(found)] = numbers
    return np.stack([pixels for pixels, _, _ in examples]), boxes, labels


def picture_batches(part, canvas, batch_size):
    """Yields normalized pictures of a part, in full batches.

    Args:
        part: `CocoPart`.
        canvas: two ints, height and width.
        batch_size: int; the last batch repeats its last picture to be full,
            so that a compiled function is traced once.

    Yields:
        `(places, placements, pictures)`: list of ints, list of `Placement`
        and a tensor of shape `(batch_size, *canvas, 3)`.
    """
    for start in range(0, len(part), batch_size):
        places = list(range(start, min(start + batch_size, len(part))))
        placements = [letterbox(part.size(i), canvas) for i in places]
        pictures = [
            placed.picture(part.image(i), GROUND)
            for i, placed in zip(places, placements, strict=True)
        ]
        pictures += [pictures[-1]] * (batch_size - len(pictures))
        yield places, placements, normalized(np.stack(pictures))
