"""A network's latency as a function of the widths of its channel groups."""

import numpy as np

from keras_chex.algorithms.latency_cost import LatencyCost, LatencyTerm
from keras_chex.analysis.budget import linear_channels, prunable
from keras_chex.analysis.layer_shapes import DEPTHWISE, shaped_layers
from keras_chex.graph.shapes import call_shapes


def latency_cost(graph, model, table, input_shape=None):
    """Prices any choice of widths of the prunable groups by a latency table.

    Args:
        graph: a `ChannelGraph`.
        model: the model it was read from.
        table: a `LatencyTable` that was measured for this model.
        input_shape: see `flops`.

    Returns:
        `LatencyCost` over the widths of `prunable(graph)`, in that order.

    Raises:
        ValueError: If the table lacks a layer of the model.
    """
    layers = shaped_layers(graph, call_shapes(graph, model, input_shape))
    missing = {
        layer.name: str(layer.shape)
        for layer in layers
        if str(layer.shape) not in table.layers
    }
    if missing:
        first = "; ".join(f"'{n}' ({s})" for n, s in list(missing.items())[:5])
        raise ValueError(
            "Argument `latency_table` must hold all layers of the model. "
            f"Received: a table of {len(table.layers)} layer shapes without "
            f"{len(missing)} layers of '{model.name}', such as {first}. "
            "Measure one for this model and input size with "
            "`keras_chex.measure_latency(model)`."
        )
    chosen = prunable(graph)
    terms = []
    for layer in layers:
        times = table.layers[str(layer.shape)]
        left, left_constant = linear_channels(graph, chosen, layer.inputs)
        right, right_constant = linear_channels(graph, chosen, layer.outputs)
        if layer.shape.kind == DEPTHWISE:
            right = right * layer.shape.multiplier
            right_constant *= layer.shape.multiplier
            left, left_constant = np.zeros_like(left), 1
        terms.append(
            LatencyTerm(
                left,
                left_constant,
                right,
                right_constant,
                times.inputs,
                times.outputs,
                table.scale * np.array(times.nanoseconds),
                times.input_tile,
                times.output_tile,
                times.output_least,
            )
        )
    return LatencyCost(terms, len(chosen), table.constant)
