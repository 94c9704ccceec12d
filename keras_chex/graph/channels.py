"""Reads the channel flow of a model: who makes, carries and eats channels."""

import dataclasses

import keras
import numpy as np

from keras_chex.graph import rules as rules
from keras_chex.graph.call import Call
from keras_chex.graph.channel_ids import ChannelIds, Channels, Opaque
from keras_chex.graph.experiment import study
from keras_chex.graph.groups import ChannelGroup, gather_groups
from keras_chex.graph.program import Program, closed_sublayers, read_program
from keras_chex.graph.rule import Barrier, rule_for, tried_rule, weight_of
from keras_chex.graph.rules.activation import may_have_weights
from keras_chex.graph.trace import only_computes
from keras_chex.graph.trial import Trial


@dataclasses.dataclass
class Operation:
    """A layer or raw operation of a model, over all its calls.

    Attributes:
        layer: the Keras object.
        name: str, its path; inner layers of a nested model are `outer/inner`.
        rule: its `Rule`.
        sides: dict from side to channel ids.
        stand_in: a layer of flexible width to use instead, or None.
        counted: channel ids whose number it adapts to.
        is_code: bool, whether the user's code makes it, anew in every call.
        source: the layer of the model that it was read from, where that is
            another one; else None.
        shapes: list of `(input shape, output shape)`, one per call, with the
            batch axis.
    """

    layer: object
    name: str
    rule: object
    sides: dict = dataclasses.field(default_factory=dict)
    stand_in: object = None
    counted: object = None
    is_code: bool = False
    source: object = None
    shapes: list = dataclasses.field(default_factory=list)

    @property
    def weights(self):
        """`{attribute: {axis: Axis}}` of the weights that are there."""
        if not self.sides:
            return {}
        spec = self.inner_rule.weights(self.inner)
        return {
            name: axes
            for name, axes in spec.items()
            if weight_of(self.inner, name) is not None
        }

    @property
    def ends_channels(self):
        """Bool: whether it makes other channels than those it takes in."""
        return "out" in self.sides or (
            bool(self.sides) and self.inner_rule.only_consumes(self.inner)
        )

    @property
    def inner(self):
        """The layer that holds the weights."""
        return self.rule.inner(self.layer)

    @property
    def inner_rule(self):
        """The rule of the layer that holds the weights."""
        return rule_for(self.inner)


@dataclasses.dataclass(frozen=True)
class ChannelGraph:
    """The channels of a whole model.

    Attributes:
        program: the `Program` it was read from.
        operations: tuple of `Operation`, in the order of execution.
        groups: tuple of `ChannelGroup`.
        unit_of: int array, the unit of every channel id.
        group_of: int array, the group of every unit, -1 for none.
        index_of: int array, the place of every unit in its group.
    """

    program: Program
    operations: tuple
    groups: tuple[ChannelGroup, ...]
    unit_of: np.ndarray
    group_of: np.ndarray
    index_of: np.ndarray

    def active_units(self, active):
        """Spreads `{group name: bool array}` over all units; rest active."""
        units = np.ones(len(self.group_of), bool)
        for number, group in enumerate(self.groups):
            if group.name in active:
                members = np.flatnonzero(self.group_of == number)
                units[members] = active[group.name][self.index_of[members]]
        return units

    def masks(self, units):
        """Turns a bool array over all units into one for every group."""
        masks = {}
        for number, group in enumerate(self.groups):
            members = np.flatnonzero(self.group_of == number)
            mask = np.zeros(group.size, bool)
            mask[self.index_of[members]] = units[members]
            masks[group.name] = mask
        return masks

    def counts(self, ids):
        """Channels of each group in a vector of ids, per unit of the group.

        Returns:
            `(counts, constant)`: int array with one entry per group, and the
            number of channels that belong to no group.
        """
        groups = self.group_of[self.unit_of[ids]]
        loose = int((groups < 0).sum())
        totals = np.bincount(groups[groups >= 0], minlength=len(self.groups))
        sizes = np.array([max(group.size, 1) for group in self.groups], int)
        return totals // sizes if len(sizes) else totals, loose

    def producer_channels(self, group, producer):
        """Which output channels of a layer each unit of a group holds.

        Returns:
            int array of shape `(group.size, channels per unit)`.
        """
        number = self.groups.index(group)
        ids = next(
            op.sides["out"] for op in self.operations if op.name == producer
        )
        units = self.unit_of[ids]
        positions = np.flatnonzero(self.group_of[units] == number)
        order = np.argsort(self.index_of[units[positions]], kind="stable")
        return positions[order].reshape(group.size, -1)


def read_channels(model, exclude=()):
    """Reads which channels of a model belong together.

    Args:
        model: a built model, plain or wrapped.
        exclude: layers that keep all the channels they make: a container of
            layer names (paths for layers of nested models).

    Returns:
        A `ChannelGraph`.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If it is not built, or its code cannot be read.
    """
    program = _check(model)
    # A wrapped model knows what it was told to keep.
    exclude = {*exclude, *getattr(model, "excluded_layers", ())}
    fixed, trial = {}, Trial(program)
    while True:
        graph, tensors = _Reader(exclude, fixed).read(program)
        found = trial.fixed(graph, tensors, fixed)
        if not found.keys() - fixed.keys():
            return graph
        fixed = {**found, **fixed}


def _check(model):
    if not isinstance(model, keras.Model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        remedy = "Build it with `keras` (Keras 3)."
        if "tf_keras" in kind:
            remedy = (
                "`tf_keras` is Keras 2: convert the model with "
                "`keras_chex.from_tf_keras`."
            )
        raise TypeError(
            f"Argument `model` must be a Keras 3 model. Received: {kind}. "
            + remedy
        )
    if type(model).call is keras.Model.call:
        raise ValueError(
            "Argument `model` must have a `call`. Received: "
            f"'{model.name}' of class {type(model).__name__}, which has none, "
            "as models do that only train others. Give it one that runs the "
            "part to be pruned, such as `return self.generator(inputs)`, and "
            "call it once on data."
        )
    if not model.built:
        raise ValueError(
            "Argument `model` must be built. Received: "
            f"'{model.name}' of class {type(model).__name__} without an input "
            "shape. Call it once on data; a Sequential model can have "
            "`keras.Input(shape=...)` as its first entry instead."
        )
    program = read_program(model)
    if isinstance(program, Program):
        return program
    raise ValueError(
        "Argument `model` must be a model whose code can be read. Received: "
        f"'{model.name}' of class {type(model).__name__}, which {program}. "
        "Write its `call` with Keras layers and `keras.ops`, or build it with "
        "the functional API: `keras.Model(inputs, outputs)`."
    )


class _Reader:
    def __init__(self, exclude, fixed):
        self.exclude = exclude
        self.fixed = fixed
        self.ids = ChannelIds()
        self.operations = {}
        self.numbers = {}
        self.names = set()
        self.is_wrapped = False

    def read(self, program):
        """Returns the `ChannelGraph`, and the channels of all tensors."""
        tensors = dict(
            enumerate(Opaque(f"model input '{n}'") for n in program.input_names)
        )
        for call in program.calls:
            inputs = [tensors[number] for number in call.inputs]
            outputs = self.visit(call, inputs)
            tensors.update(zip(call.outputs, outputs, strict=True))
        for number in program.outputs:
            self.freeze(tensors[number], "model output")
        return self.graph(program), tensors

    def freeze(self, tensor, reason):
        if isinstance(tensor, Channels):
            self.ids.freeze(tensor.ids, reason)

    def visit(self, flat, inputs):
        """Follows channels through one call."""
        layer = flat.node.operation
        known = self.operations.get(id(layer))
        if known is None:
            known = self.operations[id(layer)] = Operation(
                layer,
                self._name(flat),
                _checked_rule(flat),
                is_code=flat.is_code,
                source=flat.source,
            )
            self.numbers[id(layer)] = len(self.numbers)
            self.is_wrapped |= known.rule.is_wrapper
        number = self.numbers[id(layer)]
        call = Call(layer, known.name, inputs, flat.node, self.ids, number)
        moved = any(t.batch for t in inputs if isinstance(t, Channels))
        if id(layer) in self.fixed:
            outputs = self.keep(known, call, self.fixed[id(layer)])
        elif moved and not known.rule.finds_batch:
            reason = f"the batch axis of '{call.name}' was moved"
            outputs = known.rule.keep(call, reason)
        else:
            outputs = known.rule.flow(call)
        self._merge(known, call)
        return outputs

    def keep(self, known, call, reason):
        """Lets all channels stay; what a layer's weights cost is known."""
        if known.inner_rule.weights(known.inner):
            known.rule.flow(call)
        sides = call.sides
        for ids in sides.values():
            self.ids.freeze(ids, reason)
        outputs = known.rule.keep(call, reason)
        call.sides = sides
        return outputs

    def _name(self, flat):
        """The path of an operation; numbered where it is not unique."""
        name = first = "/".join((*flat.path, flat.node.operation.name))
        number = 1
        while name in self.names:
            number += 1
            name = f"{first}#{number}"
        self.names.add(name)
        return name

    def _merge(self, known, call):
        before = call.input_shapes[0] if call.input_shapes else ()
        known.shapes.append((before, call.output_shapes[0]))
        for side, ids in call.sides.items():
            if side in known.sides:
                self.ids.tie(known.sides[side], ids)
            else:
                known.sides[side] = ids
        if known.stand_in is None:
            known.stand_in, known.counted = call.stand_in, call.counted

    def graph(self, program):
        operations = tuple(self.operations.values())
        shut = closed_sublayers(program)
        for op in operations:
            kept = op.sides.get("out", op.sides.get("in"))
            if op.name in self.exclude and kept is not None:
                self.ids.freeze(kept, f"'{op.name}' is excluded")
            reason = op.rule.keeps_channels(op.layer)
            if reason and kept is not None:
                self.ids.freeze(kept, f"'{op.name}' {reason}")
            if self.is_wrapped:
                self._freeze_unwrapped(op)
            if id(op.layer) in shut:
                self._freeze_all(
                    op, "also runs inside a layer that could not be opened"
                )
        return ChannelGraph(
            program, operations, *gather_groups(operations, self.ids)
        )

    def _freeze_unwrapped(self, op):
        if not op.rule.is_wrapper:
            self._freeze_all(op, "is not wrapped in ChexWrapper")

    def _freeze_all(self, op, reason):
        for ids in op.sides.values():
            self.ids.freeze(ids, f"'{op.name}' {reason}")


def _keeps_apart(layer):
    """Whether code that cannot be read was seen to treat all channels alike."""
    found = study(layer)
    return not isinstance(found, str) and found.output is not None


def _checked_rule(flat):
    """The rule of a layer; a barrier if it does not know all weights.

    An adapter or a subclass may have added some, which nothing would narrow.
    """
    layer = flat.node.operation
    if flat.closed:
        if only_computes(layer) and _keeps_apart(layer):
            return tried_rule()
        return Barrier(f"({type(layer).__name__}) {flat.closed}")
    rule = rule_for(layer)
    if rule.tries:
        return rule
    inner = rule.inner(layer)
    names = rule_for(inner).weights(inner)
    known = {id(weight_of(inner, name)) for name in names}
    weights = getattr(inner, "weights", ())
    unknown = [w.name for w in weights if id(w) not in known]
    activation = getattr(inner, "activation", None)
    if names and may_have_weights(activation):
        kind = type(activation).__name__
        return Barrier(f"has {kind} as its activation; call it as a layer")
    if names and unknown:
        return Barrier(f"has weights its rule does not know: {unknown}")
    return rule
