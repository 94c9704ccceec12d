"""Decides what a channel remembers while it is dormant, and gets back."""

import numpy as np


def remember(value, memory, was_active, is_active):
    """Saves elements that go dormant and restores those that come back.

    Works on single elements of a weight: an element is active if the
    channels at both of its ends are. A snapshot per channel would overwrite
    elements whose two ends went dormant at different times.

    | was active | is active | value    | memory    |
    |------------|-----------|----------|-----------|
    | yes        | yes       | stays    | stays     |
    | yes        | no        | stays    | the value |
    | no         | yes       | the memory | stays   |
    | no         | no        | stays    | stays     |

    Args:
        value: array of any shape, the weight.
        memory: array of the same shape, what was remembered so far.
        was_active: bool array that broadcasts to that shape.
        is_active: bool array that broadcasts to that shape.

    Returns:
        New value and new memory, arrays of the shape and dtype of `value`.

    Raises:
        ValueError: If the shapes of value and memory differ.

    Example:

    >>> value, memory = np.array([1.0, 2.0, 3.0]), np.array([7.0, 8.0, 9.0])
    >>> was_active = np.array([True, True, False])
    >>> is_active = np.array([True, False, True])
    >>> remember(value, memory, was_active, is_active)
    (array([1., 2., 9.]), array([7., 2., 9.]))
    """
    value, memory = np.asarray(value), np.asarray(memory, np.dtype(value.dtype))
    if value.shape != memory.shape:
        raise ValueError(
            "Argument `memory` must have the shape of `value`. "
            f"Received: {memory.shape} for a value of shape {value.shape}"
        )
    was_active, is_active = np.asarray(was_active), np.asarray(is_active)
    saved = was_active & ~is_active
    restored = is_active & ~was_active
    return (
        np.where(restored, memory, value),
        np.where(saved, value, memory),
    )
