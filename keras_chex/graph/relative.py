"""Stand-ins for raw operations that count channels in fixed numbers.

A slice `x[..., 8:16]` of 16 channels is "the second half". While channels are
dormant the tensor is narrower, and the half is at another place.
"""

import keras
import numpy as np

from keras_chex.graph.keras_nodes import raw_operation


class RelativeSlice(keras.Operation):
    """A slice whose bounds grow and shrink with the channels.

    Args:
        axis: int, the channel axis.
        channels: int, the number of channels the bounds were written for.
        entry: int, which entry of the key slices the channels.
        key: tuple, the key, for calls that do not give one: those of a
            lambda that it stands for, which may give a mask and a mode.
        **kwargs: `name`.
    """

    def __init__(self, axis, channels, entry, key, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.channels = channels
        self.entry = entry
        self.key = key

    def call(self, x, key=None, mask=None, training=None):
        return x[self.scaled(x, key)]

    def compute_output_spec(self, x, key=None, mask=None, training=None):
        spec = raw_operation("GetItem")()
        return spec.compute_output_spec(x, self.scaled(x, key))

    def scaled(self, x, key):
        """The key for a tensor with any number of channels."""
        key = list(self.key if key is None else key)
        part, width = key[self.entry], x.shape[self.axis]
        bounds = part.indices(self.channels)[:2]
        first, last = (scaled(n, self.channels, width) for n in bounds)
        key[self.entry] = slice(first, last)
        return tuple(key)

    def plain(self, x, key=None, mask=None, training=None):
        """A raw operation, and its arguments, that do this for `x`."""
        return raw_operation("GetItem")(), (x, self.scaled(x, key))


class RelativeSplit(keras.Operation):
    """A split at places that move with the number of channels.

    Args:
        axis: int, the channel axis.
        channels: int, the number of channels the places were written for.
        places: tuple of ints.
        **kwargs: `name`.
    """

    def __init__(self, axis, channels, places, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.channels = channels
        self.places = tuple(int(place) for place in places)

    def call(self, x):
        return keras.ops.split(x, self.scaled(x), axis=self.axis)

    def compute_output_spec(self, x):
        split = raw_operation("Split")(self.scaled(x), axis=self.axis)
        return split.compute_output_spec(x)

    def scaled(self, x):
        """The places for a tensor with any number of channels."""
        width = x.shape[self.axis]
        return [scaled(n, self.channels, width) for n in self.places]

    def plain(self, x):
        """A raw operation, and its arguments, that do this for `x`."""
        return raw_operation("Split")(self.scaled(x), axis=self.axis), (x,)


class RelativeReshape(keras.Operation):
    """A reshape whose channel axis grows and shrinks with the channels.

    Unlike the layer, it may divide the batch axis anew.

    Args:
        axis: int, the channel axis of the input.
        channels: int, the number of channels the shape was written for.
        newshape: tuple of ints, with the batch axis.
        entry: int, which entry of it counts channels.
        **kwargs: `name`.
    """

    def __init__(self, axis, channels, newshape, entry, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis
        self.channels = channels
        self.newshape = tuple(newshape)
        self.entry = entry

    def call(self, x):
        return keras.ops.reshape(x, self.scaled(x))

    def compute_output_spec(self, x):
        return raw_operation("Reshape")(self.scaled(x)).compute_output_spec(x)

    def scaled(self, x):
        """The shape for a tensor with any number of channels."""
        shape, width = list(self.newshape), x.shape[self.axis]
        shape[self.entry] = scaled(shape[self.entry], self.channels, width)
        return tuple(shape)

    def plain(self, x):
        """A raw operation, and its arguments, that do this for `x`."""
        return raw_operation("Reshape")(self.scaled(x)), (x,)


def scaled(place, channels, width):
    """Where a place among `channels` lies among `width`.

    >>> scaled(8, 16, 10)
    5
    """
    return place * width // channels


def tie_blocks(ids, channels, places):
    """Lets channels go only so that places stay in proportion.

    All runs between multiples of the places' greatest common divisor must lose
    the same channels.

    Args:
        ids: `ChannelIds`.
        channels: int array, ids of the channels.
        places: iterable of ints, among the channels.

    Returns:
        bool, whether anything but all of the channels could then be removed.
    """
    block = int(np.gcd.reduce([len(channels), *places]))
    if block < 2:
        return False
    ids.tie_all(channels.reshape(-1, block))
    return True
