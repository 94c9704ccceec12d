"""Prices a choice of widths by time, from tables measured layer by layer.

Kernels compute channels in tiles: a convolution of 33 output channels may take
as long as one of 48. So a layer's time is no smooth function of its widths. It
is read from a table at widths rounded up to whole tiles.
"""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class LatencyTerm:
    """Time of one layer over its input and output channels.

    Between the knots of the table times are joined by straight lines, below
    the first knot they go on towards zero channels, and above the last they
    stay. Times never fall as a width grows: where a table says so, which
    is noise, the largest time before counts.

    Attributes:
        left: int array of shape `(groups,)`, input channels per unit of each
            group.
        left_constant: int, input channels that always stay.
        right: int array of shape `(groups,)`, the same for output channels.
        right_constant: int.
        left_knots: int array of shape `(n,)`, rising numbers of input channels;
            a single one if the time does not depend on them.
        right_knots: int array of shape `(m,)`, the same for output channels.
        times: array of shape `(n, m)`, nanoseconds.
        left_tile: int, input channels are rounded up to multiples of it.
        right_tile: int, the same for output channels.
        right_least: int, output channels up to it count as so many, though
            they are no whole tile; 1 for whole tiles only.

    Raises:
        ValueError: If shapes differ, knots do not rise, or a time is negative.
    """

    left: np.ndarray
    left_constant: int
    right: np.ndarray
    right_constant: int
    left_knots: np.ndarray
    right_knots: np.ndarray
    times: np.ndarray
    left_tile: int = 1
    right_tile: int = 1
    right_least: int = 1

    def __post_init__(self):
        times = np.asarray(self.times, dtype=np.float64)
        knots = [
            np.asarray(k, float) for k in (self.left_knots, self.right_knots)
        ]
        for name, values in zip(
            ("left_knots", "right_knots"), knots, strict=True
        ):
            if (
                values.ndim != 1
                or not values.size
                or (np.diff(values) <= 0).any()
            ):
                raise ValueError(
                    f"Argument `{name}` must hold rising numbers of channels. "
                    f"Received: {values.tolist()}"
                )
        shape = tuple(values.size for values in knots)
        if (
            times.shape != shape
            or not (np.isfinite(times) & (times >= 0)).all()
        ):
            raise ValueError(
                f"Argument `times` must hold numbers of at least 0 in shape "
                f"{shape}. Received: shape {times.shape}, {times.tolist()}"
            )
        right_knots, times = _from_zero(knots[1], _rising(times))
        left_knots, turned = _from_zero(knots[0], _rising(times).T)
        for name, value in (
            ("left", np.asarray(self.left, float)),
            ("right", np.asarray(self.right, float)),
            ("left_knots", left_knots),
            ("right_knots", right_knots),
            ("times", _rising(turned.T)),
        ):
            object.__setattr__(self, name, value)

    @functools.cached_property
    def groups(self):
        """Numbers of the groups that the time depends on."""
        return np.flatnonzero((self.left > 0) | (self.right > 0))

    def channels(self, widths):
        """Input and output channels for each row of `widths`."""
        chosen = np.asarray(widths, float)[..., self.groups]
        return (
            chosen @ self.left[self.groups] + self.left_constant,
            chosen @ self.right[self.groups] + self.right_constant,
        )

    def time(self, inputs, outputs):
        """Whole nanoseconds for arrays of input and output channels."""
        row, down = _place(self.left_knots, inputs, self.left_tile)
        column, across = _place(
            self.right_knots, outputs, self.right_tile, self.right_least
        )
        row, column = np.broadcast_arrays(row, column)
        below = np.minimum(row + 1, self.left_knots.size - 1)
        beside = np.minimum(column + 1, self.right_knots.size - 1)
        first = self.times[row, column] * (1 - across)
        first = first + self.times[row, beside] * across
        second = self.times[below, column] * (1 - across)
        second = second + self.times[below, beside] * across
        return np.round(first * (1 - down) + second * down)


class LatencyCost:
    """Time of a network as a function of the widths of its channel groups.

    The sum of a table of every layer that has one, and a constant. All are
    whole nanoseconds, and no width less makes it longer. It has the methods of
    `QuadraticCost` that `allocate` uses.

    Args:
        terms: list of `LatencyTerm`.
        num_groups: int, number of channel groups.
        constant: int, nanoseconds that no width changes.

    Raises:
        ValueError: If a term is made for another number of groups.

    Example:

    A layer from 3 to `w` channels that computes 8 channels at a time:

    >>> term = LatencyTerm(
    ...     [0], 3, [1], 0, [3], [8, 16], [[1000, 1900]], right_tile=8
    ... )
    >>> cost = LatencyCost([term], num_groups=1, constant=50)
    >>> [cost([width]) for width in (16, 9, 8, 1)]
    [1950, 1950, 1050, 1050]
    """

    def __init__(self, terms, num_groups, constant=0):
        self.terms = tuple(terms)
        self.num_groups = num_groups
        self.constant = int(constant)
        for term in self.terms:
            for side in ("left", "right"):
                shape = getattr(term, side).shape
                if shape != (num_groups,):
                    raise ValueError(
                        f"Argument `terms` must have `{side}` of shape "
                        f"{(num_groups,)}. Received: shape {shape}"
                    )

    def __call__(self, widths):
        """Returns the nanoseconds of integer `widths` as an int."""
        widths = np.asarray(widths)
        if widths.shape != (self.num_groups,):
            raise ValueError(
                "Argument `widths` must hold one width per channel group. "
                f"Received: shape {widths.shape} for {self.num_groups} groups"
            )
        return int(self.evaluate(widths))

    def evaluate(self, widths):
        """Nanoseconds of each row of `widths`, shape `(..., groups)`."""
        widths = np.asarray(widths, dtype=np.float64)
        total = np.full(widths.shape[:-1], float(self.constant))
        for term in self.terms:
            total = total + term.time(*term.channels(widths))
        return total

    def change(self, widths, group, step):
        """Time of adding `step` units to one group."""
        widths = np.asarray(widths, dtype=np.float64)
        after = widths.copy()
        after[group] += step
        return sum(
            float(
                term.time(*term.channels(after))
                - term.time(*term.channels(widths))
            )
            for term in self._by_group[group]
        )

    def changes(self, widths, steps):
        """Time of adding `steps[g]` units to each group `g` on its own."""
        changes = np.zeros(self.num_groups)
        steps = np.broadcast_to(steps, changes.shape)
        for term in self.terms:
            moved = term.groups
            inputs, outputs = term.channels(widths)
            changes[moved] += term.time(
                inputs + term.left[moved] * steps[moved],
                outputs + term.right[moved] * steps[moved],
            ) - term.time(inputs, outputs)
        return changes

    def pair_changes(self, widths, up, down):
        """Time of adding `up[g]` units to one group and `down[h]` to another.

        Returns:
            Float array of shape `(groups, groups)`; the diagonal means nothing.
        """
        changes = self.changes(widths, up)[:, None] + self.changes(widths, down)
        for term in self.terms:
            moved = term.groups
            inputs, outputs = term.channels(widths)
            raised, lowered = [
                (
                    term.left[moved] * step[moved],
                    term.right[moved] * step[moved],
                )
                for step in (up, down)
            ]
            both = term.time(
                inputs + raised[0][:, None] + lowered[0],
                outputs + raised[1][:, None] + lowered[1],
            )
            alone = (
                term.time(inputs + raised[0], outputs + raised[1])[:, None]
                + term.time(inputs + lowered[0], outputs + lowered[1])
                - term.time(inputs, outputs)
            )
            changes[np.ix_(moved, moved)] += both - alone
        return changes

    @functools.cached_property
    def _by_group(self):
        return [
            [term for term in self.terms if group in term.groups]
            for group in range(self.num_groups)
        ]


def _rising(times):
    """The table with no time below one for fewer channels."""
    return np.maximum.accumulate(np.maximum.accumulate(times, 0), 1)


def _from_zero(knots, times):
    """Lets the last axis of a table begin with zero channels.

    >>> _from_zero(np.array([2.0, 4.0]), np.array([[3.0, 5.0]]))
    (array([0., 2., 4.]), array([[1., 3., 5.]]))
    """
    if knots.size == 1 or knots[0] <= 0:
        return knots, times
    rise = (times[:, 1] - times[:, 0]) / (knots[1] - knots[0])
    start = np.maximum(times[:, 0] - rise * knots[0], 0.0)
    return np.append(0.0, knots), np.column_stack([start, times])


def _place(knots, channels, tile, least=1):
    """The knot at or below, and the share of the way to the next."""
    channels = np.asarray(channels, float)
    padded = np.ceil(channels / tile - 1e-9) * tile
    if least > 1:
        padded = np.where(channels <= least, least, padded)
    padded = np.clip(padded, knots[0], knots[-1])
    index = np.searchsorted(knots, padded, side="right") - 1
    above = np.minimum(index + 1, knots.size - 1)
    gap = np.where(above > index, knots[above] - knots[index], 1.0)
    return index, (padded - knots[index]) / gap
