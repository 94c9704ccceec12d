"""Flags of the exploration: each reaches its argument of `ChexScheduler`."""

import types

import pytest

from experiments.common import program_flags

VALUES = {
    "flops": None,
    "params": 0.4,
    "sparsity": None,
    "regrow": 0.2,
    "interval": 3,
    "end": 0.6,
    "unit": "step",
    "criterion": "l1",
    "sampling": "uniform",
    "restore": "zeros",
    "allocation": "fisher",
    "min_channels": 2,
    "max_channels": 30,
    "round_to": "4",
    "exclude": ["stem", ".*_conv2"],
    "budget_scope": "backbone",
    "schedule": "linear",
    "probability": "softmax",
    "streams": 0.4,
    "blend": 0.7,
    "floor": 0.1,
}


def scheduler(**changes):
    values = types.SimpleNamespace(**{**VALUES, **changes})
    return program_flags.scheduler(values, seed=5)


def test_every_flag_reaches_the_scheduler():
    built = scheduler()
    assert built.budget == ("params", 0.4)
    assert built.exclude == ["stem", ".*_conv2"]
    assert built.budget_scope == "backbone"
    assert built.options.seed == 5
    others = {"flops", "params", "sparsity", "exclude", "budget_scope"}
    expected = {**VALUES, "round_to": 4}
    for name in VALUES.keys() - others:
        assert getattr(built.options, name) == expected[name], name
    assert scheduler(round_to="auto").options.round_to == "auto"
    with pytest.raises(ValueError, match="round_to"):
        scheduler(round_to="some")


def test_half_of_the_flops_is_kept_if_no_budget_is_given():
    assert scheduler(params=None).budget == ("flops", 0.5)


def test_two_budgets_are_refused():
    with pytest.raises(ValueError, match="Exactly one"):
        scheduler(flops=0.5)


@pytest.mark.parametrize(
    "end, expected", [(0.5, 0.5), (1.0, 1.0), (180.0, 180)]
)
def test_end_above_one_counts_units(end, expected):
    value = scheduler(end=end).options.end
    assert value == expected
    assert isinstance(value, type(expected))
