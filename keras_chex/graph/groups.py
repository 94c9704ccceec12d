"""Forms channel groups: units that have the same producers."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ChannelGroup:
    """Channels that have one width together.

    A *unit* is what can be removed: channels that must go together, nearly
    always one of each producer. A group is all units with the same producers.

    Attributes:
        name: str, its first producer.
        size: int, number of units.
        producers: tuple of layer names that make the channels.
        followers: tuple of layers that carry them and hold weights for them.
        consumers: tuple of layers that take them in and make others.
        frozen: None, or why no unit of the group can be removed.
        is_stream: bool, whether it is a residual stream: several layers add
            up in it.
    """

    name: str
    size: int
    producers: tuple[str, ...]
    followers: tuple[str, ...]
    consumers: tuple[str, ...]
    frozen: str | None
    is_stream: bool = False

    def __str__(self):
        state = f"kept: {self.frozen}" if self.frozen else "prunable"
        return (
            f"{self.name}: {self.size} units, {state}; "
            f"producers {', '.join(self.producers)}"
        )


def gather_groups(operations, ids):
    """Sorts units into groups.

    Args:
        operations: sequence of `Operation`, in the order of execution.
        ids: `ChannelIds` of the whole model.

    Returns:
        `(groups, unit_of, group_of, index_of)`, see `ChannelGraph`. Units
        that no layer makes (the channels of a picture) belong to no group.
    """
    unit_of, count = ids.units()
    reason_of, reasons = ids.frozen_units(unit_of, count)
    kinds = _signatures(operations, unit_of, reason_of, len(reasons))
    first = np.zeros(count, int)
    first[unit_of[::-1]] = np.arange(len(unit_of))[::-1]
    made = np.zeros(count, bool)
    made[unit_of[ids.producers() >= 0]] = True
    group_of = np.full(count, -1)
    index_of = np.zeros(count, int)
    members = []
    by_kind = {}
    for unit in np.flatnonzero(made)[np.argsort(first[made], kind="stable")]:
        number = by_kind.setdefault(kinds[unit], len(by_kind))
        if number == len(members):
            members.append([])
        group_of[unit], index_of[unit] = number, len(members[number])
        members[number].append(unit)
    reasons = [*reasons, None]
    why = [reasons[reason_of[units[0]]] for units in members]
    added = ids.added_units(unit_of, count)
    sums = [bool(added[units].all()) for units in members]
    groups = _describe(operations, unit_of, group_of, members, why, sums)
    return groups, unit_of, group_of, index_of


def _signatures(operations, unit_of, reason_of, reasons):
    """One number per unit, equal where units meet the same layers alike."""
    rng = np.random.default_rng(0)
    kinds = np.zeros(len(reason_of), np.uint64)
    for op in operations:
        for ids in op.sides.values():
            number = rng.integers(2**63, dtype=np.uint64)
            np.add.at(kinds, unit_of[ids], number)
    # The last entry, zero, is what index -1 (no reason) finds.
    marks = np.append(rng.integers(2**63, size=reasons, dtype=np.uint64), 0)
    return kinds + marks.astype(np.uint64)[reason_of]


def _describe(operations, unit_of, group_of, members, why, sums):
    names = ("producers", "followers", "consumers")
    roles = [{name: [] for name in names} for _ in members]
    for op in operations:
        for side, ids in op.sides.items():
            if side == "out":
                role = "producers"
            else:
                role = "consumers" if op.ends_channels else "followers"
            for number in np.unique(group_of[unit_of[ids]]):
                if number >= 0:
                    roles[number][role].append(op.name)
    groups, used = [], {}
    for number, units in enumerate(members):
        role = roles[number]
        name = role["producers"][0]
        used[name] = used.get(name, 0) + 1
        if used[name] > 1:
            name = f"{name}#{used[name]}"
        lists = {key: tuple(names) for key, names in role.items()}
        is_stream = sums[number] and len(role["producers"]) > 1
        groups.append(
            ChannelGroup(
                name,
                len(units),
                frozen=why[number],
                is_stream=is_stream,
                **lists,
            )
        )
    return tuple(groups)
