"""`flops` and `summary`: what a model costs, layer by layer."""

import dataclasses

import numpy as np

from keras_chex.analysis.cost import LayerCost, layer_costs
from keras_chex.graph.channels import read_channels
from keras_chex.graph.groups import ChannelGroup
from keras_chex.graph.keras_nodes import sync_state
from keras_chex.layers.active import read_active


def flops(model, input_shape=None):
    """Counts the multiply-adds of one example, active channels only.

    Convolutions and dense layers are counted, as in the published figures of
    the field; a multiply-add is one FLOP. BatchNorm, activations and bias
    additions are not.

    Args:
        model: a built Keras 3 model: functional, Sequential, or one whose
            own `call` can be read; plain or wrapped.
        input_shape: tuple, shape of one example without the batch axis, or a
            list of them; needed where the model leaves sizes open.

    Returns:
        int.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If it is not built, or sizes are open and `input_shape` is
            None or wrong.

    Example:

    >>> import keras
    >>> flops(keras.Sequential([
    ...     keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3),
    ... ]))
    3888
    """
    return summary(model, input_shape).flops


@dataclasses.dataclass(frozen=True)
class ModelSummary:
    """Costs of a model with its active channels, beside the dense model.

    Attributes:
        name: str.
        layers: tuple of `LayerCost`.
        groups: tuple of `ChannelGroup`.
        widths: tuple of ints, active units of each group.
    """

    name: str
    layers: tuple[LayerCost, ...]
    groups: tuple[ChannelGroup, ...]
    widths: tuple[int, ...]

    @property
    def flops(self):
        """Multiply-adds of one example."""
        return sum(layer.flops for layer in self.layers)

    @property
    def dense_flops(self):
        """Multiply-adds with all channels."""
        return sum(layer.dense_flops for layer in self.layers)

    @property
    def params(self):
        """Number of parameters, BatchNorm statistics included."""
        return sum(layer.params for layer in self.layers)

    @property
    def dense_params(self):
        """Number of parameters with all channels."""
        return sum(layer.dense_params for layer in self.layers)

    @property
    def channels(self):
        """Active units of the groups that can lose some."""
        pairs = zip(self.groups, self.widths, strict=True)
        return sum(width for group, width in pairs if not group.frozen)

    @property
    def dense_channels(self):
        """All units of the groups that can lose some."""
        return sum(group.size for group in self.groups if not group.frozen)

    def __str__(self):
        rows = [("layer", "class", "channels", "params", "FLOPs", "")]
        for layer in self.layers:
            rows.append(
                (
                    layer.name,
                    layer.kind,
                    _pair(layer.channels, layer.dense_channels),
                    _pair(layer.params, layer.dense_params),
                    _pair(layer.flops, layer.dense_flops),
                    f"kept: {layer.note}" if layer.note else "",
                )
            )
        rows.append(
            (
                "total",
                "",
                _pair(self.channels, self.dense_channels),
                _pair(self.params, self.dense_params),
                _pair(self.flops, self.dense_flops),
                f"{share(self.flops, self.dense_flops)} FLOPs, "
                f"{share(self.params, self.dense_params)} parameters",
            )
        )
        return f"Model '{self.name}': active / dense\n" + align(rows)


def summary(model, input_shape=None):
    """Lists channels, parameters and FLOPs of every layer, now and dense.

    Args:
        model: a built Keras 3 model: functional, Sequential, or one whose
            own `call` can be read; plain or wrapped.
        input_shape: see `flops`.

    Returns:
        A `ModelSummary`; `str()` of it is a table.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If it is not built, or sizes are open and `input_shape` is
            None or wrong.

    Example:

    >>> import keras
    >>> model = keras.Sequential([
    ...     keras.Input((4,)), keras.layers.Dense(2, name="logits"),
    ... ], name="tiny")
    >>> print(summary(model))
    Model 'tiny': active / dense
    layer   class  channels  params  FLOPs
    logits  Dense  2         10      8      kept: model output
    total          0         10      8      100.0% FLOPs, 100.0% parameters
    """
    graph = read_channels(model)
    sync_state(model)
    active = read_active(graph)
    units = graph.active_units(active)
    return ModelSummary(
        model.name,
        layer_costs(graph, model, units, input_shape),
        graph.groups,
        tuple(int(np.sum(active[group.name])) for group in graph.groups),
    )


def share(part, whole):
    """A percentage for people.

    >>> share(1, 4)
    '25.0%'
    """
    return f"{100 * part / whole:.1f}%" if whole else "-"


def align(rows):
    """Puts rows of strings into columns; the last one is left ragged."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _pair(now, dense):
    return f"{now:,}" if now == dense else f"{now:,} / {dense:,}"
