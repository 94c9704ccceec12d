"""Decides how wide residual streams stay while other groups narrow."""

import numpy as np

from keras_chex.algorithms.allocation import largest_share
from keras_chex.algorithms.grid import WidthGrid


def stream_bounds(sizes, cost, limit, is_stream, streams, **bounds):
    """Lowest widths that keep residual streams wider than what is inside.

    If all other groups get the share `s` of their width, streams get
    `s ** streams`; `s` is what the limit pays for then. With `streams=1` all
    shares are the same, with 0 streams stay whole as long as the limit pays
    for that, and the other groups' lowest widths.

    Args:
        sizes: int array of shape `(groups,)`.
        cost: `QuadraticCost` or `LatencyCost`.
        limit: number, at least the cost of the lowest widths.
        is_stream: bool array of shape `(groups,)`.
        streams: float in [0, 1].
        **bounds: `min_widths`, `round_to` and `max_widths` of `WidthGrid`.

    Returns:
        Int array of shape `(groups,)`: the lowest widths, raised for streams.

    Example:

    >>> from keras_chex.algorithms.cost import channel_count_cost
    >>> cost = channel_count_cost([16, 16])
    >>> is_stream = np.array([True, False])
    >>> stream_bounds([16, 16], cost, 20, is_stream, 0.0)
    array([16,  1])
    >>> stream_bounds([16, 16], cost, 12, is_stream, 0.5)
    array([8, 1])
    """
    grid = WidthGrid(sizes, **bounds)
    is_stream = np.asarray(is_stream, bool)

    def widths(share, share_of_streams):
        shares = np.where(is_stream, share_of_streams, share)
        return np.clip(shares * grid.sizes, grid.lowest, grid.highest)

    def following(share):
        return widths(share, share**streams)

    def alone(share):
        return widths(0.0, share)

    pays = cost.evaluate(following(0.0)) <= limit
    chosen = following if pays else alone
    wide = chosen(largest_share(chosen, cost, limit))
    raised = np.maximum(grid.at_most(wide), grid.lowest)
    return np.where(is_stream, raised, grid.lowest)
