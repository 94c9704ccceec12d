"""`ChexWrapper`: a layer whose channels can go dormant and come back."""

import inspect

import keras
import numpy as np

from keras_chex.algorithms.memory import remember
from keras_chex.graph.keras_nodes import read_variable
from keras_chex.graph.rule import (
    Barrier,
    Rule,
    ending_weights,
    register_rule,
    rule_for,
    weight_of,
)
from keras_chex.layers.narrow_terms import NarrowConstraint, NarrowRegularizer
from keras_chex.layers.narrow_twin import NarrowTwin
from keras_chex.layers.optimizer_slots import Exchange
from keras_chex.layers.restore import fresh_values
from keras_chex.layers.wrapper_state import WrapperState


@keras.saving.register_keras_serializable(package="keras_chex")
class ChexWrapper(keras.layers.Wrapper):
    """Wraps a layer so that only its active channels are computed.

    The layer keeps its full-size weights. While some channels are dormant, the
    call gathers the active ones and computes exactly what a smaller layer
    would: a dormant channel does not exist in the forward pass, and costs
    nothing. The values a channel had when it went dormant are remembered and
    come back with it.

    A wrapped layer keeps the name of the layer, and passes unknown attributes
    (`kernel`, `filters`, ...) on to it. `keras_chex.wrap` wraps a whole model;
    wrapping by hand works too.

    Args:
        layer: a layer that has a channel rule, such as `Conv2D`, `Dense` or
            `BatchNormalization`.
        exclude: bool, whether the layer keeps all channels it makes.
        **kwargs: of `keras.layers.Layer`; `name` and `dtype` default to those
            of `layer`.

    Call arguments:
        inputs: tensor, with as many channels as are active on the input.
        training: bool or None, handed on where the layer takes it.
        mask: tensor or None, handed on where the layer takes it.

    Input shape:
        That of the layer; the channel axis has the active channels.

    Output shape:
        That of the layer; the channel axis has the active channels.

    Raises:
        TypeError: If `layer` is no Keras layer, or wrapped already.
        ValueError: If `layer` has no channel rule.

    Example:

    >>> wrapper = ChexWrapper(keras.layers.Dense(4))
    >>> x = np.ones((1, 3), "float32")
    >>> wrapper(x).shape[-1]
    4
    >>> kept = np.array([True, False, True, False])
    >>> exchanges = wrapper.set_channels({"out": kept})
    >>> wrapper(x).shape[-1]
    2

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794)
    """

    def __init__(self, layer, exclude=False, **kwargs):
        if isinstance(layer, ChexWrapper):
            raise TypeError(
                "Argument `layer` must not be wrapped already. Received: "
                f"ChexWrapper '{layer.name}'. Wrap its `.layer` instead."
            )
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                "Argument `layer` must be a Keras layer. Received: "
                f"{layer!r}. Write `ChexWrapper(keras.layers.Conv2D(8, 3))`."
            )
        rule = rule_for(layer)
        if isinstance(rule, Barrier):
            raise ValueError(
                "Argument `layer` must have a channel rule. Received: "
                f"'{layer.name}', which {rule.reason}. Leave it unwrapped, or "
                "register a rule with `keras_chex.register_rule`."
            )
        kwargs.setdefault("name", layer.name)
        kwargs.setdefault("dtype", layer.dtype_policy)
        kwargs.setdefault("activity_regularizer", layer.activity_regularizer)
        super().__init__(layer, **kwargs)
        self.exclude = exclude
        self.supports_masking = layer.supports_masking
        parameters = inspect.signature(layer.call).parameters
        self._passes = tuple(n for n in ("training", "mask") if n in parameters)

    @property
    def rule(self):
        """The channel rule of the wrapped layer."""
        return rule_for(self.layer)

    def build(self, input_shape):
        super().build(input_shape)
        self.full_input_shape = tuple(input_shape)
        self.spec = {
            name: axes
            for name, axes in self.rule.weights(self.layer).items()
            if weight_of(self.layer, name) is not None
        }
        if not self.spec and self.layer.weights:
            raise ValueError(
                "Argument `layer` must have weights that its rule knows. "
                f"Received: '{self.layer.name}' of class "
                f"{type(self.layer).__name__}. Leave it unwrapped, or register "
                "a rule with `keras_chex.register_rule`."
            )
        self.sizes = _sizes(self.layer, self.spec)
        self._state = WrapperState(self)
        self._twin = NarrowTwin(self)
        self._narrow_terms()

    def _narrow_terms(self):
        for name in self.spec:
            weight = weight_of(self.layer, name)
            if weight.regularizer is not None:
                weight.regularizer = NarrowRegularizer(
                    weight.regularizer, self._twin, name
                )
            if weight.constraint is not None:
                weight.constraint = NarrowConstraint(
                    weight.constraint, self._twin, name
                )

    def call(self, inputs, training=None, mask=None):
        self.prepare()
        given = {"training": training, "mask": mask}
        kwargs = {name: given[name] for name in self._passes}
        return self._twin.call(inputs, **kwargs)

    def compute_mask(self, inputs, previous_mask):
        return self.layer.compute_mask(inputs, previous_mask)

    def prepare(self):
        """Fits the narrow twin to the stored channels, where they are known.

        Inside a compiled function they are not; there the twin stays as it
        was when the function was made.

        Returns:
            Tuple of ints: the active width of each side.
        """
        widths = {}
        known = concrete(self._state.channels)
        if known is None:
            return tuple(self._twin.widths.values())
        for side in self.sizes:
            index = known[self._state.run(side)]
            widths[side] = int((index >= 0).sum())
        self._twin.prepare(widths)
        return tuple(widths.values())

    def active(self, side):
        """Which channels of a side are active: bool array."""
        return self._state.active(side)

    def masks(self):
        """`{side: bool array}`, the active channels of all sides."""
        return self._state.masks()

    def index(self, side, width):
        """The first `width` entries of a side: its active channels."""
        return self._state.index(side, width)

    def remembered(self, name):
        """Array: the value every element of a weight had when last active."""
        return self._state.remembered(name)

    @property
    def state_variable(self):
        """Int variable: the clock, and which channels are active."""
        return self._state.channels

    @property
    def clock(self):
        """When the last exploration step was, and when that run began."""
        return self._state.clock()

    @clock.setter
    def clock(self, times):
        self._state.set_clock(times)

    def set_channels(self, active, restore="mru", seed=0):
        """Chooses the active channels.

        A weight's element is remembered when either of its channels goes
        dormant and put back when both are active again. Until then it is zero
        in the layer's own weight, so that norms of whole weights (in LAMB, in
        gradient clipping) are those of the smaller layer.

        Args:
            active: `{"in": bool array, "out": bool array}`; a side left out
                stays as it is.
            restore: `"mru"`, the value an element had when it went dormant;
                `"preserve"`, likewise, but zero from inputs that come back
                to outputs that were there; `"zeros"`; or `"random"`, drawn
                anew from its initialiser.
            seed: int or list of ints for `"random"`.

        Returns:
            List of `Exchange`: what happened to each weight that changed.
        """
        before = self.masks()
        after = {
            side: np.asarray(active.get(side, before[side]), bool)
            for side in before
        }
        for side, mask in after.items():
            self._check_mask(side, mask)
        if all(np.array_equal(before[s], after[s]) for s in before):
            return []
        exchanges, kept = [], {}
        for name in self.spec:
            weight = weight_of(self.layer, name)
            was = element_mask(self.spec[name], weight.shape, before)
            now = element_mask(self.spec[name], weight.shape, after)
            if not np.array_equal(was, now):
                fresh = None
                if restore == "preserve":
                    fresh = self._preserving(name, weight, before)
                elif restore != "mru":
                    fresh = fresh_values(
                        self.layer, name, weight, restore, seed
                    )
                kept[name] = self._exchange(name, was, now, fresh)
                exchanges.append(Exchange(weight, was, now))
        self._state.remember(kept)
        self._state.set_active(after)
        self._twin.prepare({s: int(m.sum()) for s, m in after.items()})
        return exchanges

    def _preserving(self, name, weight, before):
        """What is remembered, but zero from new inputs to old outputs."""
        kept = self.remembered(name)
        if name not in ending_weights(self.spec):
            return kept
        outputs = {a: r for a, r in self.spec[name].items() if r.side == "out"}
        return np.where(element_mask(outputs, weight.shape, before), 0, kept)

    def _check_mask(self, side, mask):
        if mask.shape != (self.sizes[side],) or not mask.any():
            raise ValueError(
                "Argument `active` must mark at least one of the channels of "
                f"each side. Received: {int(mask.sum())} of shape {mask.shape} "
                f"for side '{side}' of '{self.name}', which has "
                f"{self.sizes[side]} channels"
            )

    def _exchange(self, name, was, now, fresh):
        """Stores what goes dormant, brings back what becomes active.

        Returns:
            Array: what is to be remembered of the weight.
        """
        weight = weight_of(self.layer, name)
        value, kept = remember(
            read_variable(weight), self.remembered(name), was, now
        )
        if fresh is not None:
            value = np.where(now & ~was, fresh, value)
        weight.assign(np.where(now, value, np.zeros((), value.dtype)))
        return kept

    def compute_output_shape(self, input_shape):
        if not self.built:
            return self.layer.compute_output_shape(input_shape)
        return self._twin.compute_output_shape(input_shape)

    def __getattr__(self, name):
        # Reached only for names the wrapper lacks: the layer's own. PyTorch
        # has a method of this name, which finds the layer itself.
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "layer" or name.startswith("_"):
                raise AttributeError(
                    f"'{type(self).__name__}' object has no attribute '{name}'"
                ) from None
        return getattr(self.layer, name)

    def get_config(self):
        return {**super().get_config(), "exclude": self.exclude}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return super().from_config(dict(config), custom_objects)


def _sizes(layer, spec):
    sizes = {}
    for name, axes in spec.items():
        shape = weight_of(layer, name).shape
        for axis, role in axes.items():
            sizes[role.side] = shape[axis] // role.repeat * role.blocks
    return sizes


def element_mask(axes, shape, active):
    """Which elements of a weight have active channels on all their axes.

    Args:
        axes: `{axis: Axis}`.
        shape: shape of the weight.
        active: `{side: bool array}`.

    Returns:
        Bool array that broadcasts against the weight.
    """
    mask = np.ones((1,) * len(shape), bool)
    for axis, role in axes.items():
        line = np.zeros(shape[axis], bool)
        line[role.positions(np.flatnonzero(active[role.side]))] = True
        sizes = [1] * len(shape)
        sizes[axis] = shape[axis]
        mask = mask & line.reshape(sizes)
    return mask


def concrete(variable):
    """The value of a variable as an array; None while a step is compiled."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.executing_eagerly():
            return None
    try:
        return read_variable(variable)
    except TypeError:  # What JAX raises for a traced value.
        return None


@register_rule(ChexWrapper)
class WrapperRule(Rule):
    """Does what the rule of the wrapped layer does."""

    is_wrapper = True

    def inner(self, layer):
        return layer.layer

    def output_shapes(self, layer, input_shape, shapes):
        rule = rule_for(layer.layer)
        return rule.output_shapes(layer.layer, input_shape, shapes)

    def keeps_channels(self, layer):
        return "is excluded" if layer.exclude else None

    def flow(self, call):
        call.layer = call.layer.layer
        return rule_for(call.layer).flow(call)
