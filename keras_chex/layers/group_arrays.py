"""Reads from a wrapped model what an exploration step decides on."""

import numpy as np

from keras_chex.algorithms.group import GroupArrays
from keras_chex.algorithms.threads import map_in_threads
from keras_chex.graph.keras_nodes import read_variable
from keras_chex.graph.rule import weight_of
from keras_chex.layers.chex_wrapper import element_mask
from keras_chex.layers.fisher import unit_information


class NotFiniteError(ValueError):
    """Training has diverged: no channel can be chosen by its weights."""


def read_groups(graph, active, bounds, optimizer=None, consumers=False):
    """Collects the matrices and scales of channel groups.

    Args:
        graph: the `ChannelGraph` of a wrapped model.
        active: `{group name: bool array}`.
        bounds: `{group name: (lowest width, highest width)}`; the groups that
            are read.
        optimizer: a Keras optimizer, to read the Fisher information of units
            from; `None` to leave it out.
        consumers: bool, read what eats the units as matrices too.

    Returns:
        List of `GroupArrays` in the order of the graph.

    Raises:
        ValueError: If a weight is not finite, or the optimizer remembers no
            gradients.
    """
    fisher = unit_information(graph, optimizer) if optimizer else {}
    operations = {op.name: op for op in graph.operations}
    weights = _Weights(graph)
    groups = [group for group in graph.groups if group.name in bounds]

    def read(group):
        producers = [operations[name] for name in group.producers]
        scale, kind = _scale(graph, group, operations, weights)
        return GroupArrays(
            group.name,
            _stacked([weights.made(graph, group, op) for op in producers]),
            scale,
            active[group.name],
            *bounds[group.name],
            kind,
            fisher.get(group.name),
            _consumed(graph, group, operations, weights) if consumers else None,
            len({*group.producers, *group.consumers}),
        )

    return map_in_threads(read, groups, weights=[g.size for g in groups])


def _stacked(matrices):
    return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)


class _Weights:
    """Reads weights once: live elements, remembered where dormant."""

    def __init__(self, graph):
        self._graph = graph
        self._values = {}

    def value(self, op, name):
        """A weight of a wrapped layer with every channel at its best known."""
        key = op.name, name
        if key not in self._values:
            layer = op.layer
            sides = layer.masks()
            weight = weight_of(layer.layer, name)
            live = read_variable(weight)
            if not all(mask.all() for mask in sides.values()):
                mask = element_mask(op.weights[name], weight.shape, sides)
                kept = layer.remembered(name)
                live = np.where(mask, live, kept)
            if not np.isfinite(live).all():
                raise NotFiniteError(
                    f"Weight `{name}` of layer '{op.name}' is not finite. "
                    "Training has diverged, and no channel can be chosen by "
                    "such values. Lower the learning rate, or clip gradients."
                )
            self._values[key] = np.asarray(live, np.float32)
        return self._values[key]

    def made(self, graph, group, op):
        """A producer's kernel as a matrix, one column per unit, norm one.

        Only rows of active input channels count: the others are no part of
        the network at present.
        """
        name, axes = main_weight(op)
        value, active = self.value(op, name), op.layer.masks()
        out = next(axis for axis, role in axes.items() if role.side == "out")
        for axis, role in axes.items():
            mask = active[role.side]
            if role.side == "in" and not mask.all():
                places = role.positions(np.flatnonzero(mask))
                value = np.take(value, places, axis=axis)
        matrix = np.moveaxis(value, out, -1).reshape(-1, value.shape[out])
        squares = np.einsum("ij,ij->j", matrix, matrix, dtype=np.float64)
        norm = max(np.sqrt(squares[active["out"]].sum()), 1e-12)
        places = graph.producer_channels(group, op.name)
        parts = [np.take(matrix, column, axis=1) for column in places.T]
        return np.divide(_stacked(parts), np.float32(norm))

    def slices(self, op):
        """What a consumer's kernels do with each of its input channels.

        Only active outputs count: the others are no part of the network at
        present.

        Returns:
            Float array of shape `(input channels, elements of a slice)`.
        """
        return np.concatenate(
            [
                self._slices(op, name, axis, role)
                for name, axes in op.weights.items()
                for axis, role in axes.items()
                if role.side == "in"
            ],
            axis=1,
        )

    def _slices(self, op, name, axis, role):
        """As `slices`, of one weight."""
        value, masks = self.value(op, name), op.layer.masks()
        if "out" in masks and not masks["out"].all():
            sides = {**masks, "in": np.ones_like(masks["in"])}
            value = value * element_mask(op.weights[name], value.shape, sides)
        return role.slices(value, axis)


def main_weight(op):
    """The kernel of a producer: `(attribute, {axis: Axis})`."""
    for name, axes in op.weights.items():
        rank = len(weight_of(op.inner, name).shape)
        if rank > 1 and any(role.side == "out" for role in axes.values()):
            return name, axes
    raise ValueError(f"Layer '{op.name}' has no kernel that makes its channels")


def _scale(graph, group, operations, weights):
    """What stands for equation 4's gamma, one value per unit.

    The scales of all normalisation layers that follow, combined by L2. Where
    there are none: norm of what makes a unit times norm of what eats it, which
    does not change when a factor moves from one to the other.

    Returns:
        `(scale, kind)`: the kind is `"gamma"` or `"norm"`.
    """
    total = np.zeros(group.size)
    for name in group.followers:
        op = operations[name]
        if not op.rule.is_wrapper:
            continue
        for axis, role in op.weights.get("gamma", {}).items():
            if role.side == "in":
                # A layer of the user's may hold it as (1, 1, 1, channels).
                gamma = role.slices(weights.value(op, "gamma"), axis)
                gamma = np.square(gamma).sum(axis=1)
                total += _per_unit(graph, group, op, gamma)
    if total.any():
        return np.sqrt(total), "gamma"
    made = sum(
        np.square(weights.made(graph, group, operations[name])).sum(axis=0)
        for name in group.producers
    )
    eaten = sum(
        _per_unit(graph, group, op, np.square(weights.slices(op)).sum(axis=1))
        for op in _eaters(group, operations)
    )
    return np.sqrt(made * eaten) if np.any(eaten) else np.sqrt(made), "norm"


def _eaters(group, operations):
    """The wrapped consumers of a group."""
    consumers = (operations[name] for name in group.consumers)
    return [op for op in consumers if op.rule.is_wrapper]


def _consumed(graph, group, operations, weights):
    """The slices of all consumers, one column per unit; None without any.

    Those of one consumer have the norm one together, so that none outweighs
    the others.
    """
    matrices = []
    for op in _eaters(group, operations):
        slices = weights.slices(op)
        channels, units = _mine(graph, group, op)
        # A unit that reaches a layer several times has as many slices there.
        times = np.bincount(units, minlength=group.size).max(initial=0)
        order = np.argsort(units, kind="stable")
        units, channels = units[order], channels[order]
        turn = np.arange(len(units)) - np.searchsorted(units, units)
        matrix = np.zeros((times, group.size, slices.shape[1]), np.float32)
        matrix[turn, units] = slices[channels]
        norm = max(np.linalg.norm(matrix), 1e-12)
        matrices.append(
            np.moveaxis(matrix, 1, 2).reshape(-1, group.size) / norm
        )
    return _stacked(matrices) if matrices else None


def _mine(graph, group, op):
    """Input channels of a layer that are of a group, and their units."""
    units = graph.unit_of[op.sides["in"]]
    mine = graph.group_of[units] == graph.groups.index(group)
    return np.flatnonzero(mine), graph.index_of[units[mine]]


def _per_unit(graph, group, op, values):
    """Sums a value per input channel of a layer over each unit."""
    channels, units = _mine(graph, group, op)
    return np.bincount(units, values[channels], minlength=group.size)
