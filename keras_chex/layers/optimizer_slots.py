"""What optimizers keep per element, when elements go dormant and come back.

| slot | goes dormant | comes back |
|---|---|---|
| with negative entries, such as a momentum | zero | zero |
| nowhere negative, such as Adam's second moments | stays | mean of the active |
| moving average of the weights | zero | the value |

A stale momentum would push a channel in a direction of long ago. A second
moment of zero would do the opposite of caution: the first steps of Adam would
be several times as long as the learning rate. With a momentum of zero a
dormant element does not move under any of Keras' optimizers.
"""

import dataclasses

import numpy as np

from keras_chex.graph.keras_nodes import read_variable
from keras_chex.graph.keras_training import AVERAGES, optimizers_of, slots


@dataclasses.dataclass(frozen=True, eq=False)
class Exchange:
    """Which elements of a weight went dormant or came back.

    Attributes:
        weight: the variable.
        was: bool array that broadcasts to the weight, active before.
        now: bool array that broadcasts to the weight, active from now on.
    """

    weight: object
    was: np.ndarray
    now: np.ndarray


def carry_slots(optimizer, exchanges):
    """Follows exchanged elements in the variables of an optimizer.

    Args:
        optimizer: a Keras optimizer, or None; one that wraps others, too.
        exchanges: list of `Exchange`.
    """
    for owner in optimizers_of(optimizer):
        if not owner.built:
            continue
        for exchange in exchanges:
            for name, slot in slots(owner, exchange.weight).items():
                if name == AVERAGES:
                    value = _average(slot, exchange)
                else:
                    value = carried(
                        read_variable(slot), exchange.was, exchange.now
                    )
                slot.assign(value)


def carried(slot, was, now):
    """A slot after elements went dormant or came back.

    >>> was, now = np.array([True, True, False]), np.array([True, False, True])
    >>> carried(np.array([-1.0, 2.0, 3.0]), was, now)   # a momentum
    array([-1.,  0.,  0.])
    >>> carried(np.array([1.0, 2.0, 0.0]), was, now)   # second moments
    array([1. , 2. , 1.5])
    """
    active = slot[np.broadcast_to(was, slot.shape)]
    if active.size and active.min() >= 0 and active.max() > 0:
        mean = active.mean(dtype=np.float64).astype(slot.dtype)
        return np.where(now & ~was, mean, slot)
    return slot * (was & now)


def _average(slot, exchange):
    value = np.where(exchange.was, read_variable(slot), 0)
    back = exchange.now & ~exchange.was
    value = np.where(back, read_variable(exchange.weight), value)
    return np.where(exchange.now, value, 0).astype(value.dtype)
