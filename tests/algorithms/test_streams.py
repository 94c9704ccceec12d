"""How wide residual streams stay, by hand."""

import numpy as np
import pytest

from keras_chex.algorithms.cost import channel_count_cost
from keras_chex.algorithms.streams import stream_bounds

SIZES = np.array([16, 16, 8])
IS_STREAM = np.array([True, False, False])
COUNT = channel_count_cost(SIZES)


@pytest.mark.parametrize(
    "limit, streams, stream",
    [
        (20, 1.0, 8),  # all at 1/2
        (14, 0.5, 8),  # 16 * 1/2 + 24 * 1/4
        (28, 0.5, 12),  # the root of s is 0.797
        (22, 0.0, 16),  # whole, and 6 units for the others
        (18, 0.0, 16),  # whole, and one unit for each
        (17, 0.0, 15),  # not even that
        (3, 0.0, 1),
        (40, 0.3, 16),
    ],
)
def test_bound_of_a_stream(limit, streams, stream):
    bounds = stream_bounds(SIZES, COUNT, limit, IS_STREAM, streams)
    assert bounds.tolist() == [stream, 1, 1]
    assert COUNT(bounds) <= limit


def test_bounds_keep_other_bounds_and_multiples():
    bounds = stream_bounds(
        SIZES,
        COUNT,
        30,
        IS_STREAM,
        0.0,
        min_widths=[2, 6, 3],
        max_widths=[13, 16, 8],
        round_to=[4, 1, 2],
    )
    assert bounds.tolist() == [12, 6, 4]


def test_without_streams_nothing_is_raised():
    bounds = stream_bounds(SIZES, COUNT, 12, [False] * 3, 0.0)
    assert bounds.tolist() == [1, 1, 1]
