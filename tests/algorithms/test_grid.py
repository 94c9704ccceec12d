import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_chex.algorithms.grid import WidthGrid


@pytest.mark.parametrize(
    "size, minimum, round_to, allowed",
    [
        (5, 1, 1, [1, 2, 3, 4, 5]),
        (20, 1, 8, [8, 16]),
        (16, 1, 8, [8, 16]),
        (20, 9, 8, [16]),
        (20, 17, 8, [20]),
        (6, 1, 8, [6]),
    ],
)
def test_moves_walk_over_the_allowed_widths(size, minimum, round_to, allowed):
    grid = WidthGrid([size], minimum, round_to)
    up, down = [grid.lowest[0]], [grid.highest[0]]
    while up[-1] < grid.highest[0]:
        up.append(grid.above([up[-1]])[0])
    while down[-1] > grid.lowest[0]:
        down.append(grid.below([down[-1]])[0])
    assert up == allowed
    assert down[::-1] == allowed
    assert grid.above([size])[0] == allowed[-1]
    assert grid.exact[0] == all(width % round_to == 0 for width in allowed)
    assert grid.below(grid.lowest)[0] == allowed[0]


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(1, 40),
    round_to=st.integers(1, 12),
    data=st.data(),
)
def test_rounding_agrees_with_a_search_of_all_widths(size, round_to, data):
    minimum = data.draw(st.integers(1, size))
    maximum = data.draw(st.integers(minimum, size))
    width = data.draw(st.floats(0, 50))
    grid = WidthGrid([size], minimum, round_to, maximum)
    multiples = [w for w in range(minimum, maximum + 1) if w % round_to == 0]
    allowed = np.array(multiples or [maximum])
    below, above = allowed[allowed <= width], allowed[allowed >= width]
    at_most = below.max(initial=allowed[0])
    at_least = above.min(initial=allowed[-1])
    assert grid.at_most([width])[0] == at_most
    assert grid.at_least([width])[0] == at_least
    nearest = grid.nearest([width])[0]
    assert abs(nearest - width) == np.abs(allowed - width).min()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            ([4, 0],),
            "^Argument `sizes` must be a vector of widths of at least 1. "
            r"Received: sizes=\[4, 0\]$",
        ),
        (
            ([4.5],),
            r"^Argument `sizes` must hold integers. Received: \[4.5\]$",
        ),
        (
            ([4], 1, 0),
            "^Argument `round_to` must be a whole number of at least 1. "
            "Received: round_to=0$",
        ),
        (
            ([4, 8], 5),
            "^Argument `min_widths` must lie between 1 and the size of its "
            "group. Received: 5 for group 0 of size 4$",
        ),
        (
            ([4, 8], [1, 0]),
            "Received: 0 for group 1 of size 8$",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        WidthGrid(*arguments)
