"""When exploration steps happen."""

import pytest

from keras_chex.callbacks.clock import Clock, make_clock


def test_paper_schedule():
    clock = make_clock(2, 0.72, "epoch", 250, None)
    assert clock.times == tuple(range(2, 181, 2))


def test_the_end_is_always_a_step():
    assert Clock(4, 10, 20).times == (4, 8, 10)


@pytest.mark.parametrize("stride", [1, 3, 7])
def test_no_step_is_missed_whatever_the_stride(stride):
    clock, done, seen = Clock(5, 23, 40), 0, []
    for now in range(0, 41, stride):
        due = clock.due(done, now)
        if due is not None:
            done = due
            seen.append(due)
    # A stride over two of them makes the later one.
    assert seen[-1] == 23
    assert len(seen) == (4 if stride > clock.interval else 5)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ((9, 0.72, "epoch", 10, None), "Received: interval=9 for end=0.72"),
        (
            (2, 11, "epoch", 10, None),
            "must lie within the run. Received: end=11",
        ),
        ((2, 0.5, "step", 10, None), "needs the number of steps per epoch"),
    ],
)
def test_a_schedule_that_does_not_fit_the_run(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_clock(*arguments)
