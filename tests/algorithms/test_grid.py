import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_chex.algorithms.grid import WidthGrid, multiples_for


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


def test_every_group_may_have_a_multiple_of_its_own():
    sizes, multiples = np.array([64, 20, 9]), np.array([8, 3, 1])
    grid = WidthGrid(sizes, 2, multiples)
    alone = [
        WidthGrid([size], 2, multiple)
        for size, multiple in zip(sizes, multiples, strict=True)
    ]
    for move in ("at_most", "at_least", "nearest", "above", "below"):
        for widths in ([64, 20, 9], [17, 7, 5], [1, 1, 1]):
            found = getattr(grid, move)(np.array(widths))
            one_by_one = [
                getattr(group, move)(np.array([width]))[0]
                for group, width in zip(alone, widths, strict=True)
            ]
            assert found.tolist() == one_by_one


@given(sizes=st.lists(st.integers(1, 4096), min_size=1, max_size=5))
def test_multiples_by_size_leave_full_widths_and_a_choice(sizes):
    multiples = multiples_for(sizes)
    grid = WidthGrid(sizes, 1, multiples)
    assert (grid.highest == sizes).all() and grid.exact.all()
    assert (multiples <= 16).all()
    narrow = np.array(sizes) < 32
    assert (multiples[narrow] == 1).all()
    assert (multiples * 16 <= np.array(sizes))[multiples > 1].all()


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
