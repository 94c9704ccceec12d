"""Batches of images: shuffled and augmented from the seed and the epoch alone.

An interrupted run that starts again in epoch 7 sees the same batches as one
that was never interrupted. All operations work on whole batches, so that the
input costs little beside a training step on two cores.
"""

import tensorflow as tf

from .datasets import steps_per_epoch


def train_batches(
    images, labels, batch_size, seed=0, first_epoch=0, shift=0, flip=False
):
    """An endless dataset of augmented training batches.

    Args:
        images: array of shape `(examples, height, width, colours)`.
        labels: int array of shape `(examples,)`.
        batch_size: int; the incomplete batch of every epoch is left out.
        seed: int, decides order and augmentation.
        first_epoch: int, the epoch in which the dataset begins.
        shift: int, images move by up to this many pixels in both directions;
            zeros come in.
        flip: bool, mirror every second image at random.

    Returns:
        `tf.data.Dataset` of `(images, labels)`; `steps_per_epoch` batches
        belong to an epoch.

    Raises:
        ValueError: If a batch is larger than the set.
    """
    chosen_batches = index_batches(len(images), batch_size, seed, first_epoch)
    images, labels = tf.constant(images), tf.constant(labels)

    def batch(step, chosen):
        x, y = tf.gather(images, chosen), tf.gather(labels, chosen)
        keys = tf.random.split([seed, tf.cast(step, tf.int32)], 2)
        if shift:
            x = random_shift(x, shift, keys[0])
        if flip:
            x = random_flip(x, keys[1])
        return tf.ensure_shape(x, [batch_size, *images.shape[1:]]), y

    dataset = chosen_batches.map(
        batch, num_parallel_calls=2, deterministic=True
    )
    return dataset.prefetch(4)


def index_batches(count, batch_size, seed=0, first_epoch=0):
    """An endless dataset of which examples make up each batch.

    Args:
        count: int, number of examples.
        batch_size: int; the incomplete batch of every epoch is left out.
        seed: int, decides the order.
        first_epoch: int, the epoch in which the dataset begins.

    Returns:
        `tf.data.Dataset` of `(step, int tensor of shape (batch_size,))`, steps
        counted from epoch 0.

    Raises:
        ValueError: If a batch is larger than the set.
    """
    steps = steps_per_epoch(count, batch_size)

    def epoch_batches(epoch):
        noise = tf.random.stateless_uniform([count], [seed, epoch])
        order = tf.argsort(noise)[: steps * batch_size]
        batches = tf.data.Dataset.from_tensor_slices(
            tf.reshape(order, [steps, batch_size])
        )
        return batches.enumerate(epoch * steps)

    # The largest number of epochs keeps `epoch * steps` within int64.
    return tf.data.Dataset.range(first_epoch, 2**31).flat_map(epoch_batches)


def evaluation_batches(images, labels, batch_size=256):
    """All examples in order, once, in batches."""
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    return dataset.batch(batch_size).prefetch(2)


def random_shift(images, pixels, key):
    """Moves every image of a batch by its own random offset.

    Args:
        images: tensor of shape `(batch, height, width, colours)`.
        pixels: int, largest offset in either direction of both axes.
        key: int tensor of shape `(2,)`.

    Returns:
        Tensor like `images`; zeros fill what came from outside.
    """
    batch, height, width, _ = images.shape
    padded = tf.pad(
        images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]]
    )
    offsets = tf.random.stateless_uniform(
        [2, batch, 1], key, 0, 2 * pixels + 1, tf.int32
    )
    # (batch, height) and (batch, width): the pixels that each image keeps
    rows = offsets[0] + tf.range(height)
    columns = offsets[1] + tf.range(width)
    taken = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(taken, columns, axis=2, batch_dims=1)


def random_flip(images, key):
    """Mirrors every second image of a batch, at random, left to right."""
    mirrored = (
        tf.random.stateless_uniform([images.shape[0], 1, 1, 1], key) < 0.5
    )
    return tf.where(mirrored, images[:, :, ::-1, :], images)
