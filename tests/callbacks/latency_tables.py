"""Latency tables that are made up: a time per multiply-add, and tiles."""

import numpy as np

from keras_chex.analysis.layer_shapes import DEPTHWISE, shaped_layers
from keras_chex.export.latency_table import LatencyTable, LayerTimes
from keras_chex.graph.channels import read_channels
from keras_chex.graph.shapes import call_shapes


def made_up_table(model, tile=4, **fields):
    """A table of all layers of a model, without measuring anything."""
    graph = read_channels(model)
    layers = {
        str(layer.shape): _times(layer.shape, tile)
        for layer in shaped_layers(graph, call_shapes(graph, model))
    }
    fields = {"device": "phone", "threads": 1, "runtime": "LiteRT"} | fields
    return LatencyTable(layers=layers, **fields)


def _times(shape, tile):
    padded = -(-shape.outputs // tile) * tile
    outputs = sorted({tile, padded})
    inputs = [1] if shape.kind == DEPTHWISE else sorted({1, shape.inputs})
    table = 1000 + 100 * np.outer(inputs, outputs)
    return LayerTimes(inputs, outputs, table.tolist(), 1, tile)
