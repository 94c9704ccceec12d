"""What an exploration step knows of one channel group."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class GroupArrays:
    """What an exploration step reads of one channel group.

    Attributes:
        name: str, for messages.
        columns: float array of shape `(rows, size)`: the producers' kernels
            as matrices, each divided by its Frobenius norm, stacked. Live
            values for active units, remembered ones for dormant units.
        scale: float array of shape `(size,)`, the BatchNorm scales or their
            stand-in, or `None`.
        active: bool array of shape `(size,)`.
        min_width: int, the group never gets narrower.
        max_width: int, the group never gets wider; `None` for no bound.
        scale_kind: str, what `scale` is: groups are compared with those of the
            same kind.
        fisher: float array of shape `(size,)`, the Fisher information of every
            unit, or `None` if it is not known. Where that of other groups is,
            such a group gets a uniform width, and its criterion is the norm.
        consumed: float array of shape `(rows, size)`: what the consumers'
            kernels do with the units, normalised and stacked like `columns`;
            `None` if it was not read, or there are none: then `columns` take
            their place.
        layers: int, how many layers make the units or take them in.
    """

    name: str
    columns: np.ndarray
    scale: np.ndarray | None
    active: np.ndarray
    min_width: int = 1
    max_width: int | None = None
    scale_kind: str = "gamma"
    fisher: np.ndarray | None = None
    consumed: np.ndarray | None = None
    layers: int = 1

    def __post_init__(self):
        for name in ("columns", "scale", "fisher", "consumed"):
            value = getattr(self, name)
            rows = 1 if name in ("columns", "consumed") else 0
            if value is not None and np.shape(value)[rows:] != (self.size,):
                raise ValueError(
                    f"Argument `{name}` must have one entry per unit of group "
                    f"{self.name!r} on its last axis. Received: shape "
                    f"{np.shape(value)} for {self.size} units"
                )

    @property
    def size(self):
        """Number of units, active and dormant."""
        return len(self.active)
