"""Measures how long an exported network takes, its memory and its size."""

import dataclasses
import pathlib
import tempfile
import time

import numpy as np

from keras_chex.export.engines import (
    TFLITE,
    file_of,
    peak_memory,
    prepared,
    size_of,
)
from keras_chex.export.quiet import quiet_stderr

# Timed inferences in a row before another file has its turn. The one before
# them is not timed: it brings the file's weights back into the caches.
BLOCK = 10


@dataclasses.dataclass(frozen=True)
class Latency:
    """How one network ran.

    Attributes:
        name: file name, or name of the model.
        median_ms: median time of one inference in milliseconds.
        p90_ms: time that nine of ten inferences stay under.
        threads: threads of LiteRT; `None` for TensorFlow, which uses what it
            was set to when it started.
        batch_size: examples per inference.
        bytes: size of the file, or of all files of a SavedModel.
        runs: timed inferences.
        peak_bytes: memory for loading and one inference, beyond what the
            libraries hold; `None` if it was not measured.
    """

    name: str
    median_ms: float
    p90_ms: float
    threads: int | None
    batch_size: int
    bytes: int
    runs: int
    peak_bytes: int | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How several files ran in turns; `str()` gives a table.

    Attributes:
        results: one `Latency` per file, in the order given.
    """

    results: tuple[Latency, ...]

    @property
    def ratios(self):
        """Median time of each file as a share of the first one's."""
        first = self.results[0].median_ms
        return tuple(result.median_ms / first for result in self.results)

    def __str__(self):
        width = max(len(result.name) for result in self.results)
        lines = [
            f"{'':{width}}  {'median':>10}  {'p90':>10}  {'ratio':>6}  "
            f"{'bytes':>12}  {'peak memory':>11}"
        ]
        lines += [
            f"{result.name:{width}}  {result.median_ms:>7.3f} ms  "
            f"{result.p90_ms:>7.3f} ms  {ratio:>6.2f}  {result.bytes:>12,}  "
            f"{_mebibytes(result.peak_bytes):>11}"
            for result, ratio in zip(self.results, self.ratios, strict=True)
        ]
        return "\n".join(lines)


def benchmark(
    path_or_model, threads=1, batch_size=None, runs=100, warmup=10, memory=True
):
    """Times one exported network, or the file that a model would become.

    Args:
        path_or_model: path of a `.tflite` file (run by LiteRT), of a `.keras`
            file or of the folder of a SavedModel (run by TensorFlow); or a
            built `keras.Model`, plain or wrapped, which is exported as float32
            to a temporary `.tflite` file.
        threads: int, threads of LiteRT.
        batch_size: int, examples per inference; `None` for what a file takes,
            one where it takes any number.
        runs: int, timed inferences.
        warmup: int, inferences before them.
        memory: bool, whether to measure peak memory too, in another process:
            half a second for a `.tflite` file, seconds for TensorFlow.

    Returns:
        A `Latency`. Figures of two files are comparable only if they come from
        one run: use `compare_latency`.

    Raises:
        TypeError: If `path_or_model` is neither a path nor a model.
        ValueError: If a number is not a positive integer, or the file does
            not exist, is of another kind or broken.

    Example:

    ```python
    keras_chex.benchmark("resnet20.tflite").median_ms
    ```
    """
    return compare_latency(
        [path_or_model], threads, batch_size, runs, warmup, memory
    ).results[0]


def compare_latency(
    paths_or_models,
    threads=1,
    batch_size=None,
    runs=100,
    warmup=10,
    memory=True,
):
    """Times several networks in turns, so that their ratios mean something.

    A machine's speed drifts by more than what two networks differ by. Blocks
    of ten inferences alternate between the files, forwards and backwards.

    Args:
        paths_or_models: list of what `benchmark` takes.
        threads: int, threads of LiteRT.
        batch_size: int, examples per inference; `None` for what a file takes,
            one where it takes any number.
        runs: int, timed inferences of each file.
        warmup: int, inferences of each file before them.
        memory: see `benchmark`.

    Returns:
        A `Comparison`.

    Raises:
        TypeError: If an entry is neither a path nor a model.
        ValueError: If the list is empty, a number is not a positive integer,
            or a file does not exist, is of another kind or broken.

    Example:

    ```python
    print(keras_chex.compare_latency(["dense.tflite", "small.tflite"]))
    ```
    """
    if not paths_or_models:
        raise ValueError(
            "Argument `paths_or_models` must name at least one file or model. "
            f"Received: {paths_or_models!r}"
        )
    if batch_size is not None:
        _check_positive("batch_size", batch_size)
    for argument, value in (
        ("threads", threads),
        ("runs", runs),
        ("warmup", warmup),
    ):
        _check_positive(argument, value)
    with tempfile.TemporaryDirectory() as folder:
        files = [
            file_of(entry, pathlib.Path(folder) / f"{i}.tflite")
            for i, entry in enumerate(paths_or_models)
        ]
        invocations, examples = zip(
            *(
                prepared(kind, path, threads, batch_size)
                for _, path, kind in files
            ),
            strict=True,
        )
        with quiet_stderr():
            seconds = _alternate(invocations, runs, warmup)
        results = tuple(
            Latency(
                name=name,
                median_ms=float(np.median(times)) * 1e3,
                p90_ms=float(np.percentile(times, 90)) * 1e3,
                threads=threads if kind == TFLITE else None,
                batch_size=count,
                bytes=size_of(path),
                runs=runs,
                peak_bytes=peak_memory(kind, path, threads, count)
                if memory
                else None,
            )
            for (name, path, kind), times, count in zip(
                files, seconds, examples, strict=True
            )
        )
    return Comparison(results)


def _mebibytes(count):
    return "-" if count is None else f"{count / 2**20:.1f} MiB"


def _check_positive(argument, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"Argument `{argument}` must be a positive integer. Received: "
            f"{argument}={value!r}"
        )


def _alternate(invocations, runs, warmup):
    """Times the functions in turns; returns one list of seconds for each."""
    for invoke in invocations:
        for _ in range(warmup):
            invoke()
    seconds = [[] for _ in invocations]
    order = list(range(len(invocations)))
    while len(seconds[0]) < runs:
        count = min(BLOCK, runs - len(seconds[0]))
        for index in order:
            invocations[index]()
            seconds[index] += _timed(invocations[index], count)
        order.reverse()
    return seconds


def _timed(function, count):
    times = []
    for _ in range(count):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times
