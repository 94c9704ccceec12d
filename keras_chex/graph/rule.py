"""What a layer rule is, and the table of all rules."""

import dataclasses

import keras
import numpy as np

from keras_chex.graph.keras_nodes import (
    is_code_of_keras,
    is_model,
    own_weights,
    sublayers,
)


@dataclasses.dataclass(frozen=True)
class Axis:
    """How one axis of a weight follows the channels of its layer.

    Attributes:
        side: `"in"` or `"out"`: the layer's input or output channels.
        repeat: int, every channel stands this many times in a row.
        blocks: int, the axis carries only the first of `blocks` equal parts of
            the channels (a grouped convolution shares it between its groups).
    """

    side: str
    repeat: int = 1
    blocks: int = 1

    def positions(self, indices):
        """Maps positions on the side to positions on the weight's axis.

        >>> Axis("in", repeat=2).positions(np.array([0, 3]))
        array([0, 1, 6, 7])
        """
        first = indices[: len(indices) // self.blocks]
        steps = np.arange(self.repeat)
        return (first[:, None] * self.repeat + steps).reshape(-1)

    def width(self, channels):
        """Length of the weight's axis when the side has `channels`."""
        return channels // self.blocks * self.repeat

    def slices(self, value, axis):
        """Takes a weight apart: what belongs to each channel of the side.

        Args:
            value: array, a weight whose axis number `axis` this is. Where
                `blocks` is not 1, each block has outputs of its own: equal
                parts, in order, of the last axis.
            axis: int.

        Returns:
            Array of shape `(channels, elements)`.

        >>> IN.slices(np.array([[1, 2], [3, 4]]), 1)
        array([[1, 3],
               [2, 4]])
        """
        rows = np.moveaxis(value, axis, 0)
        channels = len(rows) // self.repeat
        if self.blocks == 1:
            return rows.reshape(channels, -1)
        outputs = rows.shape[-1] // self.blocks
        parts = rows.reshape(channels, -1, self.blocks, outputs)
        return np.moveaxis(parts, 2, 0).reshape(self.blocks * channels, -1)


IN = Axis("in")
OUT = Axis("out")


def ending_weights(spec):
    """Names the weights in which the input channels of a layer end.

    Args:
        spec: `{attribute: {weight axis: Axis}}` of a layer that makes other
            channels than those it takes in.

    Returns:
        List of attributes.

    >>> ending_weights({"depthwise": {2: IN}, "pointwise": {2: IN, 3: OUT}})
    ['pointwise']
    >>> ending_weights({"cell.kernel": {0: IN}, "cell.bias": {}})
    ['cell.kernel']
    """
    sides = {
        name: {role.side for role in axes.values()}
        for name, axes in spec.items()
    }
    both = [name for name, found in sides.items() if len(found) == 2]
    return both or [name for name, found in sides.items() if "in" in found]


def weight_of(layer, path):
    """A weight by attribute name, or by a path such as `"layer.kernel"`.

    Returns:
        The variable; None where the layer does without it.
    """
    found = layer
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


class Rule:
    """What one layer type does with channels: flow, weights and config.

    Subclass it and register it with `register_rule`.

    Example:

    >>> class Gate(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.gate = self.add_weight(shape=(input_shape[-1],))
    ...     def call(self, inputs):
    ...         return inputs * self.gate
    >>> @register_rule(Gate)
    ... class GateRule(Rule):
    ...     def flow(self, call):
    ...         return [Channels(call.consume(-1), call.axis_of(-1))]
    ...     def weights(self, layer):
    ...         return {"gate": {0: Axis("in")}}
    >>> type(rule_for(Gate())).__name__
    'GateRule'
    """

    is_wrapper = False
    # Whether the shape that Keras infers of the outputs can be relied on.
    tells_shape = True
    # Whether `output_shapes` knows more than Keras does.
    completes_shapes = False
    # Whether it computes each element from those in its place alone.
    is_elementwise = False
    # Whether layers are tried out for what they do, each with all its weights.
    tries = False
    # Whether `flow` looks where the batch axis is. To other rules, it is 0.
    finds_batch = False

    def opens(self, layer):
        """Whether the layer's own code is read in place of this rule."""
        return False

    def inner(self, layer):
        """The layer that holds the weights: itself, or the wrapped one."""
        return layer

    def keeps_channels(self, layer):
        """Why a layer keeps all channels it makes; None where it need not."""
        return None

    def only_consumes(self, layer):
        """Whether it takes channels in and makes others, which all stay."""
        return False

    def flow(self, call):
        """Follows channels through one `Call`.

        Returns:
            List of `Channels` or `Opaque`, one per output tensor.
        """
        raise NotImplementedError

    def keep(self, call, reason):
        """Follows no channels through one `Call`; see `flow`."""
        return call.barrier(reason)

    def weights(self, layer):
        """Names the weights that carry channels.

        Returns:
            `{attribute: {weight axis: Axis}}`; every weight of the layer must
            be named, with an empty dict if it carries no channel. A weight of
            a layer inside is named by its path, such as `"layer.kernel"`.
        """
        return {}

    def narrow_config(self, layer, config, widths):
        """Returns `get_config()` with only some channels left.

        Args:
            layer: the full layer.
            config: dict, a copy of its config.
            widths: dict from side to the number of channels left.
        """
        return config

    def output_shapes(self, layer, input_shape, shapes):
        """Output shapes of a call, for layers that tell Keras too little."""
        return shapes

    def rewritten(self, layer, args, kwargs):
        """Outputs of a call written in other operations; None to keep it.

        For `strip`, where the operation itself would mislead Keras.
        """
        return None

    def sized_config(self, layer, config, shapes):
        """Fills sizes into a config that Keras does not work out itself.

        Args:
            layer: the full layer.
            config: dict.
            shapes: list of `(input shape, output shape)`, one per call.
        """
        return config

    def input_axis(self, layer, rank):
        """The channel axis of the input, counted from 0."""
        return rank - 1

    def uses(self, layer, input_shape, output_shape):
        """Multiply-adds per element of each weight, for one example.

        Args:
            layer: the full layer.
            input_shape: tuple of ints or None with the batch axis.
            output_shape: likewise.

        Returns:
            `{attribute: int}`; weights that only add or scale are left out.
        """
        return {}


class Barrier(Rule):
    """Freezes the channels that reach a layer, with the reason."""

    def __init__(self, reason):
        self.reason = reason

    def flow(self, call):
        return call.barrier(f"'{call.name}' {self.reason}")


_RULES = {}
# Of packages that need not be there: by their name and that of the class.
_RULES_BY_NAME = {}
# Of layers with weights that have no other: at most one.
_RULES_OF_OTHERS = []


def register_rule(*layer_classes):
    """Registers a rule for layer classes and their subclasses.

    A subclass that overrides `call` is not covered: what it does with channels
    is unknown until it gets a rule of its own.

    Args:
        *layer_classes: classes of layers or raw operations.

    Returns:
        A decorator for a subclass of `Rule`, which is instantiated once.

    Raises:
        TypeError: If a `layer_classes` entry is not a class, or the decorated
            object is not a subclass of `Rule`.

    Example:

    >>> class Shift(keras.layers.Layer):
    ...     def call(self, inputs):
    ...         return inputs + 1.0
    >>> @register_rule(Shift)
    ... class ShiftRule(Rule):
    ...     def flow(self, call):
    ...         return call.inputs
    >>> type(rule_for(Shift())).__name__
    'ShiftRule'
    """
    for layer_class in layer_classes:
        if not isinstance(layer_class, type):
            raise TypeError(
                "Arguments of `register_rule` must be layer classes. Received: "
                f"{layer_class!r}. Write `@register_rule(MyLayer)`."
            )

    def register(rule_class):
        if not (isinstance(rule_class, type) and issubclass(rule_class, Rule)):
            raise TypeError(
                "`register_rule` decorates a subclass of `keras_chex.Rule`. "
                f"Received: {rule_class!r}"
            )
        rule = rule_class()
        for layer_class in layer_classes:
            _RULES[layer_class] = rule
        return rule_class

    return register


def register_rule_by_name(package, *class_names):
    """Registers a rule for layer classes of a package that may not be there."""

    def register(rule_class):
        rule = rule_class()
        for name in class_names:
            _RULES_BY_NAME[package, name] = rule
        return rule_class

    return register


def register_rule_of_others(rule_class):
    """Registers the rule of the user's layers with weights and no rule."""
    _RULES_OF_OTHERS[:] = [rule_class()]
    return rule_class


def rule_for(operation):
    """Returns the rule of a layer or raw operation.

    Returns:
        The registered rule of the nearest base class. If there is none, or a
        class in between overrides `call`: that of layers of the user's with
        weights, else a `Barrier` with the reason.
    """
    rule = _known_rule(operation)
    if isinstance(rule, Barrier) and _has_weights_of_its_own(operation):
        return tried_rule() or rule
    return rule


def tried_rule():
    """The rule of layers that are tried out; None before it is registered."""
    return next(iter(_RULES_OF_OTHERS), None)


def _has_weights_of_its_own(operation):
    """Whether it is a layer of the user's with weights, or not built yet."""
    return (
        isinstance(operation, keras.layers.Layer)
        and not is_model(operation)
        and not sublayers(operation)
        and not is_code_of_keras(operation)
        and (not operation.built or bool(own_weights(operation)))
    )


def _known_rule(operation):
    name = type(operation).__name__
    for base in type(operation).__mro__:
        if base in _RULES:
            return _RULES[base]
        key = base.__module__.partition(".")[0], base.__name__
        if key in _RULES_BY_NAME:
            return _RULES_BY_NAME[key]
        if "call" in vars(base):
            known = [b.__name__ for b in base.__mro__ if b in _RULES]
            if known:
                return Barrier(
                    f"({name}) overrides `call` of {known[0]}; give it a rule"
                )
            break
    return Barrier(f"has no channel rule for {name}")
