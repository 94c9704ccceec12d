"""The latency table of a network on a device, and its JSON file."""

import dataclasses
import json
import math
import pathlib

from keras_chex.analysis.budget import prunable
from keras_chex.analysis.latency import latency_cost
from keras_chex.export.staging import staged_file, write_staged
from keras_chex.graph.channels import read_channels
from keras_chex.layers.active import read_active

FORMAT = "keras_chex latency table"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class LayerTimes:
    """Time of one layer shape at some numbers of channels.

    Attributes:
        inputs: tuple of ints, rising numbers of input channels; `(1,)` for a
            depthwise layer, whose time depends on its outputs alone.
        outputs: tuple of ints, rising numbers of output channels.
        nanoseconds: tuple with a tuple of numbers, one per entry of `outputs`,
            for every entry of `inputs`.
        input_tile: int, the kernel rounds input channels up to multiples.
        output_tile: int, the same for output channels.
        output_least: int, output channels up to it take as long as so many:
            half a tile, where there is a smaller kernel for narrow layers.

    Raises:
        ValueError: If a field is of another kind.
    """

    inputs: tuple
    outputs: tuple
    nanoseconds: tuple
    input_tile: int = 1
    output_tile: int = 1
    output_least: int = 1

    def __post_init__(self):
        for name in ("inputs", "outputs"):
            counts = tuple(getattr(self, name))
            rising = all(
                a < b for a, b in zip(counts, counts[1:], strict=False)
            )
            if not counts or not rising or not all(map(_is_whole, counts)):
                raise ValueError(f"`{name}` must hold rising whole numbers")
            object.__setattr__(self, name, counts)
        rows = tuple(tuple(row) for row in self.nanoseconds)
        shape = {len(row) for row in rows}
        if len(rows) != len(self.inputs) or shape != {len(self.outputs)}:
            raise ValueError(
                "`nanoseconds` must have one row per entry of `inputs` and one "
                "column per entry of `outputs`"
            )
        if not all(_is_number(t) and t >= 0 for row in rows for t in row):
            raise ValueError("`nanoseconds` must hold numbers of at least 0")
        object.__setattr__(self, "nanoseconds", rows)
        for name in ("input_tile", "output_tile", "output_least"):
            if not _is_whole(getattr(self, name)):
                raise ValueError(f"`{name}` must be a whole number above 0")


@dataclasses.dataclass(frozen=True)
class LatencyTable:
    """How long the layers of a network take on one device, at any width.

    `measure_latency` makes one on the machine at hand. A table from another
    device is loaded from its file.

    Attributes:
        device: str, the processor.
        threads: int, threads of the interpreter.
        runtime: str, what ran the layers, and its version.
        layers: `{layer shape: LayerTimes}`; see `docs/latency.md` for the
            text that names a shape.
        scale: float, what the layers take inside the network, as a multiple
            of what they take alone.
        constant: int, nanoseconds of all else at any width; below 0 where the
            scale makes up for more than there is.

    Raises:
        ValueError: If a field is of another kind.

    Example:

    ```python
    table = keras_chex.measure_latency(model)
    table.save("phone.json")
    keras_chex.LatencyTable.load("phone.json").predict(model)
    ```
    """

    device: str
    threads: int
    runtime: str
    layers: dict
    scale: float = 1.0
    constant: int = 0

    def __post_init__(self):
        rules = (
            ("device", isinstance(self.device, str), "a string"),
            ("threads", _is_whole(self.threads), "a whole number above 0"),
            ("runtime", isinstance(self.runtime, str), "a string"),
            (
                "scale",
                _is_number(self.scale) and self.scale > 0,
                "a number above 0",
            ),
            (
                "constant",
                isinstance(self.constant, int)
                and not isinstance(self.constant, bool),
                "a whole number",
            ),
            (
                "layers",
                isinstance(self.layers, dict)
                and all(isinstance(k, str) for k in self.layers)
                and all(
                    isinstance(v, LayerTimes) for v in self.layers.values()
                ),
                "a dict from layer shapes to `LayerTimes`",
            ),
        )
        for name, fits, rule in rules:
            if not fits:
                raise ValueError(
                    f"Argument `{name}` must be {rule}. Received: "
                    f"{name}={getattr(self, name)!r}"
                )

    def where(self):
        """What the times belong to.

        >>> LatencyTable("Cortex-A78", 2, "LiteRT 2.1", {}).where()
        'Cortex-A78, 2 threads, LiteRT 2.1'
        """
        threads = "thread" if self.threads == 1 else "threads"
        return f"{self.device}, {self.threads} {threads}, {self.runtime}"

    def predict(self, model, input_shape=None):
        """Latency of a network with its active channels, in milliseconds.

        Args:
            model: the model that the table was measured for: plain, or wrapped
                with any channels active.
            input_shape: shape of one example, for a model that takes any size.

        Raises:
            ValueError: If the table lacks a layer of the model.
        """
        graph = read_channels(model)
        cost = latency_cost(graph, model, self, input_shape)
        active = read_active(graph)
        groups = [graph.groups[i] for i in prunable(graph)]
        return cost([int(active[g.name].sum()) for g in groups]) / 1e6

    def save(self, path):
        """Writes the table as JSON.

        Args:
            path: `str` or `os.PathLike` ending with `.json`. A file there is
                replaced at once or not at all.

        Raises:
            TypeError: If `path` is not a path.
            ValueError: If `path` cannot be written.
        """
        content = {"format": FORMAT, "version": VERSION, "unit": "ns"}
        content |= dataclasses.asdict(self)
        text = json.dumps(content, indent=1)
        with staged_file(path, ".json") as staged:
            write_staged(staged, (text + "\n").encode())

    @classmethod
    def load(cls, path):
        """Reads a table that `save` wrote, here or on another device.

        Args:
            path: `str` or `os.PathLike` of the JSON file.

        Raises:
            ValueError: If the file does not exist or holds no sound table.
        """
        path = pathlib.Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls._from(content)
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
        ) as error:
            raise ValueError(
                "Argument `path` must be a JSON file that `LatencyTable.save` "
                f"wrote. Received: path={str(path)!r}, which cannot be read: "
                f"{type(error).__name__}: {error}"
            ) from error

    @classmethod
    def _from(cls, content):
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f'"format" must be "{FORMAT}"')
        if content["version"] != VERSION or content["unit"] != "ns":
            raise ValueError(f'"version" must be {VERSION}, and "unit" "ns"')
        names = {field.name for field in dataclasses.fields(cls)}
        fields = {name: content[name] for name in names - {"layers"}}
        layers = {
            shape: LayerTimes(**times)
            for shape, times in content["layers"].items()
        }
        return cls(layers=layers, **fields)


def _is_whole(value):
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and value > 0


def _is_number(value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)
