"""Measures how long LiteRT takes for an example, and how large a file is."""

import dataclasses
import os
import pathlib
import tempfile
import time

import numpy as np

from keras_chex.export.examples import FREE_SIZE
from keras_chex.export.litert import open_interpreter
from keras_chex.export.quiet import quiet_stderr
from keras_chex.export.tflite import export_tflite

# Timed inferences in a row before another file has its turn. The one before
# them is not timed: it brings the file's weights back into the caches.
BLOCK = 10


@dataclasses.dataclass(frozen=True)
class Latency:
    """How one `.tflite` file ran.

    Attributes:
        name: file name, or name of the model.
        median_ms: median time of one inference in milliseconds.
        p90_ms: time that nine of ten inferences stay under.
        threads: threads of the interpreter.
        batch_size: examples per inference.
        bytes: size of the file.
        runs: timed inferences.
    """

    name: str
    median_ms: float
    p90_ms: float
    threads: int
    batch_size: int
    bytes: int
    runs: int


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
            f"{'bytes':>12}"
        ]
        lines += [
            f"{result.name:{width}}  {result.median_ms:>7.3f} ms  "
            f"{result.p90_ms:>7.3f} ms  {ratio:>6.2f}  {result.bytes:>12,}"
            for result, ratio in zip(self.results, self.ratios, strict=True)
        ]
        return "\n".join(lines)


def benchmark(path_or_model, threads=1, batch_size=1, runs=100, warmup=10):
    """Times one `.tflite` file, or the file that a model would become.

    Args:
        path_or_model: path of a `.tflite` file, or a built `keras.Model`,
            plain or wrapped, which is exported as float32 to a temporary file.
        threads: int, threads of the interpreter.
        batch_size: int, examples per inference.
        runs: int, timed inferences.
        warmup: int, inferences before them.

    Returns:
        A `Latency`. Figures of two files are comparable only if they come from
        one run: use `compare_latency`.

    Raises:
        TypeError: If `path_or_model` is neither a path nor a model.
        ValueError: If a number is not a positive integer, or the file does
            not exist or is of another kind.

    Example:

    ```python
    keras_chex.benchmark("resnet20.tflite").median_ms
    ```
    """
    return compare_latency(
        [path_or_model], threads, batch_size, runs, warmup
    ).results[0]


def compare_latency(
    paths_or_models, threads=1, batch_size=1, runs=100, warmup=10
):
    """Times several files in turns, so that their ratios mean something.

    A machine's speed drifts by more than what two networks differ by. Blocks
    of ten inferences alternate between the files, forwards and backwards.

    Args:
        paths_or_models: list of what `benchmark` takes.
        threads: int, threads of each interpreter.
        batch_size: int, examples per inference.
        runs: int, timed inferences of each file.
        warmup: int, inferences of each file before them.

    Returns:
        A `Comparison`.

    Raises:
        TypeError: If an entry is neither a path nor a model.
        ValueError: If the list is empty, a number is not a positive integer,
            or a file does not exist or is of another kind.

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
    for argument, value in (
        ("threads", threads),
        ("batch_size", batch_size),
        ("runs", runs),
        ("warmup", warmup),
    ):
        _check_positive(argument, value)
    with tempfile.TemporaryDirectory() as folder:
        files = [
            _file_of(entry, pathlib.Path(folder) / f"{i}.tflite")
            for i, entry in enumerate(paths_or_models)
        ]
        invocations = [
            _prepared(path, threads, batch_size) for _, path in files
        ]
        with quiet_stderr():
            seconds = _alternate(invocations, runs, warmup)
        results = tuple(
            Latency(
                name=name,
                median_ms=float(np.median(times)) * 1e3,
                p90_ms=float(np.percentile(times, 90)) * 1e3,
                threads=threads,
                batch_size=batch_size,
                bytes=path.stat().st_size,
                runs=runs,
            )
            for (name, path), times in zip(files, seconds, strict=True)
        )
    return Comparison(results)


def _check_positive(argument, value):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"Argument `{argument}` must be a positive integer. Received: "
            f"{argument}={value!r}"
        )


def _file_of(path_or_model, temporary):
    """Returns a name and the path of a `.tflite` file."""
    if not isinstance(path_or_model, str | os.PathLike):
        export_tflite(path_or_model, temporary)
        return path_or_model.name, temporary
    path = pathlib.Path(path_or_model)
    if path.suffix != ".tflite" or not path.is_file():
        raise ValueError(
            "Argument `path_or_model` must be an existing '.tflite' file or a "
            f"Keras model. Received: {str(path)!r}"
        )
    return path.name, path


def _prepared(path, threads, batch_size):
    """Returns a function that runs the file once on random numbers."""
    interpreter = open_interpreter(path, threads)
    for detail in interpreter.get_input_details():
        sizes = detail["shape_signature"]
        shape = [FREE_SIZE if size < 0 else int(size) for size in sizes]
        if sizes.size and sizes[0] < 0:
            shape[0] = batch_size
        interpreter.resize_tensor_input(detail["index"], shape)
    with quiet_stderr():
        interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = rng.uniform(0.0, 1.0, detail["shape"])
        interpreter.set_tensor(detail["index"], values.astype(detail["dtype"]))
    return interpreter.invoke


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
