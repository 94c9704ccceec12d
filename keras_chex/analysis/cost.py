"""What a model costs with some of its channels: multiply-adds, parameters.

Every count is a sum over weights: the elements that are left, for FLOPs times
how often each is used for one example. No model is built to find out.
"""

import dataclasses
import math

import numpy as np

from keras_chex.graph.rule import weight_of
from keras_chex.graph.rules.own import is_multiplied
from keras_chex.graph.shapes import call_shapes

UNCOUNTED = "FLOPs not counted: no channel rule"


@dataclasses.dataclass(frozen=True)
class WeightTerm:
    """One weight of a layer.

    Attributes:
        layer: int, index of the operation in the graph.
        name: str, attribute of the layer.
        rest: int, elements per combination of channels.
        axes: tuple of `(Axis, ids)`, the channel axes and their channels.
        uses: int, multiply-adds per element, one example, all calls.
    """

    layer: int
    name: str
    rest: int
    axes: tuple
    uses: int

    def elements(self, units, unit_of):
        """Number of elements left when `units` (bool array) are active."""
        total = self.rest
        for role, ids in self.axes:
            total *= role.width(int(units[unit_of[ids]].sum()))
        return total


def weight_terms(graph, model, input_shape=None):
    """Lists the weights that carry channels.

    Args:
        graph: a `ChannelGraph`.
        model: the model it was read from.
        input_shape: see `flops`.

    Returns:
        List of `WeightTerm`.
    """
    shapes = call_shapes(graph, model, input_shape)
    terms = []
    for index, op in enumerate(graph.operations):
        uses = {}
        for before, after in shapes[id(op.layer)] if op.weights else ():
            counts = op.inner_rule.uses(op.inner, before, after)
            for name, count in counts.items():
                # An example may have become several.
                count *= before[0] or 1
                uses[name] = uses.get(name, 0) + count
        for name, axes in op.weights.items():
            shape = weight_of(op.inner, name).shape
            rest = math.prod(n for i, n in enumerate(shape) if i not in axes)
            parts = tuple((role, op.sides[role.side]) for role in axes.values())
            terms.append(
                WeightTerm(index, name, rest, parts, uses.get(name, 0))
            )
    return terms


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """Channels, parameters and FLOPs of one layer, now and dense.

    Attributes:
        name: str.
        kind: str, class of the layer.
        channels: int, output channels that are active.
        dense_channels: int.
        params: int.
        dense_params: int.
        flops: int, multiply-adds of one example.
        dense_flops: int.
        note: str, why the layer stays whole, or that it was not counted.
    """

    name: str
    kind: str
    channels: int
    dense_channels: int
    params: int
    dense_params: int
    flops: int
    dense_flops: int
    note: str = ""


def layer_costs(graph, model, units, input_shape=None):
    """Costs of all layers with weights.

    Args:
        graph: a `ChannelGraph`.
        model: the model it was read from.
        units: bool array, the active units.
        input_shape: see `flops`.

    Returns:
        Tuple of `LayerCost`.
    """
    everything = np.ones(len(units), bool)
    by_layer = {}
    for term in weight_terms(graph, model, input_shape):
        by_layer.setdefault(term.layer, []).append(term)
    costs = []
    for index, op in enumerate(graph.operations):
        if index in by_layer:
            costs.append(_cost(graph, op, by_layer[index], units, everything))
        elif getattr(op.layer, "weights", ()):
            count = op.layer.count_params()
            kind = type(op.layer).__name__
            costs.append(
                LayerCost(op.name, kind, 0, 0, count, count, 0, 0, UNCOUNTED)
            )
    return tuple(costs)


def _cost(graph, op, terms, units, everything):
    def total(mask, by_use):
        return sum(
            term.elements(mask, graph.unit_of) * (term.uses if by_use else 1)
            for term in terms
        )

    ids = op.sides.get("out", op.sides.get("in"))
    unit = graph.unit_of[ids]
    groups = {graph.groups[g] for g in graph.group_of[unit] if g >= 0}
    reasons = dict.fromkeys(g.frozen for g in groups if g.frozen)
    if op.inner_rule.only_consumes(op.inner) or is_multiplied(graph, op):
        reasons[UNCOUNTED] = None
    return LayerCost(
        name=op.name,
        kind=type(op.inner).__name__,
        channels=int(units[unit].sum()),
        dense_channels=len(ids),
        params=total(units, False),
        dense_params=total(everything, False),
        flops=total(units, True),
        dense_flops=total(everything, True),
        note="; ".join(reasons),
    )
