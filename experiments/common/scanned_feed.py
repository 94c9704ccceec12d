"""Epochs as one compiled loop, on JAX.

Small networks cannot fill a fast device: between two of their steps it waits
for Python. Here an epoch goes to the device as a whole, and the loop over its
batches is part of the compiled program. Weights, optimizer and metrics after
an epoch are those of `array_feed.array_feed`, up to rounding.
"""

import keras
import numpy as np

from .array_feed import ShiftAndFlip, array_batches
from .datasets import steps_per_epoch

# The test set needs fewer steps too.
EVALUATION_BATCH = 1000


def scanned_feed(model, images, recipe, first_epoch):
    """What `training.train` gives to `fit`: one step for every epoch.

    The model's `train_step` is replaced by one for whole epochs. Callbacks
    that act between batches, such as a `ChexScheduler` with `unit="step"`,
    have their turn once in an epoch.

    Args:
        model: the compiled model.
        images: an `ImageSet`.
        recipe: a `Recipe`.
        first_epoch: int.

    Returns:
        Dict, arguments of `fit`.

    Raises:
        ValueError: If the backend of Keras is not JAX.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            "Compiled epochs need JAX as the backend of Keras: set "
            "KERAS_BACKEND=jax, or do without `--compiled_epochs`. "
            f"Received: backend={keras.backend.backend()}"
        )
    steps = steps_per_epoch(len(images.train[0]), recipe.batch_size)
    for layer in model.layers:
        if isinstance(layer, ShiftAndFlip):
            layer.start_at(first_epoch * steps)
    # Keras builds metrics from the first batch that it sees, and an epoch has
    # one dimension more.
    test = tuple(array[:EVALUATION_BATCH] for array in images.test)
    model.evaluate(*test, batch_size=EVALUATION_BATCH, verbose=0)
    model.train_step = _over_batches(model.train_step)
    return {
        "x": _epochs(images.train, recipe, first_epoch, steps),
        "steps_per_epoch": 1,
        "validation_data": images.test,
        "validation_batch_size": EVALUATION_BATCH,
    }


def _over_batches(train_step):
    """A step over all batches of an epoch out of one over a single batch."""
    import jax

    def train_epoch(state, epoch):
        # JAX knows a loop by the function of its body, and would go on with
        # the widths of an earlier one: this one is new whenever it is traced.
        def one(state, batch):
            logs, state = train_step(state, batch)
            return state, logs

        state, logs = jax.lax.scan(one, state, epoch)
        return jax.tree.map(lambda log: log[-1], logs), state

    return train_epoch


def _epochs(arrays, recipe, first_epoch, steps):
    """Yields arrays of shape `(steps, batch, ...)`."""
    batches = array_batches(
        *arrays, recipe.batch_size, recipe.seed, first_epoch
    )
    while True:
        epoch = [next(batches) for _ in range(steps)]
        yield tuple(np.stack(parts) for parts in zip(*epoch, strict=True))
