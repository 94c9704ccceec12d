"""What `strip` writes where Keras has no operation of the same kind.

Each function takes the operation as the graph knows it, what its call is
given, the model's first input and the `Steps` to write with. It returns the
outputs, or `None` where it does not apply.
"""

import keras
from keras import ops

from keras_chex.graph.batch_size import copies_examples
from keras_chex.graph.constants import Constant
from keras_chex.graph.keras_nodes import recorded_calls


def substitute(op, call, given, first, steps):
    """Outputs of a call that cannot be made again as it was.

    Args:
        op: the operation, as the channel graph knows it.
        call: its call in the program.
        given: `(args, kwargs)`, of symbolic tensors of the new model.
        first: the first input of the new model.
        steps: `Steps`.

    Returns:
        A list of symbolic tensors; `None` if the operation can be made again.
    """
    args, kwargs = given
    if isinstance(op.layer, Constant):
        return [_array(op.layer.value, args[0], steps)]
    if copies_examples(call.node):
        return [_for_all_examples(args[0], first, steps)]
    if hasattr(op.stand_in, "plain"):
        plain, args = op.stand_in.plain(*args, **kwargs)
        plain.name = steps.name(call.node.operation.name)
        return keras.tree.flatten(plain(*args))
    return _rewritten(op, args, kwargs, steps)


def table_of(op, width, name):
    """A layer for a weight that the user's code holds itself: a table.

    Its one row is the weight: Keras has no layer that holds a weight and
    nothing else.

    Args:
        op: operation whose layer is an `OwnWeight`.
        width: int, values that are left.
        name: string.
    """
    regularizer, constraint = op.inner.terms
    return keras.layers.Embedding(
        1,
        width,
        "zeros",
        embeddings_regularizer=regularizer,
        embeddings_constraint=constraint,
        name=name,
        trainable=op.inner.weight.trainable,
        dtype=op.inner.dtype_policy,
    )


def row_of(table, shape, tensor, steps):
    """Reads the weight that `table_of` has put into a table."""
    row = table(steps.zero(tensor, "int32"))
    return steps.apply(lambda x: ops.reshape(x, shape), row, "shape")


def _array(value, tensor, steps):
    """An array that the code knows, as part of the graph."""
    zero = steps.zero(tensor, value.dtype.name)
    return steps.apply(lambda x: ops.add(x, value), zero, "sum")


def _for_all_examples(tensor, first, steps):
    """One example for each of those that a model is given."""
    rank = len(tensor.shape)
    key = (slice(None), *[0] * (len(first.shape) - 1))
    zeros = steps.apply(lambda x: x[key], first, "column")
    for name, function in (
        ("zeros", lambda x: ops.zeros_like(x, tensor.dtype)),
        ("places", lambda x: ops.reshape(x, (-1, *[1] * (rank - 1)))),
        ("copies", lambda x: ops.add(x, tensor)),
    ):
        zeros = steps.apply(function, zeros, name)
    return zeros


def _rewritten(op, args, kwargs, steps):
    """What the rule of the layer writes in other operations."""
    outputs = op.rule.rewritten(op.layer, args, kwargs)
    if outputs is not None:
        given = keras.tree.flatten((args, kwargs))
        given = [x for x in given if isinstance(x, keras.KerasTensor)]
        for call in recorded_calls(outputs, given, op.layer.name):
            call.operation.name = steps.name_of(call.operation.name)
    return outputs
