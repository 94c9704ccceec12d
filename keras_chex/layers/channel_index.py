"""The one vector in which a wrapper keeps which of its channels are active.

Active channels come first, in order; dormant channel `j` follows as `-1 - j`.
A slice of static length is then the list of active channels, so the compiled
step can follow a change of channels that leaves the width as it is.
"""

import numpy as np


def encode(active):
    """Packs a bool array.

    >>> encode(np.array([True, False, True]))
    array([ 0,  2, -2], dtype=int32)
    """
    active = np.asarray(active, bool)
    dormant = -1 - np.flatnonzero(~active)
    return np.concatenate([np.flatnonzero(active), dormant]).astype(np.int32)


def decode(index):
    """Unpacks what `encode` packed.

    >>> decode(np.array([0, 2, -2], np.int32))
    array([ True, False,  True])
    """
    active = np.zeros(len(index), bool)
    active[index[index >= 0]] = True
    return active
