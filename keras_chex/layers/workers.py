"""Mends what fails in Keras on several machines, for a wrapped model.

Keras 3.15 cannot `fit` under `MultiWorkerMirroredStrategy`, see
https://github.com/keras-team/keras/issues/20585.
"""

import keras


def has_workers(model):
    """Tells whether a TensorFlow model trains on several machines."""
    strategy = getattr(model, "_distribute_strategy", None)
    extended = getattr(strategy, "extended", None)
    return extended is not None and extended._in_multi_worker_mode()


def local_batch(model, iterator):
    """The first batch of an epoch, as the first device of this worker has it.

    Args:
        model: a model under a distribution strategy.
        iterator: Keras' iterator over the steps of an epoch.
    """
    _, _, batches = next(iter(iterator))
    local_results = model.distribute_strategy.experimental_local_results
    return keras.tree.map_structure(
        lambda x: local_results(x)[0], next(batches)
    )


def with_axis(model, logs):
    """Gives the numbers of a step an axis where several workers made them."""
    if not has_workers(model):
        return logs
    return keras.tree.map_structure(lambda x: keras.ops.reshape(x, (1,)), logs)
