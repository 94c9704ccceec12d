"""Chooses a sub-model with the same share of every group."""

import numpy as np

import keras_chex
from keras_chex.analysis.budget import prunable, width_cost
from keras_chex.callbacks.budget import make_budget
from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model


def uniform_submodel(model, flops, round_to=1, seed=0):
    """Finds the largest uniform sub-model that keeps a share of the FLOPs.

    Args:
        model: a wrapped model with all channels active.
        flops: float, share of its FLOPs that may be kept.
        round_to: int, widths are multiples of this, or whole groups.
        seed: int, decides which channels stay.

    Returns:
        Dict from the name of every prunable group to indices, as
        `keras_chex.set_active` takes it. The model is left as it was.
    """
    groups = [g for g in keras_chex.channel_groups(model) if not g.frozen]
    everything = {g.name: np.arange(g.size) for g in groups}
    limit = flops * keras_chex.flops(model)
    rng = np.random.default_rng(seed)
    orders = {g.name: rng.permutation(g.size) for g in groups}

    def submodel(share):
        return {
            g.name: np.sort(orders[g.name][: _width(g.size, share, round_to)])
            for g in groups
        }

    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        keras_chex.set_active(model, submodel(middle))
        if keras_chex.flops(model) <= limit:
            low = middle
        else:
            high = middle
    keras_chex.set_active(model, everything)
    return submodel(low)


def _width(size, share, round_to):
    return int(min(size, max(1, round(share * size / round_to)) * round_to))


def multiple_of(text):
    """Reads a `round_to` on the command line.

    >>> multiple_of("8"), multiple_of("auto")
    (8, 'auto')
    """
    return text if text == "auto" else int(text)


def budget_submodel(model, kind, value, round_to=1, latency_table=None):
    """Cuts a model to a budget, with widths as equal as the budget allows.

    Args:
        model: a plain model.
        kind: `"flops"` or `"latency"`.
        value: float, share that is kept.
        round_to: see `ChexScheduler`.
        latency_table: `LatencyTable` for a latency.

    Returns:
        `(narrow model, share)`: a plain model, and the share of the cost that
        it has.
    """
    graph = read_channels(model)
    budget = make_budget(
        graph,
        model,
        kind,
        value,
        round_to=round_to,
        latency_table=latency_table,
    )
    widths = budget.uniform_widths()
    return _narrow(model, graph, widths), budget.cost(widths) / budget.dense


def scaled_submodel(model, flops, multiple=8):
    """Multiplies all widths by one factor, as a narrower network is designed.

    Args:
        model: a plain model.
        flops: float, share of the FLOPs to come nearest to.
        multiple: int, every width is a multiple of this.

    Returns:
        `(narrow model, share)` as `budget_submodel` does.
    """
    graph = read_channels(model)
    cost = width_cost(graph, model, "flops")
    sizes = np.array([graph.groups[i].size for i in prunable(graph)])
    dense = cost(sizes)
    choices = [
        [_width(size, factor, multiple) for size in sizes]
        for factor in np.linspace(0.05, 1, 381)
    ]
    widths = min(choices, key=lambda w: abs(cost(w) / dense - flops))
    return _narrow(model, graph, np.array(widths)), cost(widths) / dense


def _narrow(model, graph, widths):
    kept = {
        graph.groups[i].name: np.arange(width)
        for i, width in zip(prunable(graph), widths, strict=True)
    }
    return narrow_model(model, Selection(graph, kept))
