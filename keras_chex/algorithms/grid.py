"""Decides which widths a channel group may have."""

import numpy as np

# The widest kernel tile of common processors; see docs/latency.md.
LARGEST_MULTIPLE = 16
# What allocation is left with, at least, where multiples are chosen by size.
LEAST_STEPS = 16


def multiples_for(sizes):
    """The multiples that `round_to="auto"` stands for.

    Widths that kernels compute in whole tiles run faster, but a narrow group
    has too few of them. So a group gets the largest power of two that divides
    its size, is at most 16, and leaves 16 widths or more.

    Args:
        sizes: int array of shape `(groups,)`.

    Returns:
        Int array of shape `(groups,)`.

    Example:

    >>> multiples_for([16, 32, 64, 96, 100, 256, 2048])
    array([ 1,  2,  4,  4,  4, 16, 16])
    """
    sizes = np.asarray(sizes)
    multiples = np.ones_like(sizes)
    while True:
        twice = 2 * multiples
        fits = (sizes % twice == 0) & (twice * LEAST_STEPS <= sizes)
        fits &= twice <= LARGEST_MULTIPLE
        if not fits.any():
            return multiples
        multiples = np.where(fits, twice, multiples)


class WidthGrid:
    """Allowed widths: multiples of `round_to`.

    A group that has none between its bounds keeps one width: the lowest that
    it may have, or its full size.

    Args:
        sizes: int array of shape `(groups,)`, full widths, at least 1.
        min_widths: int or int array of shape `(groups,)`; the lowest allowed
            width is the first multiple of `round_to` from here on.
        round_to: int or int array of shape `(groups,)`, at least 1.
        max_widths: int or int array of shape `(groups,)`, at least
            `min_widths`; `None` for the full sizes.

    Attributes:
        round_to: int array of shape `(groups,)`.
        lowest, highest: int arrays, the bounds of the allowed widths.
        exact: bool array, the groups whose widths are multiples of `round_to`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> grid = WidthGrid([20, 6], min_widths=2, round_to=8)
    >>> grid.lowest, grid.at_most([17, 5]), grid.above([8, 6])
    (array([8, 6]), array([16,  6]), array([16,  6]))
    >>> grid.highest, grid.exact
    (array([16,  6]), array([ True, False]))
    """

    def __init__(self, sizes, min_widths=1, round_to=1, max_widths=None):
        self.sizes = _whole_numbers("sizes", sizes)
        if self.sizes.ndim != 1 or (self.sizes < 1).any():
            raise ValueError(
                "Argument `sizes` must be a vector of widths of at least 1. "
                f"Received: sizes={sizes!r}"
            )
        multiples = np.asarray(round_to)
        if (multiples < 1).any() or (multiples != np.floor(multiples)).any():
            raise ValueError(
                "Argument `round_to` must be a whole number of at least 1. "
                f"Received: round_to={round_to}"
            )
        self.round_to = np.broadcast_to(multiples, self.sizes.shape).astype(int)
        minimum = self._bounds("min_widths", min_widths, 1)
        maximum = self.sizes
        if max_widths is not None:
            maximum = self._bounds("max_widths", max_widths, minimum)
        low = self._multiple_from(minimum)
        high = maximum // self.round_to * self.round_to
        self.exact = low <= high
        # Without a multiple in between, a group cannot become narrower.
        self.lowest = np.where(self.exact, low, maximum)
        self.highest = np.where(self.exact, high, maximum)

    def _bounds(self, name, widths, lowest):
        bounds = np.broadcast_to(_whole_numbers(name, widths), self.sizes.shape)
        wrong = np.flatnonzero((bounds < lowest) | (bounds > self.sizes))
        if wrong.size:
            group = wrong[0]
            least = np.broadcast_to(lowest, self.sizes.shape)[group]
            raise ValueError(
                f"Argument `{name}` must lie between {least} and the size of "
                f"its group. Received: {bounds[group]} for group {group} of "
                f"size {self.sizes[group]}"
            )
        return bounds

    def at_most(self, widths):
        """Largest allowed widths that do not exceed `widths`, or the lowest."""
        widths = np.floor(np.asarray(widths)).astype(np.int64)
        down = widths // self.round_to * self.round_to
        return np.clip(down, self.lowest, self.highest)

    def at_least(self, widths):
        """Smallest allowed widths from `widths` on, or the highest."""
        widths = np.ceil(np.asarray(widths)).astype(np.int64)
        up = self._multiple_from(widths)
        return np.clip(up, self.lowest, self.highest)

    def nearest(self, widths):
        """Allowed widths nearest to `widths`; half-way goes up."""
        widths = np.asarray(widths)
        down, up = self.at_most(widths), self.at_least(widths)
        return np.where(widths - down < up - widths, down, up)

    def above(self, widths):
        """Next allowed widths above the allowed `widths`, or the highest."""
        return np.minimum(self._multiple_from(np.add(widths, 1)), self.highest)

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
