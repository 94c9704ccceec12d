"""Which units of a model stay, and where that is in any list of channels."""

import numpy as np


class Selection:
    """A choice of units for every group.

    Args:
        graph: a `ChannelGraph`.
        kept: `{group name: indices or bool array}`; groups left out keep all
            units. The order of indices is the order the channels get, so a
            permutation reorders a network without changing what it computes.
    """

    def __init__(self, graph, kept):
        self.graph = graph
        units = len(graph.group_of)
        # The unit that comes to stand in the place of each unit, -1 for none.
        self._comes = np.arange(units)
        for number, group in enumerate(graph.groups):
            if group.name not in kept:
                continue
            chosen = np.asarray(kept[group.name])
            if chosen.dtype == bool:
                chosen = np.flatnonzero(chosen)
            members = np.zeros(group.size, int)
            own = np.flatnonzero(graph.group_of == number)
            members[graph.index_of[own]] = own
            self._comes[members] = -1
            self._comes[members[np.sort(chosen)]] = members[chosen]

    def positions(self, ids):
        """Where the channels that stay are in a list of ids, in new order.

        Args:
            ids: int array of channel ids, with repetitions.

        Returns:
            int array of positions in `ids`.
        """
        units = self.graph.unit_of[ids]
        places = np.flatnonzero(self._comes[units] >= 0)
        if np.array_equal(self._comes[units[places]], units[places]):
            return places
        # The k-th appearance of a channel goes where the k-th appearance of
        # the channel it replaces was.
        twins = self._twin(ids[places])
        wanted = _appearances(ids)[places]
        known = {
            key: place
            for place, key in enumerate(
                zip(ids.tolist(), _appearances(ids).tolist(), strict=True)
            )
        }
        pairs = zip(twins.tolist(), wanted.tolist(), strict=True)
        return np.array([known[pair] for pair in pairs], int)

    def _twin(self, ids):
        """The channel of the coming unit with the same role in its unit."""
        order = np.argsort(self.graph.unit_of, kind="stable")
        starts = np.searchsorted(
            self.graph.unit_of[order], np.arange(len(self._comes))
        )
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order))
        units = self.graph.unit_of[ids]
        role = rank[ids] - starts[units]
        return order[starts[self._comes[units]] + role]


def _appearances(ids):
    """Numbers equal entries from 0 in the order they appear.

    >>> _appearances(np.array([5, 7, 5, 5]))
    array([0, 0, 1, 2])
    """
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.searchsorted(ordered, ordered)
    result = np.empty(len(ids), int)
    result[order] = np.arange(len(ids)) - starts
    return result
