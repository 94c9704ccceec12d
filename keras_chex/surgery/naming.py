"""Names of what `strip` writes, and the small operations that it adds."""

import collections

from keras import ops

from keras_chex.graph.keras_nodes import call_of


class Names:
    """The names that are taken in the new model.

    Args:
        names: names that the old model's layers have, with repeats.
        inputs: names of the inputs.
    """

    def __init__(self, names, inputs):
        self._repeats = collections.Counter(names)
        self._taken = set(inputs)

    def unique(self, name, prefix):
        """The name itself, or with the path before it if it repeats."""
        if self._repeats[name] > 1 or name in self._taken:
            name = prefix + name
        free, number = name, 1
        while free in self._taken:
            free, number = f"{name}_{number}", number + 1
        self._taken.add(free)
        return free


class Steps:
    """Operations that one call of the old model needs in the new one.

    Args:
        names: the `Names` of the new model.
        prefix: str, path of the nested model that the call belongs to.
        owner: str, name of the layer that they are added for, if any.
    """

    def __init__(self, names, prefix, owner=None):
        self.names = names
        self.prefix = prefix
        self.owner = owner

    def name(self, name):
        """A free name."""
        return self.names.unique(name, self.prefix)

    def name_of(self, part):
        """A free name that begins with the owner's."""
        return self.name(f"{self.owner}_{part}")

    def apply(self, function, tensor, part):
        """Calls a function of `keras.ops` under such a name."""
        node = call_of(function, [tensor])
        node.operation.name = (
            self.name(part) if self.owner is None else self.name_of(part)
        )
        return node.outputs[0]

    def zero(self, tensor, dtype):
        """A zero that is part of the graph, as constants are not."""
        corner = self.apply(lambda x: x[(0,) * len(x.shape)], tensor, "corner")
        return self.apply(lambda x: ops.zeros_like(x, dtype), corner, "zero")
