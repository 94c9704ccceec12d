"""Channels as integers: ids, which ids are one, which are kept for good."""

import dataclasses

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components


@dataclasses.dataclass(frozen=True)
class Channels:
    """The channels of a tensor: one id per position along one axis.

    Attributes:
        ids: int array, the channel at every position along `axis`.
        axis: int, counted from 0 with the batch axis included.
        batch: int, where the batch axis is; rules need not know of another
            place than the first, see `Rule.finds_batch`. None in a weight.
    """

    ids: np.ndarray
    axis: int
    batch: int | None = 0


@dataclasses.dataclass(frozen=True)
class Opaque:
    """A tensor whose channels cannot be followed, and why.

    Attributes:
        reason: str, the layer or input that hides them.
    """

    reason: str


class ChannelIds:
    """Hands out channel ids and records what is known about them.

    Attributes:
        count: int, number of ids handed out so far.
    """

    def __init__(self):
        self.count = 0
        self._producers = []
        self._ties = []
        self._frozen = []
        self._added = []

    def new(self, count, producer):
        """Makes `count` ids; `producer` is an operation index or -1."""
        first, self.count = self.count, self.count + count
        self._producers.append((count, producer))
        return np.arange(first, self.count)

    def tie(self, ids, others):
        """States that two equally long id vectors are the same channels."""
        self._ties.append((ids, others))

    def tie_all(self, runs):
        """States that several equally long id vectors are the same channels."""
        for run in runs[1:]:
            self.tie(runs[0], run)

    def add_up(self, ids):
        """States that channels are sums of what several layers make."""
        self._added.append(ids)

    def freeze(self, ids, reason):
        """States that channels must stay, and why."""
        if len(ids):
            self._frozen.append((np.asarray(ids), reason))

    def producers(self):
        """Returns an int array: the operation that made each id."""
        return np.concatenate(
            [np.full(count, op) for count, op in self._producers] or [[]]
        ).astype(int)

    def units(self):
        """Connects tied ids.

        Returns:
            `(unit_of, count)`: int array with the unit of every id, and the
            number of units.
        """
        total = self.count
        if not total:
            return np.zeros(0, int), 0
        rows = np.concatenate([a for a, _ in self._ties] or [[]]).astype(int)
        cols = np.concatenate([b for _, b in self._ties] or [[]]).astype(int)
        same = scipy.sparse.coo_matrix(
            (np.ones(len(rows), bool), (rows, cols)), shape=(total, total)
        )
        count, unit_of = connected_components(same, directed=False)
        return unit_of, count

    def added_units(self, unit_of, count):
        """Says which units are sums: a bool array of shape `(count,)`."""
        added = np.zeros(count, bool)
        for ids in self._added:
            added[unit_of[ids]] = True
        return added

    def frozen_units(self, unit_of, count):
        """Says which units must stay.

        Returns:
            `(reason_of, reasons)`: int array with the number of the reason of
            every unit, -1 for none, and the reasons. The first stated wins.
        """
        reasons = list(dict.fromkeys(reason for _, reason in self._frozen))
        numbers = {reason: number for number, reason in enumerate(reasons)}
        reason_of = np.full(count, -1)
        for ids, reason in reversed(self._frozen):
            reason_of[unit_of[ids]] = numbers[reason]
        return reason_of, reasons
