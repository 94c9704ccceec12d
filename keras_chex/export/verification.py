"""Compares what a written file computes with what the model computes."""

import contextlib

import numpy as np

# Part of an example with a free size, such as the height of a picture.
FREE_SIZE = 64
# Two of them, so that a batch size that got baked in is seen.
BATCH_SIZES = (1, 3)


def input_batches(specs, representative_data=None, sizes=BATCH_SIZES):
    """Makes the batches on which a file is compared with its model.

    Args:
        specs: nest of `tf.TensorSpec`, the arguments of the model.
        representative_data: nest of arrays of the same structure as the
            model's inputs, batch axis first; `None` draws numbers.
        sizes: ints, the batch sizes where the model does not fix one.

    Returns:
        List of nests of arrays.

    Raises:
        ValueError: If `representative_data` has another structure, shape or
            no example, or an input is of a type that cannot be drawn.
    """
    import tensorflow as tf

    if representative_data is None:
        rng = np.random.default_rng(0)
        return [
            tf.nest.map_structure(lambda spec, n=n: _draw(spec, n, rng), specs)
            for n in sizes
        ]
    examples = _matching_examples(specs, representative_data)
    return [
        tf.nest.map_structure(
            lambda spec, array, n=n: array[: spec.shape[0] or n],
            specs,
            examples,
        )
        for n in sizes
    ]


def _matching_examples(specs, representative_data):
    import tensorflow as tf

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
    for spec, array in zip(
        tf.nest.flatten(specs), tf.nest.flatten(given), strict=True
    ):
        if not array.size or not spec.shape.is_compatible_with(
            (spec.shape[0], *array.shape[1:])
        ):
            raise ValueError(
                "Argument `representative_data` must hold at least one example "
                f"of shape {tuple(spec.shape)} for input {spec.name!r}. "
                f"Received: an array of shape {array.shape}"
            )
    return tf.nest.map_structure(
        lambda spec, array: array.astype(spec.dtype.as_numpy_dtype),
        specs,
        given,
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


@contextlib.contextmanager
def full_float32():
    """Keeps graphics cards from rounding convolutions to TensorFloat-32."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def named_outputs(outputs):
    """Names a model's outputs as the signatures of the written files do.

    >>> named_outputs([np.zeros(2), np.ones(2)])
    {'output_0': array([0., 0.]), 'output_1': array([1., 1.])}
    """
    if isinstance(outputs, dict):
        return {name: np.asarray(value) for name, value in outputs.items()}
    if not isinstance(outputs, list | tuple):
        outputs = [outputs]
    return {f"output_{i}": np.asarray(value) for i, value in enumerate(outputs)}


def check_same_outputs(expected, received, tolerance, what):
    """Raises unless all outputs agree.

    Args:
        expected: dict of arrays, the outputs of the Keras model.
        received: dict of arrays, the outputs of the written file.
        tolerance: float, largest difference allowed, as a share of the
            largest absolute value of the expected output.
        what: str, the thing that was written, for the message.

    Raises:
        RuntimeError: If an output is missing, has another shape, is not
            finite or differs.
    """
    if expected.keys() != received.keys():
        raise RuntimeError(
            f"The {what} has the outputs {sorted(received)}; the model has "
            f"{sorted(expected)}. Nothing was kept"
        )
    for name, wanted in expected.items():
        problem = _difference(wanted, received[name], tolerance)
        if problem:
            raise RuntimeError(
                f"The {what} does not compute what the model computes: output "
                f"{name!r} {problem}. Nothing was kept"
            )


def _difference(wanted, got, tolerance):
    if wanted.shape != got.shape:
        return f"has the shape {got.shape} instead of {wanted.shape}"
    wanted, got = wanted.astype("float64"), got.astype("float64")
    if not np.isfinite(wanted).all():
        return "of the model itself is not finite"
    if not np.isfinite(got).all():
        return "is not finite"
    largest = np.abs(wanted).max(initial=0.0)
    difference = np.abs(wanted - got).max(initial=0.0)
    if difference > tolerance * max(largest, 1e-3):
        return (
            f"differs by {difference:.2g} where the largest value is "
            f"{largest:.2g} (allowed: {tolerance:g} of it)"
        )
    return None
