import numpy as np
import pytest

from keras_chex.algorithms.memory import remember


def test_the_four_cases_match_the_pencil():
    value = np.array([1.0, 2.0, 3.0, 4.0])
    memory = np.array([-1.0, -2.0, -3.0, -4.0])
    was_active = np.array([True, True, False, False])
    is_active = np.array([True, False, True, False])
    new_value, new_memory = remember(value, memory, was_active, is_active)
    np.testing.assert_array_equal(new_value, [1, 2, -3, 4])
    np.testing.assert_array_equal(new_memory, [-1, 2, -3, -4])


def test_the_two_ends_of_an_element_may_go_dormant_at_different_times():
    # kernel[i, o]: output 0 goes dormant, then input 0, then both come back
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]])
    both = np.ones((2, 2), dtype=bool)
    without_output = np.array([[False, True], [False, True]])
    without_both = np.array([[False, False], [False, True]])
    memory = np.zeros((2, 2))
    value, memory = remember(kernel, memory, both, without_output)
    value = np.where(without_output, value + 10, -99.0)  # training, drift
    value, memory = remember(value, memory, without_output, without_both)
    value = np.where(without_both, value + 10, -99.0)
    value, memory = remember(value, memory, without_both, both)
    np.testing.assert_array_equal(value, [[1.0, 12.0], [3.0, 24.0]])


def test_masks_broadcast_over_the_weight():
    value, memory = np.ones((3, 3, 2, 4)), np.zeros((3, 3, 2, 4))
    is_active = np.array([True, False, True, True])
    _, memory = remember(value, memory, True, is_active)
    np.testing.assert_array_equal(memory.sum(axis=(0, 1, 2)), [0, 18, 0, 0])


def test_type_of_the_value_is_kept():
    value, memory = remember(
        np.ones(2, "float16"), np.zeros(2), np.array([True, False]), False
    )
    assert value.dtype == memory.dtype == np.float16


def test_arguments_are_left_as_they_were():
    value, memory = np.ones(2), np.zeros(2)
    remember(value, memory, np.array([True, False]), np.array([False, True]))
    np.testing.assert_array_equal(value, [1, 1])
    np.testing.assert_array_equal(memory, [0, 0])


def test_shapes_that_differ_are_named():
    message = (
        "^Argument `memory` must have the shape of `value`. "
        r"Received: \(3,\) for a value of shape \(2,\)$"
    )
    with pytest.raises(ValueError, match=message):
        remember(np.ones(2), np.ones(3), True, False)
