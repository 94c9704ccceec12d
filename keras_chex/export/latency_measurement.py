"""`measure_latency`: the latency table of a network on this machine."""

import dataclasses
import importlib.metadata
import pathlib
import platform
import tempfile

import numpy as np

from keras_chex.algorithms.allocation import allocate, minimum_cost
from keras_chex.algorithms.arguments import check_share
from keras_chex.algorithms.grid import multiples_for
from keras_chex.analysis.budget import prunable
from keras_chex.analysis.latency import latency_cost
from keras_chex.analysis.layer_shapes import shaped_layers
from keras_chex.export.conversion import convert
from keras_chex.export.latency_table import LatencyTable
from keras_chex.export.layer_timing import (
    clock_of,
    fast_times,
    find_tile,
    layer_times,
    prepared_file,
    reference_time,
)
from keras_chex.export.plain_model import check_exportable, computing_in_float32
from keras_chex.export.saved_model import write_saved_model
from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.graph.shapes import call_shapes
from keras_chex.surgery.narrowing import narrow_model

# Shares of all channels of the networks that are timed as a whole beside the
# dense one. A third and a half of the channels are an eighth to a quarter of
# the time: budgets lie between that and the dense network.
NARROW_SHARES, NARROW_MULTIPLE = (0.5, 0.35), 8


def measure_latency(model, threads=1, input_shape=None, rounds=15, share=None):
    """Measures how long the layers of a network take at any width.

    Every layer shape of the network is run in LiteRT by itself, at about 25
    combinations of input and output channels. Then the whole network is run,
    dense and with half and a third of all channels, and tells what the layers
    take inside it and what everything else takes. The times are those of
    float32 files with one example. A ResNet-50 takes some minutes.

    Args:
        model: built `keras.Model`, plain or wrapped, which stays as it is.
        threads: int, threads of the interpreter. A single one is timed by its
            processor time, several by the wall clock: keep the machine quiet.
        input_shape: shape of one example, for a model that takes any size.
        rounds: int, times that each file is run; the fast runs count.
        share: float, share of the dense latency that the table will be used
            at. A network of that latency and even widths is then timed, too,
            and the table is right there rather than everywhere about.

    Returns:
        A `LatencyTable`.

    Raises:
        ImportError: If neither LiteRT nor TensorFlow is installed.
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If a number is not a positive integer, or the model is not
            built or has no layer to measure.
        RuntimeError: If Keras does not run on TensorFlow, which writes the
            file of the whole network, or LiteRT lacks an operation.

    Example:

    ```python
    table = keras_chex.measure_latency(model)
    table.save("laptop.json")
    scheduler = keras_chex.ChexScheduler(
        latency=0.5, latency_table="laptop.json"
    )
    ```
    """
    for argument, value in (("threads", threads), ("rounds", rounds)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(
                f"Argument `{argument}` must be a positive integer. Received: "
                f"{argument}={value!r}"
            )
    if share is not None:
        check_share("share", share)
    check_exportable(model)
    graph = read_channels(model)
    layers = shaped_layers(graph, call_shapes(graph, model, input_shape))
    if not layers:
        raise ValueError(
            "Argument `model` must have a convolution or a Dense layer. "
            f"Received: '{model.name}' without any"
        )
    shapes = {str(layer.shape): layer.shape for layer in layers}
    tiles, tables = {}, {}
    unit_time = reference_time(threads, rounds)
    for name, shape in shapes.items():
        kernel = shape.kind, shape.kernel, shape.strides, shape.groups
        if kernel not in tiles:
            tiles[kernel] = find_tile(shape, threads, rounds)
        tables[name] = layer_times(
            shape, *tiles[kernel], unit_time, threads, rounds
        )
    groups = [graph.groups[i] for i in prunable(graph)]

    def time_networks(networks):
        with tempfile.TemporaryDirectory() as folder:
            invocations = [
                _network(
                    graph,
                    model,
                    {
                        group.name: np.arange(width)
                        for group, width in zip(groups, widths, strict=True)
                    },
                    pathlib.Path(folder) / f"{number}.tflite",
                    threads,
                    input_shape,
                )
                for number, widths in enumerate(networks)
            ]
            return fast_times(invocations, rounds, clock_of(threads))

    return _calibrated(
        LatencyTable(processor(), threads, runtime(), tables),
        time_networks,
        np.array([group.size for group in groups], int),
        lambda table: latency_cost(graph, model, table, input_shape),
        share,
    )


def _calibrated(table, time_networks, sizes, cost_with, share):
    """Fits scale and constant to the times of whole networks.

    Args:
        table: `LatencyTable` of layers that were timed alone.
        time_networks: function from a list of widths to nanoseconds.
        sizes: int array, widths of the dense network.
        cost_with: function from a table to its `LatencyCost`.
        share: float or `None`, see `measure_latency`.
    """
    alone = cost_with(table)
    networks = [sizes, *(_narrowed(sizes, part) for part in NARROW_SHARES)]
    line = fit_line([alone(w) for w in networks], time_networks(networks))
    found = dataclasses.replace(table, scale=line[0], constant=line[1])
    if share is None or not len(sizes):
        return found
    cost, grid = cost_with(found), multiples_for(sizes)
    limit = max(share * cost(sizes), minimum_cost(sizes, cost, round_to=grid))
    aimed = allocate(
        [None] * len(sizes),
        sizes,
        cost,
        limit,
        allocation="uniform",
        round_to=grid,
    )
    networks = [sizes, aimed]
    line = fit_line([alone(w) for w in networks], time_networks(networks))
    return dataclasses.replace(table, scale=line[0], constant=line[1])


def _narrowed(sizes, share):
    """A share of all widths, in whole multiples where there are so many."""
    narrow = np.ceil(share * sizes / NARROW_MULTIPLE) * NARROW_MULTIPLE
    return np.minimum(narrow, sizes).astype(int)


def fit_line(alone, measured):
    """Scale and constant that turn sums of layers into times of networks.

    The line of least squares, every network counting by its relative error.

    Args:
        alone: sums of the layers' times, of the dense network first, then of
            narrower ones.
        measured: times of the networks.

    Returns:
        `(scale, constant)`. Where the times say that a narrower network is
        not faster, or all are the same, the constant is 0 and the dense one
        counts.

    Example:

    >>> fit_line((100, 40, 20), (130, 58, 34))
    (1.2, 10)
    """
    alone, measured = np.asarray(alone, float), np.asarray(measured, float)
    scale, constant = 0.0, 0.0
    if np.ptp(alone) > 0:
        rows = np.column_stack([alone, np.ones_like(alone)])
        ones = np.ones_like(measured)
        fitted = np.linalg.lstsq(rows / measured[:, None], ones, rcond=None)
        scale, constant = fitted[0]
        scale = float(round(scale, 6))
    if scale <= 0:
        return float(measured[0] / alone[0]), 0
    return scale, round(constant)


def _network(graph, model, kept, path, threads, input_shape):
    """Returns a function that runs a network with some of its channels."""
    narrow = narrow_model(model, Selection(graph, kept))
    with (
        tempfile.TemporaryDirectory() as folder,
        computing_in_float32(narrow),
    ):
        write_saved_model(narrow, folder)
        path.write_bytes(convert(folder, None))
    shapes = None
    if input_shape is not None:
        several = isinstance(input_shape[0], list | tuple)
        given = input_shape if several else [input_shape]
        shapes = [(1, *shape) for shape in given]
    return prepared_file(path, threads, shapes)


def runtime():
    """Name and version of what runs `.tflite` files here."""
    for package in ("ai-edge-litert", "tensorflow"):
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "unknown"


def processor():
    """Name of the processor."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
