"""Pruning schedules of TFMOT as schedules of regrowing."""

import warnings

import numpy as np
import pytest

import keras_chex
from keras_chex.algorithms.schedules import regrow_fraction


class Schedule:
    """Looks like a pruning schedule; TFMOT is not needed."""

    def __init__(self, name, **values):
        self.config = {"class_name": name, "config": values}

    def __call__(self, step):
        raise AssertionError("asked for a tensor")

    def get_config(self):
        return self.config


def polynomial(begin=0, end=100, power=3, first=0.0, last=0.8):
    return Schedule(
        "PolynomialDecay",
        initial_sparsity=first,
        final_sparsity=last,
        begin_step=begin,
        end_step=end,
        power=power,
        frequency=10,
    )


@pytest.mark.parametrize(
    "schedule, expected",
    [
        (polynomial(), [0.4, 0.16875, 0.05, 0.00625, 0.0]),
        (polynomial(power=1, first=0.5), [0.4, 0.3, 0.2, 0.1, 0.0]),
        # It begins at half of the run.
        (polynomial(begin=50, power=2), [0.4, 0.4, 0.4, 0.1, 0.0]),
        (polynomial(begin=100), [0.4, 0.4, 0.4, 0.4, 0.0]),
        (Schedule("ConstantSparsity", target_sparsity=0.5), [0.4] * 5),
    ],
)
def test_factors_are_those_computed_by_hand(schedule, expected):
    found = [
        regrow_fraction(progress, 0.4, schedule)
        for progress in (0, 0.25, 0.5, 0.75, 1)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_real_schedules_mean_what_they_return():
    pytest.importorskip("tensorflow", reason="needs TensorFlow")
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "distutils Version", DeprecationWarning
        )
        tfmot = pytest.importorskip("tensorflow_model_optimization")
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.2, 0.7, 10, 50, power=2)
    for step in range(51):
        sparsity = float(schedule(np.int64(step))[1])
        found = regrow_fraction(step / 50, 1.0, schedule)
        assert found == pytest.approx((0.7 - sparsity) / 0.5, abs=1e-6)
    constant = tfmot.sparsity.keras.ConstantSparsity(0.5, 0)
    assert regrow_fraction(0.5, 0.3, constant) == 0.3
    scheduler = keras_chex.ChexScheduler(flops=0.5, schedule=schedule)
    assert scheduler.options.schedule is schedule


@pytest.mark.parametrize(
    "schedule, message",
    [
        (
            Schedule("MySchedule"),
            "^Argument `schedule` must be a `PolynomialDecay` or "
            "`ConstantSparsity` where it is a pruning schedule. Received: "
            "MySchedule. Give a callable",
        ),
        (
            polynomial(first=0.5, last=0.5),
            "^Argument `schedule` must rise from its `initial_sparsity` to",
        ),
    ],
)
def test_others_are_refused_before_training(schedule, message):
    with pytest.raises(ValueError, match=message):
        regrow_fraction(0.5, 0.3, schedule)
    with pytest.raises(ValueError, match=message):
        keras_chex.ChexScheduler(flops=0.5, schedule=schedule)
