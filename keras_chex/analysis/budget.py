"""A model's cost as a function of the widths of its channel groups."""

import numpy as np

from keras_chex.algorithms.cost import QuadraticCost, channel_count_cost
from keras_chex.analysis.cost import weight_terms

KINDS = ("flops", "params", "sparsity")


def prunable(graph):
    """Numbers of the groups that can lose units."""
    return [i for i, group in enumerate(graph.groups) if not group.frozen]


def width_cost(graph, model, kind, input_shape=None, layers=None):
    """Prices any choice of widths of the prunable groups, exactly.

    Args:
        graph: a `ChannelGraph`.
        model: the model it was read from.
        kind: `"flops"` (multiply-adds of one example), `"params"`
            (parameters) or `"sparsity"` (units of prunable groups).
        input_shape: see `flops`.
        layers: container of names of operations, the part of the model whose
            multiply-adds or parameters count; `None` for all of it.

    Returns:
        `QuadraticCost` over the widths of `prunable(graph)`, in that order.
    """
    chosen = prunable(graph)
    if kind == "sparsity":
        return channel_count_cost([graph.groups[i].size for i in chosen])
    rows = []
    constant = 0
    terms = weight_terms(graph, model, input_shape)
    counts = [layers is None or op.name in layers for op in graph.operations]
    for term in terms:
        if not counts[term.layer]:
            continue
        coefficient = term.rest * (term.uses if kind == "flops" else 1)
        sides = [_linear(graph, chosen, *axis) for axis in term.axes]
        sides += [(np.zeros(len(chosen), int), 1)] * (2 - len(sides))
        if coefficient:
            rows.append((coefficient, *sides[0], *sides[1]))
    if kind == "params":
        counted = {term.layer for term in terms}
        constant = sum(
            op.layer.count_params()
            for index, op in enumerate(graph.operations)
            if counts[index]
            and index not in counted
            and getattr(op.layer, "weights", ())
        )
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return QuadraticCost(*columns, constant=constant)


def linear_channels(graph, chosen, ids):
    """Number of channels as `counts @ widths + constant`.

    Args:
        graph: a `ChannelGraph`.
        chosen: numbers of the groups that have a width; others are whole.
        ids: int array, channel ids.

    Returns:
        `(counts, constant)`: int array of shape `(len(chosen),)`, and an int.
    """
    counts, loose = graph.counts(ids)
    sizes = np.array([group.size for group in graph.groups])
    frozen = np.ones(len(sizes), bool)
    frozen[chosen] = False
    return counts[chosen], loose + int((counts * sizes)[frozen].sum())


def _linear(graph, chosen, role, ids):
    """Length of a weight's axis as `counts @ widths + constant`."""
    counts, constant = linear_channels(graph, chosen, ids)
    return role.width(counts), role.width(constant)
