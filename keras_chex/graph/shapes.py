"""Shapes of all tensors of a model for a given input shape."""

import math
import numbers

import keras


def call_shapes(graph, model, input_shape=None):
    """Finds input and output shapes of every call of every operation.

    Args:
        graph: the `ChannelGraph` of `model`.
        model: a functional or Sequential model.
        input_shape: tuple without the batch axis, a list of them for several
            inputs, or None to take what the model says.

    Returns:
        `{id(layer): [(input shape, output shape), ...]}` with the batch axis:
        None, or what one example becomes where examples are divided.

    Raises:
        ValueError: If the sizes are not known, or `input_shape` does not fit.
    """
    shapes, given = _known_shapes(graph, model, input_shape)
    if any(
        _divides_examples(op.layer, shapes.get(id(op.layer), ()))
        for op in graph.operations
    ):
        return _propagated(graph, given, 1)
    return {
        key: [tuple((None, *s[1:]) if s else s for s in pair) for pair in pairs]
        for key, pairs in shapes.items()
    }


def _divides_examples(layer, pairs):
    """Whether parts of an example become examples, such as windows."""
    if not hasattr(layer, "newshape"):
        return False
    sizes = [
        [math.prod(shape[1:]) for shape in pair]
        for pair in pairs
        if not any(None in shape[1:] for shape in pair)
    ]
    return any(before != after for before, after in sizes)


def _known_shapes(graph, model, input_shape):
    """The shapes of all calls, and those of the inputs without batch."""
    program = graph.program
    if input_shape is None:
        shapes = {id(op.layer): op.shapes for op in graph.operations}
        inputs = [tuple(x.shape[1:]) for x in program.inputs]
        if _is_open(graph, shapes) and not any(None in x for x in inputs):
            shapes = _closed(graph, inputs)
        if _is_open(graph, shapes):
            raise ValueError(
                "Argument `input_shape` is needed for a model that takes any "
                f"size. Received: None for '{model.name}' with inputs "
                f"{[tuple(x.shape) for x in program.inputs]}. Pass the "
                "shape of one example, such as `input_shape=(224, 224, 3)`."
            )
        return shapes, inputs
    known = [tuple(x.shape) for x in program.inputs]
    given = input_shape
    if _is_shape(given) and not any(map(_is_shape, given)):
        given = [given]
    if not (
        _is_shape(given)
        and len(given) == len(known)
        and all(map(_fits, given, known))
    ):
        raise ValueError(
            "Argument `input_shape` must fit the inputs of the model, without "
            f"the batch axis. Received: {input_shape} for inputs {known}"
        )
    return _closed(graph, given), given


def _closed(graph, given):
    """Runs shapes through all calls, of one example where code asks for it."""
    shapes = _propagated(graph, given)
    return _propagated(graph, given, 1) if _is_open(graph, shapes) else shapes


def _is_open(graph, shapes):
    """Tells whether a size that counts is not known."""
    return any(
        None in shape[1:]
        for op in graph.operations
        if op.weights
        for pair in shapes[id(op.layer)]
        for shape in pair
    )


def _propagated(graph, given, batch=None):
    """Runs shapes of one example each through all calls."""
    program = graph.program
    rules = {id(op.layer): op.rule for op in graph.operations}
    tensors = {
        number: keras.KerasTensor((batch or x.shape[0], *shape), dtype=x.dtype)
        for number, (x, shape) in enumerate(
            zip(program.inputs, given, strict=True)
        )
    }
    found = {}
    for call in program.executed():
        layer = call.node.operation
        args, kwargs = call.fill_in(tensors)
        outputs = keras.tree.flatten(layer.compute_output_spec(*args, **kwargs))
        first = tuple(tensors[call.inputs[0]].shape)
        known = [tuple(x.shape) for x in outputs]
        if id(layer) in rules:
            known = rules[id(layer)].output_shapes(layer, first, known)
        outputs = [
            keras.KerasTensor(shape, x.dtype)
            for shape, x in zip(known, outputs, strict=True)
        ]
        pair = first, known[0]
        found.setdefault(id(layer), []).append(pair)
        tensors.update(zip(call.outputs, outputs, strict=True))
    return found


def _is_shape(value):
    return isinstance(value, (list, tuple))


def _fits(shape, full):
    """Tells whether the shape of one example fits that of a whole batch."""
    return (
        _is_shape(shape)
        and len(shape) == len(full) - 1
        and all(
            isinstance(n, numbers.Integral) and n > 0 and m in (None, n)
            for n, m in zip(shape, full[1:], strict=True)
        )
    )
