"""What a `ChexWrapper` stores: two variables, whatever the layer has.

Creating a variable costs a millisecond, so a network with a thousand weights
would take seconds to wrap with one for each.
"""

import keras
import numpy as np

from keras_chex.graph.keras_nodes import read_variable
from keras_chex.graph.rule import weight_of
from keras_chex.layers.channel_index import decode, encode

CLOCK = slice(0, 2)


class WrapperState:
    """Active channels, remembered values and the clock of one wrapper.

    Attributes:
        channels: int variable: two times, then the channels of every side as
            `channel_index` packs them.
        memory: float variable: one remembered value per element of the weights.
    """

    def __init__(self, wrapper):
        self._sizes = wrapper.sizes
        self._shapes = {
            name: tuple(weight_of(wrapper.layer, name).shape)
            for name in wrapper.spec
        }
        self._runs = _runs(self._sizes, CLOCK.stop)
        counts = {n: int(np.prod(s)) for n, s in self._shapes.items()}
        self._places = _runs(counts, 0)
        self.channels = wrapper.add_weight(
            name="channels",
            shape=(CLOCK.stop + sum(self._sizes.values()),),
            dtype="int32",
            initializer=self._everything,
            trainable=False,
        )
        self.memory = wrapper.add_weight(
            name="memory",
            shape=(sum(counts.values()),),
            dtype=_widest(
                weight_of(wrapper.layer, name).dtype for name in wrapper.spec
            ),
            initializer="zeros",
            trainable=False,
        )

    def _everything(self, shape, dtype):
        sides = [np.arange(size) for size in self._sizes.values()]
        value = np.concatenate([[-1, -1], *sides])
        return keras.ops.convert_to_tensor(value, dtype)

    def run(self, side):
        """Where the channels of a side are: a slice."""
        return self._runs[side]

    def active(self, side):
        """Bool array, the active channels of a side."""
        return decode(read_variable(self.channels)[self._runs[side]])

    def masks(self):
        """`{side: bool array}`, the active channels of all sides."""
        value = read_variable(self.channels)
        return {side: decode(value[run]) for side, run in self._runs.items()}

    def index(self, side, width):
        """Int tensor, the active channels of a side of known width."""
        first = self._runs[side].start
        vector = keras.ops.convert_to_tensor(self.channels)
        return vector[first : first + width]

    def set_active(self, masks):
        """Stores a bool array for every side."""
        value = read_variable(self.channels).copy()
        for side, mask in masks.items():
            value[self._runs[side]] = encode(mask)
        self.channels.assign(value)

    def clock(self):
        """Two ints; -1 where no exploration step has been."""
        return tuple(read_variable(self.channels)[CLOCK].tolist())

    def set_clock(self, times):
        value = read_variable(self.channels).copy()
        value[CLOCK] = times
        self.channels.assign(value)

    def remembered(self, name):
        """Array of the shape of a weight."""
        values = read_variable(self.memory)[self._places[name]]
        return values.reshape(self._shapes[name])

    def remember(self, kept):
        """Stores `{weight name: array, or None for no change}`."""
        changed = {n: v for n, v in kept.items() if v is not None}
        if not changed:
            return
        value = read_variable(self.memory).copy()
        for name, array in changed.items():
            value[self._places[name]] = np.reshape(array, -1)
        self.memory.assign(value)


def _runs(lengths, first):
    """Lays runs of given lengths one after the other.

    >>> _runs({"in": 3, "out": 2}, 2)
    {'in': slice(2, 5, None), 'out': slice(5, 7, None)}
    """
    runs = {}
    for name, length in lengths.items():
        runs[name] = slice(first, first + length)
        first += length
    return runs


def _widest(dtypes):
    """The type that holds all values: of halves, single precision.

    >>> _widest(["bfloat16", "float32"]), _widest([])
    ('float32', 'float32')
    """
    return "float64" if "float64" in list(dtypes) else "float32"
