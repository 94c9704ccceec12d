"""Whether the input keeps up with the training step, in images per second."""

import time

import keras
import tensorflow as tf


def input_speed(batches, batch_count=10):
    """Images per second that the pipeline makes while nothing else runs.

    Args:
        batches: `PhotoBatches`.
        batch_count: int, batches that are timed, after two to get going.

    Returns:
        float.
    """
    # As many batches as are asked for in one epoch, so that none begins anew.
    iterator = iter(batches.train(batch_count + 2))
    for _ in range(2):
        next(iterator)
    began = time.perf_counter()
    for _ in range(batch_count):
        next(iterator)
    return batch_count * batches.batch_size / (time.perf_counter() - began)


def step_speed(model, batches, steps=5):
    """Images per second of training steps on one batch that is there already.

    Args:
        model: a compiled `keras.Model`.
        batches: `PhotoBatches`, for the shapes and the strategy.
        steps: int, steps that are timed.

    Returns:
        float.
    """
    strategy = batches.strategy
    share = batches.batch_size // strategy.num_replicas_in_sync
    size, classes = batches.image_size, batches.photos.classes
    images = tf.random.stateless_uniform([share, size, size, 3], [0, 0], 0, 255)
    labels = tf.one_hot(tf.range(share) % classes, classes)
    ready = strategy.distribute_datasets_from_function(
        lambda _: tf.data.Dataset.from_tensors((images, labels)).repeat()
    )
    return _fit_speed(model, ready, batches.batch_size, steps)


def training_speed(model, batches, steps=5):
    """Images per second of training on what the pipeline makes.

    Args:
        model: a compiled `keras.Model`.
        batches: `PhotoBatches`.
        steps: int, steps that are timed.

    Returns:
        float.
    """
    made = batches.train(steps)
    return _fit_speed(model, made, batches.batch_size, steps)


def _fit_speed(model, dataset, batch_size, steps):
    """Times the second of two epochs; the first one compiles."""
    clock = _EpochSeconds()
    model.fit(
        dataset,
        steps_per_epoch=steps,
        epochs=2,
        callbacks=[clock],
        shuffle=False,
        verbose=0,
    )
    return steps * batch_size / clock.seconds


class _EpochSeconds(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds = time.perf_counter() - self._began
