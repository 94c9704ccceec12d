"""What an export tells: about the file, and how near it is to the model."""

import dataclasses
import json
import pathlib

import keras

from keras_chex.analysis.summary import summary
from keras_chex.export.conversion import float_operations

SUFFIX = ".json"


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """A file that was written and verified; usable wherever a path is.

    Attributes:
        path: `pathlib.Path` of the file. A JSON file of the same name with
            `.json` appended holds these attributes and more.
        mode: str, `"float32"`, or what `quantize` was.
        bytes: int, size of the file.
        largest_difference: float, largest difference of an output from the
            Keras model's, over all examples.
        relative_difference: float, the same as a share of the largest value
            of that output.
        top1_agreement: float, share of the examples on which file and model
            have the same largest output; `None` unless `representative_data`
            was given and the model has one output of scores per example.
        examples: int, examples compared.
        float_operations: tuple of str, LiteRT's names of what the file
            computes in floating point.
        batch_size: int, the only one that the file takes; `None` if any.
    """

    path: pathlib.Path
    mode: str
    bytes: int
    largest_difference: float
    relative_difference: float
    top1_agreement: float | None
    examples: int
    float_operations: tuple[str, ...]
    batch_size: int | None = None

    def __fspath__(self):
        return str(self.path)

    def __str__(self):
        return str(self.path)

    def describe(self):
        """Says for people what was written, and how near it is to Keras."""
        lines = [
            f"{self.path}: {self.mode}, {self.bytes:,} bytes",
            f"largest difference from Keras: {self.largest_difference:.2g}, "
            f"{self.relative_difference:.2%} of the largest output "
            f"({self.examples} examples)",
        ]
        if self.batch_size is not None:
            lines.append(f"for batches of {self.batch_size} only")
        if self.top1_agreement is not None:
            lines.append(f"same class as Keras: {self.top1_agreement:.2%}")
        return "\n".join(lines)


def report_of(path, mode, content, found, on_real_examples, batch_size=None):
    """Gathers what an export found.

    Args:
        path: `str` or `os.PathLike`, as the user gave it.
        mode: str.
        content: bytes of the file.
        found: `Differences` over all examples.
        on_real_examples: bool, whether a user gave them.
        batch_size: int, the only one that the file takes; `None` if any.

    Returns:
        An `ExportReport`.
    """
    return ExportReport(
        path=pathlib.Path(path),
        mode=mode,
        bytes=len(content),
        largest_difference=found.largest,
        relative_difference=found.relative,
        top1_agreement=found.top1_agreement if on_real_examples else None,
        examples=found.examples,
        float_operations=tuple(float_operations(content)),
        batch_size=batch_size,
    )


def check_metadata(metadata):
    """Checks the entries that a user wants beside the file.

    Raises:
        TypeError: If `metadata` is not a dict.
        ValueError: If JSON cannot hold it, or a key is one of the report's.
    """
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise TypeError(
            "Argument `metadata` must be a dict. Received: "
            f"{metadata!r} of type {type(metadata).__name__}"
        )
    taken = sorted(OWN_ENTRIES & metadata.keys())
    if taken:
        raise ValueError(
            "Argument `metadata` must not have entries that the export writes "
            f"itself. Received: {taken}; choose other names"
        )
    try:
        json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Argument `metadata` must hold what JSON can: numbers, strings, "
            f"lists and dicts of them. Received: {error}"
        ) from error


def metadata_json(report, model, tolerance, metadata=None):
    """The text of the file beside an export.

    Args:
        report: an `ExportReport`.
        model: the model that was exported, plain or wrapped.
        tolerance: float, the largest `relative_difference` allowed.
        metadata: dict of further entries, see `check_metadata`.
    """
    entries = dataclasses.asdict(report)
    entries["file"] = entries.pop("path").name
    entries = {
        **entries,
        "tolerance": tolerance,
        **model_costs(model),
        "versions": _versions(),
        **(metadata or {}),
    }
    return json.dumps(entries, indent=2) + "\n"


def model_costs(model):
    """FLOPs, parameters and channels of a model, now and dense.

    What cannot be told is `None`: costs of a `tf_keras` model or of one that
    only its `call` describes, FLOPs where sizes are open.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> model_costs(model)["flops"], model_costs(model)["params"]
    (8, 10)
    """
    try:
        costs = summary(model)
    except (TypeError, ValueError):
        return {
            "model": model.name,
            **dict.fromkeys(("flops", "dense_flops")),
            "params": model.count_params(),
            **dict.fromkeys(("dense_params", "channels")),
        }
    return {
        "model": model.name,
        "flops": costs.flops,
        "dense_flops": costs.dense_flops,
        "params": costs.params,
        "dense_params": costs.dense_params,
        "channels": {
            group.name: {"active": width, "of": group.size}
            for group, width in zip(costs.groups, costs.widths, strict=True)
        },
    }


def _versions():
    import tensorflow as tf

    import keras_chex

    return {
        "keras_chex": keras_chex.__version__,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
    }


OWN_ENTRIES = {
    *(field.name for field in dataclasses.fields(ExportReport)),
    *("file", "tolerance", "model", "flops", "dense_flops", "params"),
    *("dense_params", "channels", "versions"),
} - {"path"}
