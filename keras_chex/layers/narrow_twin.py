"""Runs a layer at its active width, with gathered weights."""

import keras

from keras_chex.graph.keras_functions import trusted
from keras_chex.graph.keras_nodes import full_precision, without_values
from keras_chex.graph.remaking import remake
from keras_chex.graph.rule import weight_of
from keras_chex.layers.gather import gather


class NarrowTwin:
    """A layer of the same class, as wide as the active channels.

    It lives outside of what Keras tracks and saves: its own variables are
    never read, each call supplies the gathered ones.

    Attributes:
        widths: dict from side to the number of active channels.
    """

    def __init__(self, wrapper):
        self._wrapper = wrapper
        self._layer = None
        self.widths = dict(wrapper.sizes)

    def prepare(self, widths):
        """Makes the twin for new widths; does nothing if they are known."""
        if widths == self.widths:
            return
        wrapper, self._layer = self._wrapper, None
        if widths != wrapper.sizes:
            self._layer = narrow_layer(wrapper.layer, wrapper.rule, widths)
            axis = wrapper.rule.input_axis(
                wrapper.layer, len(wrapper.full_input_shape)
            )
            shape = list(wrapper.full_input_shape)
            shape[axis] = widths.get("in", shape[axis])
            with without_values():
                self._layer.build(tuple(shape))
        self.widths = widths

    def call(self, *args, **kwargs):
        """Computes what the stripped layer would compute."""
        if self._layer is None:
            return self._wrapper.layer.call(*args, **kwargs)
        full, twin = self._wrapper.layer, self._layer
        twin.trainable = full.trainable
        with full_precision():
            known = {}
            indices = {
                name: self.indices(name, known) for name in self._wrapper.spec
            }
            mapping = [
                (
                    weight_of(twin, name),
                    gather(weight_of(full, name), indices[name]),
                )
                for name in indices
            ]
        with keras.StatelessScope(mapping) as scope:
            given = [scope.get_current_value(v) for v, _ in mapping]
            outputs = twin.call(*args, **kwargs)
            updated = [scope.get_current_value(v) for v, _ in mapping]
        for name, old, new in zip(indices, given, updated, strict=True):
            if new is not old:
                self._scatter(weight_of(full, name), indices[name], new)
        return outputs

    def compute_output_shape(self, input_shape):
        """Output shape at the active width."""
        layer = self._layer or self._wrapper.layer
        return layer.compute_output_shape(input_shape)

    def indices(self, name, known=None):
        """Active positions on the axes of a weight: `{axis: int tensor}`.

        Args:
            name: str, attribute of the layer.
            known: dict that keeps what was worked out for other weights.
        """
        known = {} if known is None else known
        found = {}
        for axis, role in self._wrapper.spec[name].items():
            width = self.widths[role.side]
            if width == self._wrapper.sizes[role.side]:
                continue
            if role not in known:
                known[role] = self._active(role, width)
            found[axis] = known[role]
        return found

    def _active(self, role, width):
        active = self._wrapper.index(role.side, width // role.blocks)
        if role.repeat == 1:
            return active
        # A tensor: PyTorch adds arrays of NumPy 2 with a warning.
        steps = keras.ops.arange(role.repeat, dtype="int32")
        return keras.ops.reshape(active[:, None] * role.repeat + steps, (-1,))

    def _scatter(self, variable, indices, value):
        with full_precision():
            full = keras.ops.convert_to_tensor(variable)
        for axis, index in indices.items():
            full = keras.ops.moveaxis(full, axis, 0)
            rows = keras.ops.moveaxis(value, axis, 0)
            full = keras.ops.scatter_update(
                full, keras.ops.expand_dims(index, -1), rows
            )
            value = full = keras.ops.moveaxis(full, 0, axis)
        variable.assign(value)


def narrow_layer(layer, rule, widths):
    """Makes an unbuilt layer like `layer` with only some channels.

    Its weights are meant to be supplied, so it has no initialisers,
    regularisers or constraints of its own.

    Args:
        layer: a built layer.
        rule: its `Rule`.
        widths: dict from side to the number of channels.
    """
    with trusted(layer):
        config = rule.narrow_config(layer, dict(layer.get_config()), widths)
        for key in config:
            if key.endswith("_initializer"):
                config[key] = "zeros"
            if key.endswith(("_regularizer", "_constraint")):
                config[key] = None
        return remake(type(layer), config)
