"""Batches for any backend of Keras: arrays in, augmented on the device.

Order and augmentation depend on the seed and the step alone, so that a run
that was interrupted goes on with what an unbroken one would have seen. On one
backend, that is: each draws random numbers in its own way.
"""

import itertools

import keras
import numpy as np

from .datasets import steps_per_epoch

EVALUATION_BATCH = 250
# The shift and the mirroring of a batch are drawn one after the other.
DRAWS = 2


@keras.saving.register_keras_serializable("experiments")
class ShiftAndFlip(keras.layers.Layer):
    """Moves and mirrors images while training; the first layer of a network.

    Args:
        shift: int, images move by up to this many pixels in both directions;
            zeros come in.
        flip: bool, whether every second image is mirrored at random.
        seed: int.
    """

    def __init__(self, shift=0, flip=False, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.shift = shift
        self.flip = flip
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def start_at(self, step):
        """Goes to the draws of a step of training.

        Args:
            step: int, batches that were drawn before.
        """
        self.generator.state.assign([self.seed, DRAWS * step])

    def call(self, images, training=False):
        if not training:
            return images
        batch = keras.ops.shape(images)[0]
        offsets = keras.random.randint(
            (2, batch, 1), 0, 2 * self.shift + 1, seed=self.generator
        )
        draws = keras.random.uniform((batch, 1), seed=self.generator)
        mirrored = draws < (0.5 if self.flip else 0.0)
        return shift_and_flip(images, offsets, mirrored, self.shift)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        own = {"shift": self.shift, "flip": self.flip, "seed": self.seed}
        return {**super().get_config(), **own}


def shift_and_flip(images, offsets, mirrored, pixels):
    """Cuts a window out of every image, mirrored or not.

    Args:
        images: tensor of shape `(batch, height, width, colours)`.
        offsets: int tensor of shape `(2, batch, 1)`, the windows' corners in
            images with a margin of `pixels` zeros; `pixels` is the middle.
        mirrored: bool tensor of shape `(batch, 1)`.
        pixels: int.

    Returns:
        Tensor like `images`.
    """
    ops = keras.ops
    _, height, width, colours = images.shape
    batch = ops.shape(images)[0]
    margin = (pixels, pixels)
    padded = ops.pad(images, ((0, 0), margin, margin, (0, 0)))
    across = ops.arange(width, dtype="int32")
    across = ops.where(mirrored, width - 1 - across, across)
    # (batch, height) and (batch, width): the pixels that each image keeps
    rows = ops.cast(offsets[0], "int32") + ops.arange(height, dtype="int32")
    columns = ops.cast(offsets[1], "int32") + across
    rows += ops.arange(batch, dtype="int32")[:, None] * (height + 2 * pixels)
    taken = rows[:, :, None] * (width + 2 * pixels) + columns[:, None, :]
    flat = ops.reshape(padded, (-1, colours))
    return ops.reshape(
        ops.take(flat, ops.reshape(taken, (-1,)), axis=0),
        (-1, height, width, colours),
    )


def array_feed(model, images, recipe, first_epoch):
    """What `training.train` gives to `fit`, on any backend.

    Args:
        model: the model; its `ShiftAndFlip` layers start at the first epoch.
        images: an `ImageSet`.
        recipe: a `Recipe`.
        first_epoch: int.

    Returns:
        Dict, arguments of `fit`.
    """
    steps = steps_per_epoch(len(images.train[0]), recipe.batch_size)
    for layer in model.layers:
        if isinstance(layer, ShiftAndFlip):
            layer.start_at(first_epoch * steps)
    batches = array_batches(
        *images.train, recipe.batch_size, recipe.seed, first_epoch
    )
    return {
        "x": batches,
        "validation_data": images.test,
        "validation_batch_size": EVALUATION_BATCH,
    }


def array_batches(images, labels, batch_size, seed=0, first_epoch=0):
    """Yields shuffled batches without end, the same in every run.

    Args:
        images: array of shape `(examples, height, width, colours)`.
        labels: array of shape `(examples,)`.
        batch_size: int; the incomplete batch of every epoch is left out.
        seed: int, decides the order.
        first_epoch: int.

    Yields:
        Pairs of arrays.
    """
    steps = steps_per_epoch(len(images), batch_size)
    for epoch in itertools.count(first_epoch):
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        for chosen in order[: steps * batch_size].reshape(steps, batch_size):
            yield images[chosen], labels[chosen]
