"""Batches of pictures with boxes and masks, drawn from seed and step alone.

An interrupted run that goes on sees the same batches as one that was never
interrupted.
"""

import dataclasses
import functools
import itertools

import numpy as np
import tensorflow as tf

from .coco_data import CocoSet
from .coco_geometry import cut_boxes, letterbox
from .datasets import steps_per_epoch

# Cells of an object's mask within its box, in each direction.
CELLS = 56
# Grey, for what is not covered by a picture.
FILL = 124


@dataclasses.dataclass(frozen=True)
class MaskBatches:
    """Training and test batches of one task.

    Attributes:
        task: `CocoSet`.
        canvas: two ints, height and width of the pictures that networks see.
        batch_size: int.
        objects: int, of a picture at most; of more, some are left out.
        zooms: two floats, range of the factor by which training pictures are
            larger than what fits the canvas; what is too large is cut.
        mirror: bool, exchange left and right in every second picture.
        seed: int.
    """

    task: CocoSet
    canvas: tuple
    batch_size: int
    objects: int = 100
    zooms: tuple = (1.0, 1.0)
    mirror: bool = True
    seed: int = 0

    @property
    def steps(self):
        """Steps in an epoch."""
        return steps_per_epoch(len(self.task.train), self.batch_size)

    def train(self, first_epoch=0):
        """An endless dataset of `(pictures, truth)`.

        Args:
            first_epoch: int, the epoch in which it begins.

        Returns:
            `tf.data.Dataset`; the truth is a dict of `boxes`, `labels` and
            `masks`, filled up to `objects` with the label -1.
        """
        generate = functools.partial(self._train_batches, first_epoch)
        return self._dataset(generate, tf.data.INFINITE_CARDINALITY)

    def test(self):
        """All test pictures in order, once, as `train` gives them."""
        batches = -(-len(self.task.test) // self.batch_size)
        return self._dataset(self._test_batches, batches)

    def placement(self, index):
        """The `Placement` of a test picture on the canvas."""
        return letterbox(self.task.test.size(index), self.canvas)

    def pictures(self, indices):
        """Test pictures on the canvas.

        Args:
            indices: sequence of ints, places in the test part.

        Returns:
            float32 array of shape `(pictures, *canvas, 3)`.
        """
        placed = [
            self.placement(index).picture(self.task.test.image(index), FILL)
            for index in indices
        ]
        return np.stack(placed).astype("float32")

    def example(self, part, index, placement, rng):
        """One picture with its truth.

        Args:
            part: `CocoPart`.
            index: int, place of the picture in it.
            placement: `Placement`.
            rng: `np.random.Generator`, chooses among too many objects.

        Returns:
            `(picture, truth)`, arrays without a batch axis.
        """
        picture = placement.picture(part.image(index), FILL)
        found = part.objects(index)
        boxes, kept = cut_boxes(placement.boxes(found.boxes), self.canvas)
        chosen = np.sort(rng.permutation(len(boxes))[: self.objects])
        count, boxes = len(chosen), boxes[chosen]
        whole = part.masks(index)[kept][chosen] if count else ()
        truth = {
            "boxes": np.zeros((self.objects, 4), "float32"),
            "labels": np.full(self.objects, -1, "int32"),
            "masks": np.zeros((self.objects, CELLS, CELLS), "uint8"),
        }
        truth["boxes"][:count] = boxes
        truth["labels"][:count] = found.labels[kept][chosen]
        back = placement.boxes_back(boxes)
        for place, (mask, box) in enumerate(zip(whole, back, strict=True)):
            cells = cells_of(mask, box)
            truth["masks"][place] = (
                cells[:, ::-1] if placement.mirrored else cells
            )
        return picture.astype("float32"), truth

    def _train_batches(self, first_epoch):
        for epoch in itertools.count(first_epoch):
            order = np.random.default_rng([self.seed, epoch]).permutation(
                len(self.task.train)
            )
            for step in range(self.steps):
                start = step * self.batch_size
                rng = np.random.default_rng([self.seed, epoch, step])
                yield self._stacked(
                    self._drawn(int(index), rng)
                    for index in order[start : start + self.batch_size]
                )

    def _drawn(self, index, rng):
        """A training picture at a random place."""
        part = self.task.train
        fitting = letterbox(
            part.size(index), self.canvas, rng.uniform(*self.zooms)
        )
        room = np.subtract(self.canvas, fitting.inner)
        offset = tuple(
            int(rng.integers(min(0, r), max(0, r) + 1)) for r in room
        )
        placement = dataclasses.replace(
            fitting,
            offset=offset,
            mirrored=self.mirror and bool(rng.integers(2)),
        )
        return self.example(part, index, placement, rng)

    def _test_batches(self):
        part = self.task.test
        for start in range(0, len(part), self.batch_size):
            rng = np.random.default_rng(0)
            stop = min(start + self.batch_size, len(part))
            yield self._stacked(
                self.example(part, index, self.placement(index), rng)
                for index in range(start, stop)
            )

    def _stacked(self, examples):
        pictures, truths = zip(*examples, strict=True)
        names = truths[0]
        stacked = {n: np.stack([t[n] for t in truths]) for n in names}
        return np.stack(pictures), stacked

    def _dataset(self, generate, batches):
        spec, count = tf.TensorSpec, self.objects
        signature = (
            spec((None, *self.canvas, 3), tf.float32),
            {
                "boxes": spec((None, count, 4), tf.float32),
                "labels": spec((None, count), tf.int32),
                "masks": spec((None, count, CELLS, CELLS), tf.uint8),
            },
        )
        dataset = tf.data.Dataset.from_generator(
            generate, output_signature=signature
        )
        known = tf.data.experimental.assert_cardinality(batches)
        return dataset.apply(known).prefetch(2)


def cells_of(mask, box):
    """What is in a box of a mask, at a fixed size.

    Args:
        mask: bool array of shape `(height, width)`.
        box: four floats, "xyxy" in pixels.

    Returns:
        uint8 array of shape `(CELLS, CELLS)`, 255 for what is covered.
    """
    from PIL import Image

    picture = Image.fromarray(255 * mask.astype("uint8"))
    left, top, right, bottom = map(float, box)
    # Rounding must not leave the picture.
    right, bottom = min(right, mask.shape[1]), min(bottom, mask.shape[0])
    return np.asarray(
        picture.resize(
            (CELLS, CELLS),
            Image.Resampling.BILINEAR,
            box=(left, top, right, bottom),
        )
    )
