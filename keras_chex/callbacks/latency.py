"""Where a run with a latency budget gets its latency table from."""

import os

import keras

from keras_chex.callbacks.agreement import worker_count
from keras_chex.callbacks.messages import print_message
from keras_chex.export.latency_measurement import measure_latency
from keras_chex.export.latency_table import LatencyTable


def given_table(budget, latency_table):
    """The table that the user gave.

    Args:
        budget: `(kind, value)`.
        latency_table: see `ChexScheduler`.

    Returns:
        A `LatencyTable`, or `None`.

    Raises:
        TypeError: If `latency_table` is neither a table nor a path.
        ValueError: If it cannot be read, or the budget is no latency.
    """
    if latency_table is None:
        return None
    if budget[0] != "latency":
        raise ValueError(
            "Argument `latency_table` must come with a budget `latency`. "
            f"Received: the budget {budget[0]}={budget[1]}"
        )
    if isinstance(latency_table, str | os.PathLike):
        return LatencyTable.load(latency_table)
    if not isinstance(latency_table, LatencyTable):
        raise TypeError(
            "Argument `latency_table` must be a `LatencyTable` or the path of "
            f"one. Received: {latency_table!r}"
        )
    return latency_table


def measured_table(model, share, input_shape, verbose):
    """Measures the table of a run on this machine.

    Args:
        model: a model with `ChexWrapper` layers.
        share: float, the budget.
        input_shape: see `ChexScheduler`.
        verbose: int, whether to say so.

    Raises:
        ImportError: If LiteRT is not installed.
        ValueError: If there are several workers, whose machines would measure
            different times, or Keras cannot write the network's file.
    """
    workers = worker_count(model)
    if workers > 1:
        raise ValueError(
            "Argument `latency_table` must be given in a job of several "
            "workers: each would measure other times. Received: "
            f"latency_table=None with {workers} workers. Measure one before "
            "with `keras_chex.measure_latency(model).save(path)` and give the "
            "path to all workers."
        )
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Argument `latency_table` must be given where Keras does not run "
            "on TensorFlow. Received: latency_table=None on backend "
            f"{keras.backend.backend()!r}. Measure one with "
            "`keras_chex.measure_latency(model).save(path)` in a process "
            "started with KERAS_BACKEND=tensorflow."
        )
    if verbose:
        print_message(
            "Measuring the latency of the model's layers in LiteRT, which "
            "takes minutes for a large model; `scheduler.latency_table.save` "
            "keeps the result."
        )
    return measure_latency(model, input_shape=input_shape, share=share)
