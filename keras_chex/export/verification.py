"""Compares what a written file computes with what the model computes."""

import contextlib

import numpy as np

from keras_chex.export.examples import (
    drawn_batches,
    example_batches,
    matching_examples,
)

# Below this, outputs are as good as zero and their differences are noise.
SMALLEST_OUTPUT = 1e-3
# Random numbers change outputs by more, as a share of the largest one.
REPEATABLE = 1e-4


def input_batches(specs, representative_data=None):
    """Makes the batches on which a file is compared with its model.

    Args:
        specs: nest of `tf.TensorSpec`, the arguments of the model.
        representative_data: see `matching_examples`; `None` draws numbers.

    Returns:
        List of nests of arrays.

    Raises:
        ValueError: If `representative_data` has another structure, shape or
            no example, or an input is of a type that cannot be drawn.
    """
    if representative_data is None:
        return drawn_batches(specs)
    examples = matching_examples(specs, representative_data)
    return list(example_batches(specs, examples))


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


def require_repeatable(model, batch, what):
    """Raises where a model draws random numbers in inference.

    Converters take the first numbers for constants.

    Args:
        model: a model that is called with `training=False`.
        batch: sequence of its arguments.
        what: str, the thing that is written, for the message.

    Raises:
        ValueError: If outputs differ between two calls on the same batch.
    """
    one, other = (
        named_outputs(model(*batch, training=False)) for _ in range(2)
    )
    found = Differences(what)
    found.add(one, other)
    if found.relative > REPEATABLE:
        raise ValueError(
            "Argument `model` must give the same outputs whenever it is "
            f"called on the same input. Received: '{model.name}', which draws "
            f"random numbers in inference, where this {what} would repeat the "
            "first ones for ever. Leave the layer that draws them out of what "
            "is exported, or write a SavedModel with `export_saved_model`"
        )


def check_same_outputs(expected, received, tolerance, what):
    """Raises unless all outputs of one batch agree.

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
    differences = Differences(what)
    differences.add(expected, received)
    differences.check(tolerance)


class Differences:
    """Gathers, batch by batch, how far a file is from its model.

    Args:
        what: str, the thing that was written, for messages.

    Attributes:
        examples: int, examples compared so far.
    """

    def __init__(self, what):
        self.what = what
        # Output name -> largest absolute value, largest difference.
        self._outputs = {}
        self._rows = self._agreeing = 0
        self.examples = 0

    def add(self, expected, received):
        """Compares the outputs of one batch.

        Args:
            expected: dict of arrays, the outputs of the Keras model.
            received: dict of arrays, the outputs of the written file.

        Raises:
            RuntimeError: If an output is missing, has another shape or is not
                finite.
        """
        if expected.keys() != received.keys():
            raise RuntimeError(
                f"The {self.what} has the outputs {sorted(received)}; the "
                f"model has {sorted(expected)}. Nothing was kept"
            )
        for name, wanted in expected.items():
            self._add_output(name, wanted, received[name])
        (first, *others) = expected
        self.examples += len(np.atleast_1d(expected[first]))
        if not others and is_classifier(expected[first]):
            labels = expected[first].argmax(-1), received[first].argmax(-1)
            self._agreeing += int(np.sum(labels[0] == labels[1]))
            self._rows += len(labels[0])

    def _add_output(self, name, wanted, got):
        if wanted.shape != got.shape:
            self._fail(
                name, f"has the shape {got.shape} instead of {wanted.shape}"
            )
        wanted, got = wanted.astype("float64"), got.astype("float64")
        if not np.isfinite(wanted).all():
            self._fail(name, "of the model itself is not finite")
        if not np.isfinite(got).all():
            self._fail(name, "is not finite")
        largest, difference = self._outputs.get(name, (0.0, 0.0))
        self._outputs[name] = (
            max(largest, float(np.abs(wanted).max(initial=0.0))),
            max(difference, float(np.abs(wanted - got).max(initial=0.0))),
        )

    def check(self, tolerance):
        """Raises `RuntimeError` if a difference is too large.

        Args:
            tolerance: float, as a share of the largest absolute value of the
                same output over all batches.
        """
        for name, (largest, difference) in self._outputs.items():
            if difference > tolerance * max(largest, SMALLEST_OUTPUT):
                self._fail(
                    name,
                    f"differs by {difference:.2g} where the largest value is "
                    f"{largest:.2g} (allowed: {tolerance:g} of it)",
                )

    @property
    def largest(self):
        """Largest difference of any output, in its own unit."""
        return max(difference for _, difference in self._outputs.values())

    @property
    def relative(self):
        """The same as a share of the largest value of the output."""
        return max(
            difference / max(largest, SMALLEST_OUTPUT)
            for largest, difference in self._outputs.values()
        )

    @property
    def top1_agreement(self):
        """Share of examples with the same largest output.

        `None` unless the only output is one row of scores per example.
        """
        return self._agreeing / self._rows if self._rows else None

    def _fail(self, name, problem):
        raise RuntimeError(
            f"The {self.what} does not compute what the model computes: output "
            f"{name!r} {problem}. Nothing was kept"
        )


def is_classifier(outputs):
    """Whether an output looks like scores of classes, one row per example.

    >>> is_classifier(np.zeros((8, 10))), is_classifier(np.zeros((8, 1)))
    (True, False)
    """
    return outputs.ndim == 2 and outputs.shape[-1] > 1
