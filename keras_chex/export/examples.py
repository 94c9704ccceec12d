"""Examples for a model: real ones that users give, or drawn numbers."""

import keras
import numpy as np

# Part of an example with a free size, such as the height of a picture.
FREE_SIZE = 64
# Of more examples only the first are used: the ranges of activations change
# little after them, and each costs two inferences and a calibration step.
MAX_EXAMPLES = 512
# Two small batches first, so that a batch size that got baked in is seen.
BATCH_SIZES = (1, 3)
LATER_BATCH_SIZE = 32


def drawn_batches(specs):
    """Draws batches of random numbers that a model can take.

    Args:
        specs: nest of `tf.TensorSpec`, the arguments of the model.

    Returns:
        List of nests of arrays, one for each of `BATCH_SIZES`.

    Raises:
        ValueError: If an input is of a rank or type that cannot be drawn.
    """
    import tensorflow as tf

    rng = np.random.default_rng(0)
    return [
        tf.nest.map_structure(lambda spec, n=n: _draw(spec, n, rng), specs)
        for n in BATCH_SIZES
    ]


def matching_examples(specs, representative_data):
    """Brings the examples of a user into the structure of the inputs.

    Args:
        specs: nest of `tf.TensorSpec`, the arguments of the model.
        representative_data: nest of arrays, batch axis first, or an iterable
            of batches of them: a `tf.data.Dataset`, a generator.

    Returns:
        Nest of arrays of the types that the model takes, with the first
        `MAX_EXAMPLES` examples at most.

    Raises:
        ValueError: If `representative_data` has another structure, shape or
            no example.
    """
    import tensorflow as tf

    if _is_stream(representative_data):
        representative_data = _joined(representative_data)
    given = tf.nest.map_structure(np.asarray, (representative_data,))
    if len(tf.nest.flatten(specs)) == len(tf.nest.flatten(given)) == 1:
        # A model of one input takes it in a list or on its own.
        given = tf.nest.pack_sequence_as(specs, tf.nest.flatten(given))
    try:
        tf.nest.assert_same_structure(specs, given, check_types=False)
    except (ValueError, TypeError):
        # TensorFlow's message holds all the arrays.
        raise ValueError(
            "Argument `representative_data` must have the structure of the "
            f"model's inputs, {_described(specs)}. Received: "
            f"{_described(given)}"
        ) from None
    _check_shapes(tf.nest.flatten(specs), tf.nest.flatten(given))
    return tf.nest.map_structure(
        lambda spec, array: array[:MAX_EXAMPLES].astype(
            spec.dtype.as_numpy_dtype
        ),
        specs,
        given,
    )


def example_batches(specs, examples):
    """Yields all examples, in batches of several sizes.

    The first two batches hold one and three, the others 32. A model of a fixed
    batch size gets that one. Where examples run out, they start again.

    Args:
        specs: nest of `tf.TensorSpec`, the arguments of the model.
        examples: what `matching_examples` returned.
    """
    import tensorflow as tf

    fixed = fixed_batch_size(specs)
    for start, size in _slices(count_examples(examples), fixed):
        yield tf.nest.map_structure(
            lambda array, start=start, size=size: np.take(
                array, range(start, start + size), axis=0, mode="wrap"
            ),
            examples,
        )


def single_examples(specs, examples):
    """Yields the examples one by one, each in a batch of its own.

    Args:
        specs: nest of `tf.TensorSpec`; a fixed batch size holds here too.
        examples: what `matching_examples` returned.

    Returns:
        Generator of dicts from the name of an input to an array.
    """
    import tensorflow as tf

    names = [spec.name for spec in tf.nest.flatten(specs)]
    arrays = tf.nest.flatten(examples)
    size = fixed_batch_size(specs) or 1
    for start in range(0, len(arrays[0]), size):
        indices = range(start, start + size)
        yield {
            name: np.take(array, indices, axis=0, mode="wrap")
            for name, array in zip(names, arrays, strict=True)
        }


def count_examples(examples):
    """Number of examples in a nest of arrays."""
    return len(keras.tree.flatten(examples)[0])


def fixed_batch_size(specs):
    """The batch size that a model insists on, or `None`."""
    import tensorflow as tf

    sizes = [spec.shape[0] for spec in tf.nest.flatten(specs)]
    return next((size for size in sizes if size), None)


def _slices(count, fixed):
    """Yields where each batch starts and how many examples it has."""
    if fixed:
        yield from ((start, fixed) for start in range(0, count, fixed))
        return
    start = 0
    for size in BATCH_SIZES:
        yield start, size
        start += size
    for later in range(start, count, LATER_BATCH_SIZE):
        yield later, min(LATER_BATCH_SIZE, count - later)


def _is_stream(data):
    """Whether `data` yields batches, rather than being a nest of arrays."""
    is_array = hasattr(data, "shape")
    return hasattr(data, "__iter__") and not (
        is_array or isinstance(data, list | tuple | dict)
    )


def _joined(batches):
    """Joins batches until there are enough examples.

    As in `fit`, a tuple holds inputs first, then targets.
    """
    taken, count = [], 0
    for batch in batches:
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
        taken.append(keras.tree.map_structure(np.asarray, inputs))
        count += count_examples(taken[-1])
        if count >= MAX_EXAMPLES:
            break
    if not taken:
        raise ValueError(
            "Argument `representative_data` must hold at least one example. "
            "Received: an iterable without a batch; a generator can be used "
            "up only once"
        )
    return keras.tree.map_structure(
        lambda *arrays: np.concatenate(arrays), *taken
    )


def _check_shapes(specs, arrays):
    for spec, array in zip(specs, arrays, strict=True):
        if not array.size or not spec.shape.is_compatible_with(
            (spec.shape[0], *array.shape[1:])
        ):
            raise ValueError(
                "Argument `representative_data` must hold at least one example "
                f"of shape {tuple(spec.shape)} for input {spec.name!r}. "
                f"Received: an array of shape {array.shape}"
            )
    counts = [len(array) for array in arrays]
    if len(set(counts)) > 1:
        raise ValueError(
            "Argument `representative_data` must hold as many examples of one "
            f"input as of the others. Received: {counts} examples"
        )


def _described(nest):
    import tensorflow as tf

    shapes = tf.nest.map_structure(lambda leaf: str(tuple(leaf.shape)), nest)
    return str(shapes[0] if len(shapes) == 1 else shapes)


def _draw(spec, batch_size, rng):
    if spec.shape.rank is None:
        raise ValueError(
            f"Input {spec.name!r} of the model has no known rank; give "
            "examples as `representative_data`"
        )
    sizes = [size or FREE_SIZE for size in spec.shape[1:]]
    shape = [spec.shape[0] or batch_size, *sizes] if spec.shape.rank else []
    dtype = spec.dtype.as_numpy_dtype
    if spec.dtype.is_floating:
        return rng.standard_normal(shape).astype(dtype)
    if spec.dtype.is_integer or spec.dtype.is_bool:
        # Zeros and ones are valid indices of every embedding with two rows.
        return rng.integers(0, 2, shape).astype(dtype)
    raise ValueError(
        f"Input {spec.name!r} of the model has the type {spec.dtype.name}, "
        "for which no examples can be drawn; give some as "
        "`representative_data`"
    )
