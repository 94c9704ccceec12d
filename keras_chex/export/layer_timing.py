"""Times layers of many widths in LiteRT, and finds the tiles of its kernels."""

import dataclasses
import pathlib
import tempfile
import time

import numpy as np

from keras_chex.analysis.layer_shapes import (
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    LayerShape,
)
from keras_chex.export.latency_table import LayerTimes
from keras_chex.export.layer_files import layer_file
from keras_chex.export.litert import open_interpreter
from keras_chex.export.quiet import quiet_stderr

SHARES = (1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
# A narrow layer has a kernel of half the tile if that is so much faster.
HALF = 0.75
# Output channels that kernels may compute at once, the likeliest first, and how
# much better another must explain the times.
TILES = (16, 8, 32, 4, 1)
CLEAR = 0.6
# What every set of files is timed beside: a machine's speed drifts by more
# than layers of neighbouring widths differ by.
# Next to nothing to compute: what starting LiteRT takes.
EMPTY = LayerShape(DENSE, 1, 1)
REFERENCE = LayerShape(CONVOLUTION, 64, 64, (14, 14), (3, 3), padding="same")
# Output channels at which tiles are told apart.
PROBED = (64, 68, 72, 76, 80, 84, 88, 92, 96, 100, 104, 112, 116, 120, 128)
# A file with less work holds its layer several times: multiply-adds enough
# for the clock, and outputs (in numbers) that stay in a cache of 1 MB, as a
# network leaves them to its next layer.
LEAST_WORK = 4_000_000
MOST_OUTPUT = 100_000
MOST_COPIES = 32


def clock_of(threads):
    """The clock for files that run on so many threads.

    A single thread is timed by the processor time it gets, which other
    programs on the machine disturb far less.
    """
    if threads == 1 and hasattr(time, "thread_time_ns"):
        return time.thread_time_ns
    return time.perf_counter_ns


def fast_times(invocations, rounds, clock):
    """Nanoseconds of functions that run in turns, forth and back.

    What disturbs a run only makes it longer, by half and more where another
    program shares the core. So the time counts that a tenth of the runs stays
    below, not the median.
    """
    for invoke in invocations:
        invoke()
    times = np.zeros((rounds, len(invocations)))
    order = list(range(len(invocations)))
    for row in times:
        for index in order:
            start = clock()
            invocations[index]()
            row[index] = clock() - start
        order.reverse()
    return np.percentile(times, 10, axis=0)


def prepared_file(path, threads, input_shapes=None):
    """Returns a function that runs a file once on random numbers.

    Args:
        path: path of the file.
        threads: int, threads of the interpreter.
        input_shapes: shapes with the batch axis by which to resize the inputs;
            `None` takes what the file says.
    """
    interpreter = open_interpreter(path, threads)
    details = interpreter.get_input_details()
    for detail, shape in zip(details, input_shapes or (), strict=False):
        interpreter.resize_tensor_input(detail["index"], shape)
    with quiet_stderr():
        interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = rng.uniform(0.0, 1.0, detail["shape"])
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    return interpreter.invoke


def time_widths(shape, widths, threads, rounds):
    """Times of a layer at some numbers of channels.

    Args:
        shape: `LayerShape`.
        widths: list of `(inputs, outputs)`.
        threads: int.
        rounds: int, times that each is run.

    Returns:
        Float array, one entry per entry of `widths`, in multiples of what the
        reference takes meanwhile.
    """
    reference = _prepared(
        REFERENCE, REFERENCE.inputs, REFERENCE.outputs, threads
    )
    empty, _ = _prepared(EMPTY, 1, 1, threads, copies=1)
    prepared = [_prepared(shape, *pair, threads) for pair in widths]
    invocations, counts = zip(reference, *prepared, strict=True)
    times = fast_times([empty, *invocations], rounds, clock_of(threads))
    times = np.maximum(times[1:] - times[0], 1) / np.array(counts)
    return times[1:] / times[0]


def reference_time(threads, rounds):
    """Nanoseconds of the layer in whose multiples others are measured."""
    invoke, copies = _prepared(
        REFERENCE, REFERENCE.inputs, REFERENCE.outputs, threads
    )
    return fast_times([invoke], rounds, clock_of(threads))[0] / copies


def _prepared(shape, inputs, outputs, threads, copies=None):
    """Returns a function that runs a layer some times, and how often."""
    copies = copies or _copies(shape, inputs, outputs)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "layer.tflite"
        path.write_bytes(layer_file(shape, inputs, outputs, copies))
        return prepared_file(path, threads), copies


def find_tile(shape, threads, rounds):
    """How many output channels the kernel of a layer computes at once.

    Args:
        shape: `LayerShape`; its number of channels does not matter, nor does
            the size beyond what is quick to measure.
        threads: int.
        rounds: int.

    Returns:
        `(tile, least)`: one of `TILES`, and half of it where layers that
        narrow have a kernel of their own, else 1.
    """
    if shape.groups > 1:
        return 1, 1  # groups have few channels each
    small = dataclasses.replace(
        shape,
        inputs=64,
        outputs=64 * (shape.multiplier if shape.kind == DEPTHWISE else 1),
        size=tuple(min(n, 28) if n > 1 else 1 for n in shape.size),
    )
    widths = np.array([*PROBED, 4, 8, 16, 32])
    if shape.kind == DEPTHWISE:
        widths *= small.multiplier
    pairs = [(64, int(n)) for n in widths]
    times = time_widths(small, pairs, threads, rounds)
    wide = len(PROBED)
    tile = best_tile(widths[:wide], times[:wide])
    narrow = dict(zip(widths[wide:].tolist(), times[wide:], strict=True))
    half = tile // 2
    faster = half in narrow and narrow[half] < HALF * narrow[tile]
    return tile, half if faster else 1


def best_tile(widths, times):
    """The tile with which times are nearest to a line over padded widths.

    >>> widths = np.arange(8, 33)
    >>> best_tile(widths, 5 + 2 * np.ceil(widths / 16))
    16
    >>> best_tile(widths, 5 + 2 * widths)
    1
    """
    widths, times = np.asarray(widths), np.asarray(times)
    best, least = None, np.inf
    for tile in TILES:
        padded = np.ceil(widths / tile) * tile
        if np.ptp(padded) == 0:  # No line through a single width.
            continue
        line = np.polynomial.Polynomial.fit(padded, times, 1)
        error = np.square(line(padded) - times).sum()
        if error < CLEAR * least:
            best, least = tile, error
    return best


def layer_times(shape, tile, least, unit_time, threads, rounds):
    """Measures the table of one layer shape.

    Args:
        shape: `LayerShape`.
        tile: int, what `find_tile` found for layers of its kind.
        least: int, the same.
        unit_time: float, nanoseconds of the reference.
        threads: int.
        rounds: int.

    Returns:
        `LayerTimes`.
    """
    unit = shape.groups
    if shape.kind == DEPTHWISE:
        inputs, unit = [1], shape.multiplier
    elif shape.inputs <= 4:
        inputs = [shape.inputs]  # nearly always the image
    else:
        inputs = _knots(shape.inputs, np.lcm(4, unit))
    outputs = _knots(shape.outputs, np.lcm(tile, unit))
    if 1 < least < outputs[0]:
        outputs = [least, *outputs]
    widths = [(a, b) for a in inputs for b in outputs]
    times = unit_time * time_widths(shape, widths, threads, rounds)
    table = np.round(times).reshape(len(inputs), len(outputs))
    rows = tuple(tuple(map(int, row)) for row in table)
    return LayerTimes(tuple(inputs), tuple(outputs), rows, 1, tile, least)


def _knots(size, quantum):
    """Shares of a number of channels, rounded up to whole quanta.

    >>> _knots(64, 16), _knots(1000, 16), _knots(6, 16)
    ([16, 32, 48, 64], [128, 256, 512, 752, 1008], [6])
    """
    quantum = int(quantum)
    if size < quantum:
        return [size]
    return sorted({-(-int(size * s) // quantum) * quantum for s in SHARES})


def _copies(shape, inputs, outputs):
    """How often a layer has to stand in its file."""
    rows = int(
        np.prod(shape.output_size if shape.kind != DENSE else shape.size)
    )
    per_output = int(np.prod(shape.kernel))
    if shape.kind != DEPTHWISE:
        per_output *= max(1, inputs // shape.groups)
    work = rows * outputs * per_output
    wanted = min(-(-LEAST_WORK // work), MOST_OUTPUT // (rows * outputs))
    return int(np.clip(wanted, 1, MOST_COPIES))
