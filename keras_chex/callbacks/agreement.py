"""Makes all workers and replicas of a job explore the same channels.

The first worker's decision is the one that all of them take. What every
replica holds is compared at the start of a run and at every exploration step,
so that a job whose workers have drifted apart stops, instead of training
networks of different shapes or waiting for each other for ever.
"""

import hashlib

import keras
import numpy as np


class Agreement:
    """One voice for all replicas of a model.

    Args:
        model: a model with `ChexWrapper` layers.
        variables: list of the integer variables that say which channels are
            active.
    """

    def __init__(self, model, variables):
        self._share = _gatherer(model, [])
        self._state = _gatherer(model, variables)

    def decide(self, masks):
        """The first worker's masks.

        Args:
            masks: list of bool arrays, this worker's decision.

        Returns:
            List of bool arrays of the same shapes.
        """
        mine = np.concatenate([np.asarray(m, np.int32) for m in masks])
        agreed = self._share(mine)[0].astype(bool)
        ends = np.cumsum([len(mask) for mask in masks])
        return np.split(agreed, ends[:-1])

    def check(self, text):
        """Compares all replicas.

        Args:
            text: str, what else has to be equal: options, times.

        Returns:
            Str of eight hexadecimal digits, the same on every worker.

        Raises:
            RuntimeError: If replicas hold other channels, or workers another
                `text`.
        """
        rows = self._state(_digits(text))
        for number, row in enumerate(rows):
            if not np.array_equal(row, rows[0]):
                what = (
                    "active channels"
                    if np.array_equal(row[:8], rows[0][:8])
                    else "options, epoch or optimizer step"
                )
                raise RuntimeError(
                    "All replicas must explore alike. Received: other "
                    f"{what} in replica {number} than in replica 0, of "
                    f"{len(rows)}. This worker has: {text}. Give all workers "
                    "the same arguments, let them resume from the same "
                    "checkpoint, and call `set_active` on all or none."
                )
        return hashlib.sha256(rows[0].tobytes()).hexdigest()[:8]


def worker_count(model):
    """Number of processes that train a model together."""
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return jax.process_count()
    if backend != "tensorflow":
        return 1
    resolver = getattr(model.distribute_strategy, "cluster_resolver", None)
    spec = None if resolver is None else resolver.cluster_spec()
    jobs = spec.jobs if spec else ()
    return max(1, sum(spec.num_tasks(job) for job in jobs))


def _digits(text):
    """A text as eight integers that differ if the texts do."""
    digest = hashlib.sha256(text.encode()).digest()
    return np.frombuffer(digest, np.int32)


def _gatherer(model, variables):
    """A function from an array to one row per replica.

    A row is the array of its worker, and the variables as the replica holds
    them.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        strategy = model.distribute_strategy
        if strategy.num_replicas_in_sync > 1:
            return _tensorflow_gatherer(strategy, variables)

    def row(array):
        values = [keras.ops.convert_to_numpy(v.value) for v in variables]
        return np.concatenate([array, *values])

    if backend == "jax":
        import jax

        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return lambda array: np.asarray(
                multihost_utils.process_allgather(row(array))
            )
    return lambda array: row(array)[np.newaxis]


def _tensorflow_gatherer(strategy, variables):
    import tensorflow as tf

    @tf.function
    def rows(array):
        def replica(array):
            mine = [array, *(v.value.read_value() for v in variables)]
            context = tf.distribute.get_replica_context()
            return context.all_gather(tf.concat(mine, 0)[tf.newaxis], axis=0)

        return strategy.run(replica, args=(array,))

    def gather(array):
        found = rows(tf.constant(array))
        return strategy.experimental_local_results(found)[0].numpy()

    return gather
