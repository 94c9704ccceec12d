"""Decides which widths a channel group may have."""

import numpy as np


class WidthGrid:
    """Allowed widths: multiples of `round_to` and the full size.

    Args:
        sizes: int array of shape `(groups,)`, full widths, at least 1.
        min_widths: int or int array of shape `(groups,)`; the lowest allowed
            width is the first multiple of `round_to` from here on, or the
            full size.
        round_to: int, at least 1.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> grid = WidthGrid([20, 6], min_widths=2, round_to=8)
    >>> grid.lowest, grid.at_most([17, 5]), grid.above([8, 6])
    (array([8, 6]), array([16,  6]), array([16,  6]))
    """

    def __init__(self, sizes, min_widths=1, round_to=1):
        self.sizes = _whole_numbers("sizes", sizes)
        if self.sizes.ndim != 1 or (self.sizes < 1).any():
            raise ValueError(
                "Argument `sizes` must be a vector of widths of at least 1. "
                f"Received: sizes={sizes!r}"
            )
        if round_to < 1 or round_to != int(round_to):
            raise ValueError(
                "Argument `round_to` must be a whole number of at least 1. "
                f"Received: round_to={round_to}"
            )
        self.round_to = int(round_to)
        minimum = _whole_numbers("min_widths", min_widths)
        minimum = np.broadcast_to(minimum, self.sizes.shape)
        wrong = np.flatnonzero((minimum < 1) | (minimum > self.sizes))
        if wrong.size:
            group = wrong[0]
            raise ValueError(
                "Argument `min_widths` must lie between 1 and the size of its "
                f"group. Received: {minimum[group]} for group {group} of size "
                f"{self.sizes[group]}"
            )
        self.lowest = np.minimum(self._multiple_from(minimum), self.sizes)

    def at_most(self, widths):
        """Largest allowed widths that do not exceed `widths`, or the lowest."""
        widths = np.floor(np.asarray(widths)).astype(np.int64)
        down = widths // self.round_to * self.round_to
        down = np.where(widths >= self.sizes, self.sizes, down)
        return np.maximum(down, self.lowest)

    def at_least(self, widths):
        """Smallest allowed widths from `widths` on, or the full size."""
        widths = np.ceil(np.asarray(widths)).astype(np.int64)
        up = np.minimum(self._multiple_from(widths), self.sizes)
        return np.maximum(up, self.lowest)

    def nearest(self, widths):
        """Allowed widths nearest to `widths`; half-way goes up."""
        widths = np.asarray(widths)
        down, up = self.at_most(widths), self.at_least(widths)
        return np.where(widths - down < up - widths, down, up)

    def above(self, widths):
        """Next allowed widths above the allowed `widths`, or the full size."""
        return np.minimum(self._multiple_from(np.add(widths, 1)), self.sizes)

    def below(self, widths):
        """Next allowed widths below the allowed `widths`, or the lowest."""
        down = np.subtract(widths, 1) // self.round_to * self.round_to
        return np.maximum(down, self.lowest)

    def _multiple_from(self, widths):
        return -(-np.asarray(widths) // self.round_to) * self.round_to


def _whole_numbers(name, value):
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"Argument `{name}` must hold integers. Received: {value!r}"
        )
    return array.astype(np.int64)
