import numpy as np
import pytest

from keras_chex.algorithms.cost import QuadraticCost, channel_count_cost
from tests.algorithms.networks import basic_resnet, bottleneck_resnet


def two_convolutions():
    """A 3x3 convolution, 3 -> w0, and a 1x1, w0 -> w1, on 8x8 positions."""
    return QuadraticCost(
        coefficient=[9 * 64, 64],
        left=[[0, 0], [1, 0]],
        left_constant=[3, 0],
        right=[[1, 0], [0, 1]],
        right_constant=[0, 0],
        constant=5,
    )


@pytest.mark.parametrize(
    "widths, expected",
    [([16, 32], 60416 + 5), ([1, 1], 1728 + 64 + 5), ([0, 0], 5)],
)
def test_cost_matches_the_pencil(widths, expected):
    found = two_convolutions()(np.array(widths))
    assert found == expected
    assert isinstance(found, int)


def test_resnet50_costs_what_is_published():
    # stride in the first convolution of a stage, as in Keras: 3.858 G
    sizes, cost = bottleneck_resnet()
    assert cost(sizes) == 3_857_973_248
    assert len(sizes) == 37


def test_a_group_may_be_on_both_sides_and_meet_a_constant():
    # concatenation: (w0 + w1 + 2) inputs, (w0 + 1) outputs
    cost = QuadraticCost([7], [[1, 1]], [2], [[1, 0]], [1])
    assert cost([3, 4]) == 7 * (3 + 4 + 2) * (3 + 1)


def test_large_costs_are_exact():
    sizes, cost = bottleneck_resnet(width=256, image=224)
    rng = np.random.default_rng(0)
    for _ in range(20):
        widths = rng.integers(1, sizes + 1)
        terms = [
            int(c)
            * (int(left @ widths) + int(a))
            * (int(right @ widths) + int(b))
            for c, left, a, right, b in zip(
                cost.coefficient,
                cost.left,
                cost.left_constant,
                cost.right,
                cost.right_constant,
                strict=True,
            )
        ]
        assert cost(widths) == sum(terms)
        assert cost(widths) > 2**32


def test_increase_is_the_difference_of_two_costs():
    sizes, cost = basic_resnet()
    rng = np.random.default_rng(1)
    widths = rng.integers(1, sizes)
    step = rng.integers(-1, 2, sizes.size)
    found = cost.increase(cost.gradient(widths), step)
    for group in range(sizes.size):
        changed = widths.copy()
        changed[group] += step[group]
        assert found[group] == cost(changed) - cost(widths)


def test_many_widths_are_priced_at_once():
    sizes, cost = basic_resnet()
    widths = np.random.default_rng(2).integers(1, sizes + 1, (5, sizes.size))
    expected = [cost(row) for row in widths]
    np.testing.assert_array_equal(cost.evaluate(widths), expected)


def test_channel_count_counts_units_or_channels():
    assert channel_count_cost([16, 32])([4, 8]) == 12
    assert channel_count_cost([16, 32], channels_per_unit=[1, 3])([4, 8]) == 28


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"coefficient": [-1.0, 2.0]},
            "^Argument `coefficient` must hold finite numbers of at least 0. "
            r"Received: \[-1.0, 2.0\]$",
        ),
        (
            {"right_constant": [0.5, 0]},
            "^Argument `right_constant` must hold whole numbers, so that costs "
            r"are exact. Received: \[0.5, 0\]$",
        ),
        (
            {"left": [[1, 0]]},
            r"^Argument `left` must have shape `\(terms, groups\)`. Received: "
            r"shape \(1, 2\) for 2 terms$",
        ),
        (
            {"right": [[1], [0]]},
            r"^Argument `right` must have shape \(2, 2\). "
            r"Received: shape \(2, 1\)$",
        ),
        (
            {"left_constant": [3]},
            r"^Argument `left_constant` must have shape \(2,\). "
            r"Received: shape \(1,\)$",
        ),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {
        "coefficient": [9, 64],
        "left": [[0, 0], [1, 0]],
        "left_constant": [3, 0],
        "right": [[1, 0], [0, 1]],
        "right_constant": [0, 0],
    }
    with pytest.raises(ValueError, match=message):
        QuadraticCost(**{**arguments, **change})


def test_a_wrong_number_of_widths_is_named():
    message = (
        "^Argument `widths` must hold one width per channel group. "
        r"Received: shape \(3,\) for 2 groups$"
    )
    with pytest.raises(ValueError, match=message):
        two_convolutions()([1, 2, 3])
