"""Fisher information of channels, out of what an optimizer remembers."""

import numpy as np

from keras_chex.graph.keras_nodes import read_variable
from keras_chex.graph.keras_training import (
    ACCUMULATORS,
    AVERAGES,
    optimizers_of,
    slots,
)
from keras_chex.graph.rule import weight_of


def remembers_gradients(graph, optimizer):
    """Tells whether `unit_information` finds any for groups that can shrink.

    Args:
        graph: the `ChannelGraph` of a wrapped model.
        optimizer: a Keras optimizer.
    """
    free = [n for n, group in enumerate(graph.groups) if group.frozen is None]
    return any(
        np.isin(graph.group_of[graph.unit_of[ids]], free).any()
        for op in graph.operations
        if op.rule.is_wrapper
        and any(
            _squared_gradient(optimizer, weight_of(op.inner, name)) is not None
            for name in op.weights
        )
        for ids in op.sides.values()
    )


def unit_information(graph, optimizer):
    """How much the loss depends on every unit.

    The sum of `w^2 * E[g^2]` over all elements `w` of the weights that make,
    normalise and eat a unit: the diagonal of the Fisher information matrix
    stands for the Hessian in what the loss gains, to second order, if `w`
    becomes zero. `E[g^2]` is what Adam and its relatives keep; for an optimizer
    with a momentum its square takes the place, which is the same on average
    up to a factor while noise is most of the gradients. So it costs no pass
    over data.

    Args:
        graph: the `ChannelGraph` of a wrapped model.
        optimizer: a Keras optimizer.

    Returns:
        `{group name: float64 array of shape (size,)}`; 0 for dormant units.
        `None` instead of an array for a group none of whose weights the
        optimizer remembers gradients of.

    Raises:
        ValueError: If that is so for all groups that can lose channels.

    Reference:

    - [Theis et al., 2018](https://arxiv.org/abs/1801.05787), equation 8, for
      the Fisher information of whole channels
    """
    total = np.zeros(len(graph.group_of))
    known = np.zeros(len(graph.group_of), bool)
    for op in graph.operations:
        if not op.rule.is_wrapper:
            continue
        for name, axes in op.weights.items():
            weight = weight_of(op.inner, name)
            squared = _squared_gradient(optimizer, weight)
            if squared is None:
                continue
            elements = np.square(read_variable(weight)) * squared
            for axis, role in axes.items():
                per_channel = role.slices(elements, axis).sum(
                    axis=1, dtype=np.float64
                )
                units = graph.unit_of[op.sides[role.side]]
                total += np.bincount(units, per_channel, minlength=total.size)
                known[units] = True
    found = {
        group.name: _of_group(graph, number, group.size, total, known)
        for number, group in enumerate(graph.groups)
    }
    if all(found[g.name] is None for g in graph.groups if g.frozen is None):
        raise ValueError(
            "Arguments `allocation='fisher'` and `criterion='fisher'` need an "
            "optimizer that remembers gradients of trained layers. Use one "
            "with a momentum or second moments, such as SGD(momentum=0.9) or "
            "Adam, or other values of these arguments. "
            f"Received: optimizer={optimizer!r}"
        )
    return found


def _squared_gradient(optimizer, weight):
    """Second moments of a weight, the square of its momentum, or None."""
    momentum = None
    for owner in optimizers_of(optimizer):
        for name, slot in slots(owner, weight).items():
            if name in (AVERAGES, ACCUMULATORS):
                continue
            value = read_variable(slot).astype(np.float32)
            if value.min() < 0 or not value.any():
                momentum = np.square(value)
            else:
                return value
    return momentum


def _of_group(graph, number, size, values, known):
    members = np.flatnonzero(graph.group_of == number)
    if not known[members].any():
        return None
    return np.bincount(graph.index_of[members], values[members], minlength=size)
