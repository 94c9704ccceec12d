"""Widths of stages, and of the uniformly slim network."""

import pytest

from experiments.common import widths


def test_slim_network_is_the_nearest_to_the_target():
    def cost(widths):
        return sum(width**2 for width in widths)

    dense = cost(widths.stage_widths(16))
    slim = widths.slim_widths(cost, 16, target=dense / 2)
    assert slim == (11, 23, 45)
    assert abs(cost(slim) / dense - 0.5) < 0.01


@pytest.mark.parametrize(
    "target, expected", [(0, (1, 1, 1)), (1e9, (8, 16, 32))]
)
def test_slim_network_stays_between_one_channel_and_the_dense_one(
    target, expected
):
    assert widths.slim_widths(sum, 8, target) == expected


def test_any_number_of_stages():
    factors = widths.VGG_FACTORS
    assert widths.stage_widths(64, factors=factors) == (64, 128, 256, 512, 512)
    found = widths.slim_widths(sum, 2, target=23, factors=factors)
    assert found == (1, 2, 4, 8, 8)
