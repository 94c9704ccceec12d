"""How much of a real model can be pruned: channels, FLOPs, what is hidden."""

import keras
import numpy as np

import keras_chex
from keras_chex.analysis.cost import weight_terms
from keras_chex.graph.keras_nodes import all_layers

# Layers that make channels.
MAKERS = (
    keras.layers.Dense,
    *(
        getattr(keras.layers, name)
        for name in ("Conv1D", "Conv2D", "Conv3D", "SeparableConv1D")
    ),
    keras.layers.SeparableConv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


def prunable_channels(graph, model):
    """Share of the channels that convolutions and dense layers make.

    Those of layers whose channels are outputs of the model do not count.
    Layers that the graph hides count as whole.
    """
    free = _free_units(graph)
    total = sum(
        getattr(layer, "units", getattr(layer, "filters", 0))
        for layer in all_layers(model)
        if isinstance(layer, MAKERS)
    )
    prunable = 0
    for op in graph.operations:
        if not isinstance(op.inner, MAKERS) or not op.sides:
            continue
        units = graph.unit_of[op.sides.get("out", op.sides["in"])]
        groups = {graph.groups[g] for g in graph.group_of[units] if g >= 0}
        if groups and all(g.frozen == "model output" for g in groups):
            total -= len(units)
        prunable += int(free[units].sum())
    return prunable / max(total, 1)


def prunable_flops(graph, model):
    """Share of the FLOPs that a channel of an unfrozen group takes part in.

    It is what would go if all of these channels went. FLOPs of layers without
    a rule are not known; see `uncounted_params`.
    """
    free = _free_units(graph)
    everything = np.ones(len(free), bool)
    total = rest = 0
    for term in weight_terms(graph, model):
        total += term.uses * term.elements(everything, graph.unit_of)
        rest += term.uses * term.elements(~free, graph.unit_of)
    return 1 - rest / max(total, 1)


def uncounted_params(model):
    """Share of the parameters whose FLOPs are not known."""
    layers = keras_chex.summary(model).layers
    hidden = sum(x.params for x in layers if x.note.startswith("FLOPs not"))
    return hidden / max(model.count_params(), 1)


def _free_units(graph):
    """Bool array over all units: those of unfrozen groups."""
    none = {
        g.name: np.zeros(g.size, bool) for g in graph.groups if not g.frozen
    }
    return ~graph.active_units(none)
