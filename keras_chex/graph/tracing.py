"""Reads what the code of layers does by calling it on symbolic tensors.

Only to learn where channels flow: what runs and trains stays the user's code.
"""

import contextlib
import inspect
import re

import keras

from keras_chex.graph.batch_size import (
    fixes_batch,
    is_incomplete,
    with_batch,
)
from keras_chex.graph.constants import recorded_on_arrays
from keras_chex.graph.experiment import takes_several
from keras_chex.graph.keras_masks import has_mask
from keras_chex.graph.keras_nodes import (
    all_layers,
    functional_graph,
    is_model,
    is_symbolic,
    recorded_calls,
    renewed,
    run_graph,
    sublayers,
    unrecorded,
)
from keras_chex.graph.keras_random import symbolic_dropout
from keras_chex.graph.keras_swap import any_size, loosened
from keras_chex.graph.own_weights import given_out, weight_layers
from keras_chex.graph.rule import Barrier, rule_for
from keras_chex.graph.tensorflow_functions import on_symbols
from keras_chex.graph.trace import Trace, merge, only_computes

# Their code looks for the masks of the tensors it is called on.
MASKED = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
_MASK_IS_READ = "reads the mask of its inputs (`mask_zero`, `Masking`)"
_BATCH_IS_FIXED = "has operations that need the batch size"


def must_be_opened(operation):
    """Tells whether the code of an operation says more than its rule."""
    rule = rule_for(operation)
    if not isinstance(operation, keras.layers.Layer):
        return False
    if rule.tries:
        # To try it out, all but one of its tensors would have to be guessed.
        return takes_several(operation)
    return only_computes(operation) or (
        bool(sublayers(operation))
        and (isinstance(rule, Barrier) or rule.opens(operation))
        and not (is_model(operation) and functional_graph(operation))
    )


def trace_node(node):
    """Reads the call of a layer that a graph has; see `trace`."""
    if reads_masks(node.operation, node.inputs):
        return _MASK_IS_READ
    fresh = {id(tensor): renewed(tensor) for tensor in node.inputs}
    return trace(node.operation, *node.fill_in(fresh))


def reads_masks(layer, tensors):
    """Whether a layer's code finds masks that symbolic copies would lose."""
    return any(map(has_mask, tensors)) and any(
        isinstance(inside, MASKED) for inside in all_layers(layer)
    )


def trace(layer, args, kwargs):
    """Reads one call of a layer.

    Args:
        layer: a built layer or model for which `must_be_opened` is true.
        args: tuple, its arguments with symbolic tensors.
        kwargs: dict, likewise.

    Returns:
        A `Trace`; or a str, why the layer cannot be read: it fails on symbolic
        tensors, does something else in training, or hides weights of its own.
    """
    given = filter(is_symbolic, keras.tree.flatten((args, kwargs)))
    if isinstance(layer, keras.layers.TimeDistributed):
        if next(given).shape[1] is None:
            return (
                f"repeats '{layer.layer.name}' as often as the data say: give "
                "the number of steps in `keras.Input`"
            )
    read = _read(layer, args, kwargs)
    if isinstance(read, str) or is_incomplete(read) or _has_failed(read):
        # Code that asks for the batch size needs a number.
        known = keras.tree.map_structure(with_batch, (args, kwargs))
        again = _read(layer, *known)
        if isinstance(again, Trace):
            if not fixes_batch(again):
                read = again
            elif isinstance(read, str) or is_incomplete(read):
                read = _BATCH_IS_FIXED
    return read


def trace_graph(model, tensors):
    """Reads a functional model at other sizes than it was built with.

    Args:
        model: a model that a functional graph runs.
        tensors: list of symbolic tensors to call it on.

    Returns:
        A `Trace`, or a str, as of `trace`.
    """
    graph = functional_graph(model)
    return _recorded(
        model, lambda recorder: recorder.run(model, graph, tensors)
    )


def _read(layer, args, kwargs):
    return merge(*(record(layer, args, kwargs, mode) for mode in (False, True)))


def _has_failed(read):
    """Tells whether code without weights inside could not be read."""
    return any(
        only_computes(read.calls[position].operation)
        if isinstance(inner, str)
        else _has_failed(inner)
        for position, inner in read.inner.items()
    )


def record(layer, args, kwargs, training, specs=()):
    """Reads one call in one mode.

    Args:
        layer: a built layer or model with sub-layers.
        args: tuple, its arguments with symbolic tensors.
        kwargs: dict, likewise.
        training: bool.
        specs: dict from `id(layer)` to what to use as `compute_output_spec`
            of a layer inside.

    Returns:
        A `Trace`, or a str, why the layer cannot be read.
    """
    kwargs = {**kwargs, "training": training}

    def call(recorder):
        return recorder.found(keras.tree.flatten(layer(*args, **kwargs)))

    return _recorded(layer, call, specs)


def _recorded(layer, call, specs=()):
    """What a call of a layer gives while everything inside is noted."""
    recorder, inside = _Recorder(), _all_inside(layer)
    with (
        unrecorded(inside),
        symbolic_dropout(),
        on_symbols(),
        any_size(inside),
        _patched(inside, recorder, specs),
    ):
        try:
            return call(recorder)
        except Exception as error:  # noqa: BLE001
            # The user's code may raise anything at all.
            return recorder.failures.get(id(layer), _reason(error))


def _all_inside(layer):
    """All layers in a layer, and those that stand for weights of theirs."""
    inside = all_layers(layer)
    for opened in filter(must_be_opened, list(inside)):
        inside += (weight_layers(opened) or {}).values()
    return list({id(x): x for x in inside}.values())


@contextlib.contextmanager
def _patched(inside, recorder, specs):
    patched = []
    holding = [
        x
        for x in inside
        if x.weights and not must_be_opened(x) and "call" not in vars(x)
    ]
    for sub in holding:
        vars(sub)["call"] = recorded_on_arrays(sub, recorder.anchor)
    for sub in inside:
        if id(sub) in specs:
            spec = specs[id(sub)]
        elif must_be_opened(sub):
            spec = recorder.spec_of(sub)
        elif rule_for(sub).is_wrapper:
            spec = _full_width(rule_for(sub).inner(sub))
        elif rule_for(sub).completes_shapes:
            spec = _full_width(sub)
        else:
            continue
        patched.append((sub, sub.input_spec))
        vars(sub)["compute_output_spec"] = spec
        # Losses of symbolic tensors are refused; they say nothing here.
        vars(sub)["add_loss"] = lambda loss: None
        # Other widths than those the layer was built for are no mistake here.
        sub.input_spec = loosened(sub.input_spec)
    try:
        yield
    finally:
        for sub in holding:
            del vars(sub)["call"]
        for sub, input_spec in patched:
            del vars(sub)["compute_output_spec"], vars(sub)["add_loss"]
            sub.input_spec = input_spec


def _full_width(layer):
    """Lets a wrapped layer be read as if all its channels were active."""
    rule = rule_for(layer)

    def spec(*args, **kwargs):
        kwargs = _accepted(layer, kwargs)
        made = type(layer).compute_output_spec(layer, *args, **kwargs)
        if not rule.completes_shapes:
            return made
        (shape,) = rule.output_shapes(layer, args[0].shape, [made.shape])
        return keras.KerasTensor(shape, made.dtype)

    return spec


def _accepted(layer, kwargs):
    """Keyword arguments without those that the layer does not take."""
    parameters = inspect.signature(layer.call).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in parameters):
        return kwargs
    names = {p.name for p in parameters}
    return {k: v for k, v in kwargs.items() if k in names}


class _Recorder:
    """Keeps what is called inside of layers with sub-layers."""

    def __init__(self):
        self.failures = {}
        self._traces = {}
        self._alive = []
        self._anchors = []

    def anchor(self):
        """A symbolic tensor of the code that is being called, if any."""
        return self._anchors[-1] if self._anchors else None

    def spec_of(self, layer):
        """A `compute_output_spec` that notes what the layer's code calls."""

        def spec(*args, **kwargs):
            try:
                outputs, known = self._call(layer, args, kwargs)
            except Exception as error:  # noqa: BLE001
                known = self.failures[id(layer)] = _reason(error)
                outputs = type(layer).compute_output_spec(
                    layer, *args, **kwargs
                )
            for tensor in keras.tree.flatten(outputs):
                self._traces[id(tensor)] = known
            self._alive.append(outputs)
            return outputs

        return spec

    def found(self, outputs):
        """What was read of the call that made these tensors."""
        known = self._traces.get(id(outputs[0])) if outputs else None
        return known or "returns no tensor"

    def _call(self, layer, args, kwargs):
        if weight_layers(layer) is None:
            raise _Unreadable("keeps weights in other places than attributes")
        if reads_masks(layer, _tensors((args, kwargs))):
            raise _Unreadable(_MASK_IS_READ)
        args, kwargs = keras.tree.map_structure(renewed, (args, kwargs))
        kwargs = _accepted(layer, kwargs)
        inputs = _tensors((args, kwargs))
        held = frozenset(map(id, _all_inside(layer)))
        depth = len(self._anchors)
        self._anchors += inputs[:1]
        try:
            with given_out(layer, inputs):
                structure = layer.call(*args, **kwargs)
        finally:
            del self._anchors[depth:]
        known = self._trace(layer, inputs, structure, held)
        return keras.tree.map_structure(renewed, structure), known

    def run(self, model, graph, tensors):
        """What a functional graph does for some tensors."""
        inputs = list(map(renewed, tensors))
        structure = run_graph(graph, inputs)
        held = frozenset(map(id, _all_inside(model)))
        return self._trace(model, inputs, structure, held, named=False)

    def _trace(self, layer, inputs, structure, held, named=True):
        outputs = keras.tree.flatten(structure)
        if not outputs or not all(map(is_symbolic, outputs)):
            raise _Unreadable("returns something that is not a tensor")
        calls = recorded_calls(outputs, inputs, layer.name, named)
        if any(
            getattr(node.operation, "weights", ())
            and id(node.operation) not in held
            for node in calls
        ):
            raise _Unreadable("makes layers with weights when it is called")
        inner = {
            position: self.found(node.outputs)
            for position, node in enumerate(calls)
            if must_be_opened(node.operation)
        }
        return Trace(
            layer, tuple(inputs), calls, tuple(outputs), inner, structure, held
        )


class _Unreadable(Exception):
    pass


def _reason(error):
    if isinstance(error, _Unreadable):
        return str(error)
    text = str(error)
    # Keras puts what was said inside of its own message, in bold.
    said = re.search("\x1b\\[1m(.*?)\x1b\\[0m", text, re.DOTALL)
    text = (said.group(1) if said else text).strip() or "no message"
    return (
        "cannot be called on symbolic tensors: "
        f"{type(error).__name__}: {text.splitlines()[0][:200]}"
    )


def _tensors(structure):
    return [x for x in keras.tree.flatten(structure) if is_symbolic(x)]
