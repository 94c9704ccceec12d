"""One call of a layer or raw operation, as rules see it."""

import keras

from keras_chex.graph.channel_ids import Channels, Opaque
from keras_chex.graph.keras_masks import masks_given


class Call:
    """One call of a layer, as a rule sees it.

    Attributes:
        layer: the layer or raw operation that is called.
        name: str, its path in the model.
        inputs: list of `Channels` or `Opaque`, one per input tensor.
        input_shapes: list of tuples with the batch axis.
        output_shapes: list of tuples with the batch axis.
        constants: tuple of the call's arguments that are not graph tensors.
        masks: int, how many of the inputs, the last ones, are masks that Keras
            hands from layer to layer.
        ids: `ChannelIds`, to tie and to freeze.
        sides: dict from side to the ids recorded for the layer's weights.
        stand_in: a layer that does the same for any number of channels, where
            the called one has their number baked in; else None.
        counted: the ids whose number is baked in there; else None.
        entries: list, the tensors and arrays of the first argument.
    """

    def __init__(self, layer, name, inputs, node, ids, producer):
        self.layer = layer
        self.name = name
        self.inputs = inputs
        self.input_shapes = [tuple(x.shape) for x in node.inputs]
        self.output_shapes = [tuple(x.shape) for x in node.outputs]
        self.constants = node.constants
        arguments = node.arguments.args or node.arguments.kwargs.values()
        self.entries = keras.tree.flatten(list(arguments)[:1])
        self.masks = masks_given(node)
        self.ids = ids
        self.sides = {}
        self.stand_in = None
        self.counted = None
        self._producer = producer

    def read(self, axis, index=0):
        """Ids of an input tensor along `axis`, frozen where unknown."""
        tensor, shape = self.inputs[index], self.input_shapes[index]
        axis %= len(shape)
        if isinstance(tensor, Channels) and tensor.axis == axis:
            return tensor.ids
        if isinstance(tensor, Channels):
            reason = f"'{self.name}' works along another axis"
            self.ids.freeze(tensor.ids, reason)
        else:
            reason = tensor.reason
        return self.frozen(shape[axis], reason)

    def frozen(self, count, reason):
        """New channels that nothing makes, and that all stay."""
        fresh = self.ids.new(count, -1)
        self.ids.freeze(fresh, reason)
        return fresh

    def axis_of(self, axis, index=0):
        """Counts an axis of an input from 0."""
        return axis % len(self.input_shapes[index])

    def consume(self, axis):
        """Like `read`, recorded as the channels the weights take in."""
        self.sides["in"] = self.read(axis)
        return self.sides["in"]

    def produce(self, count):
        """Makes `count` new channels, recorded as those the weights make."""
        self.sides["out"] = self.ids.new(count, self._producer)
        return self.sides["out"]

    def replace(self, stand_in, ids):
        """Names a stand-in, and the channels whose number it adapts to."""
        self.stand_in, self.counted = stand_in, ids

    def barrier(self, reason):
        """Freezes everything that comes in and hides what goes out."""
        for tensor in self.inputs:
            if isinstance(tensor, Channels):
                self.ids.freeze(tensor.ids, reason)
        self.sides, self.stand_in, self.counted = {}, None, None
        return [Opaque(reason) for _ in self.output_shapes]
