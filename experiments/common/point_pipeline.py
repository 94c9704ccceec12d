"""Batches of point clouds, drawn from the seed, the step and the cloud alone.

An interrupted run that goes on sees the same batches as one that was never
interrupted.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from .datasets import steps_per_epoch
from .pipeline import index_batches
from .point_files import PointSet

JITTER_LIMIT = 5  # standard deviations


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training clouds are changed at random.

    Attributes:
        rotate: float, largest turn about the vertical, in degrees to both
            sides; 180 for any.
        scale: float, largest factor of all coordinates; the smallest is
            `1 / scale`. 1 for none.
        shift: float, largest shift along each axis.
        jitter: float, standard deviation of noise on every coordinate, cut at
            five of them.
        mirror: bool, exchange left and right in every second cloud.
    """

    rotate: float = 180.0
    scale: float = 1.25
    shift: float = 0.1
    jitter: float = 0.01
    mirror: bool = False


@dataclasses.dataclass(frozen=True)
class PointBatches:
    """Training and test batches of one task.

    Attributes:
        task: `PointSet`.
        points: int, points of every cloud, chosen at random without
            repetition. Of smaller clouds all points are taken equally often,
            but for the rest.
        batch_size: int.
        augmentation: `Augmentation`.
        seed: int.
        balance: float, training examples weigh the power `-balance` of the
            size of their class: 0 for equal examples, 1 for equal classes.
    """

    task: PointSet
    points: int
    batch_size: int
    augmentation: Augmentation = Augmentation()
    seed: int = 0
    balance: float = 0.0

    @property
    def steps(self):
        """Steps in an epoch."""
        return steps_per_epoch(len(self.task.train), self.batch_size)

    def train(self, first_epoch=0):
        """An endless dataset of `(clouds, labels as shares, weights)`.

        Args:
            first_epoch: int, the epoch in which it begins.
        """
        clouds = self.task.train
        choose, labels = self._chooser(clouds), tf.constant(clouds.labels)
        weights = tf.constant(class_weights(clouds.labels, self.balance))

        def batch(step, chosen):
            key = tf.stack([self.seed, tf.cast(step, tf.int32)])
            keys = tf.random.split(key, 2)
            x = augmented(
                choose(chosen, tf.random.split(keys[0], self.batch_size)),
                self.augmentation,
                self.task.vertical,
                keys[1],
            )
            y = tf.gather(labels, chosen)
            return x, self._shares(y), tf.gather(weights, y)

        dataset = index_batches(
            len(clouds), self.batch_size, self.seed, first_epoch
        ).map(batch, num_parallel_calls=2, deterministic=True)
        return dataset.prefetch(4)

    def evaluation(self, draw=0, draws=1):
        """All test clouds in order, once, as `(clouds, labels as shares)`.

        Args:
            draw: int; each draw chooses other points, independently of the
                seed, and turns the clouds by another angle.
            draws: int, draws between which the angles are shared out, within
                what training turns by. The first one turns nothing.
        """
        clouds = self.task.test
        choose, labels = self._chooser(clouds), tf.constant(clouds.labels)
        turn = (2 * draw / draws + 1) % 2 - 1
        angle = math.radians(self.augmentation.rotate) * turn

        def batch(chosen):
            keys = tf.stack([tf.fill(tf.shape(chosen), draw), chosen], axis=1)
            x = rotated(
                choose(chosen, keys),
                tf.fill(tf.shape(chosen), tf.constant(angle, tf.float32)),
                self.task.vertical,
            )
            return x, self._shares(tf.gather(labels, chosen))

        places = tf.range(len(clouds), dtype=tf.int32)
        dataset = tf.data.Dataset.from_tensor_slices(places)
        return dataset.batch(self.batch_size).map(batch).prefetch(2)

    def _shares(self, labels):
        return tf.one_hot(labels, len(self.task.classes))

    def _chooser(self, clouds):
        """Function from places and keys to clouds of `points` points each."""
        everything = tf.constant(clouds.points)
        starts = tf.constant(clouds.offsets[:-1], tf.int32)
        sizes = tf.constant(np.diff(clouds.offsets), tf.int32)

        def one(place, key):
            size = tf.gather(sizes, place)
            order = tf.argsort(tf.random.stateless_uniform([size], key))
            rows = tf.gather(order, tf.range(self.points) % size)
            return tf.gather(everything, tf.gather(starts, place) + rows)

        def choose(places, keys):
            return tf.map_fn(
                lambda pair: one(*pair),
                (places, keys),
                fn_output_signature=tf.TensorSpec([self.points, 3]),
            )

        return choose


def class_weights(labels, balance):
    """Weights of the classes, 1 on average over the examples.

    Args:
        labels: int array.
        balance: float, see `PointBatches`.

    Returns:
        float32 array; 0 for a class without examples.

    Example:

    >>> class_weights(np.array([0, 0, 0, 1]), balance=1.0)
    array([0.6666667, 2.       ], dtype=float32)
    """
    counts = np.bincount(labels)
    weights = np.where(counts, np.maximum(counts, 1.0) ** -balance, 0.0)
    mean = (weights * counts).sum() / len(labels)
    return (weights / mean).astype("float32")


def augmented(clouds, augmentation, vertical, key):
    """Changes every cloud of a batch at random.

    Args:
        clouds: tensor of shape `(batch, points, 3)`.
        augmentation: `Augmentation`.
        vertical: int, the axis to turn about.
        key: int tensor of shape `(2,)`.

    Returns:
        Tensor like `clouds`.
    """
    batch = clouds.shape[0]
    keys = tf.random.split(key, 5)

    def uniform(shape, index, limit):
        return tf.random.stateless_uniform(shape, keys[index], -limit, limit)

    angles = uniform([batch], 0, math.radians(augmentation.rotate))
    clouds = rotated(clouds, angles, vertical)
    if augmentation.mirror:
        side = tf.one_hot((vertical + 1) % 3, 3)
        chosen = uniform([batch, 1, 1], 1, 1.0) < 0
        clouds *= tf.where(chosen, 1 - 2 * side, 1.0)
    clouds *= tf.exp(uniform([batch, 1, 1], 2, math.log(augmentation.scale)))
    clouds += uniform([batch, 1, 3], 3, augmentation.shift)
    noise = tf.random.stateless_normal(clouds.shape, keys[4])
    noise = tf.clip_by_value(noise, -JITTER_LIMIT, JITTER_LIMIT)
    return clouds + augmentation.jitter * noise


def rotated(clouds, angles, vertical):
    """Turns every cloud of a batch about the vertical by its own angle.

    Args:
        clouds: tensor of shape `(batch, points, 3)`.
        angles: tensor of shape `(batch,)`, in radians.
        vertical: int, the axis to turn about.

    Returns:
        Tensor like `clouds`.
    """
    first, second = (vertical + 1) % 3, (vertical + 2) % 3
    cos, sin = tf.cos(angles)[:, None], tf.sin(angles)[:, None]
    x, y = clouds[..., first], clouds[..., second]
    axes = {
        first: cos * x - sin * y,
        second: sin * x + cos * y,
        vertical: clouds[..., vertical],
    }
    return tf.stack([axes[i] for i in range(3)], axis=-1)
