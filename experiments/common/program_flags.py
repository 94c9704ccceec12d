"""Flags that the programs share; those of the exploration are named like the
arguments of `ChexScheduler`."""

import sys

from absl import flags

import keras_chex

DEFAULT_FLOPS = 0.5


def define_exploration(interval, end):
    """Defines the flags of `ChexScheduler`.

    Args:
        interval: int, default of `--interval`, in epochs.
        end: float, default of `--end`, share of the run.
    """
    flags.DEFINE_float(
        "flops",
        None,
        "Share of the dense FLOPs that the final model keeps. "
        f"{DEFAULT_FLOPS} if no budget is given.",
    )
    flags.DEFINE_float(
        "params", None, "Share of the dense parameters, instead of --flops."
    )
    flags.DEFINE_float(
        "sparsity", None, "Share of channels removed, instead of --flops."
    )
    flags.DEFINE_float(
        "regrow", 0.3, "Share of a group's channels regrown in the first step."
    )
    flags.DEFINE_integer(
        "interval", interval, "Units between two exploration steps."
    )
    flags.DEFINE_enum("unit", "epoch", ["epoch", "step"], "Unit of --interval.")
    flags.DEFINE_float(
        "end",
        end,
        "Share of the run after which channels stay as they are; above 1, the "
        "number of units.",
    )
    _define_choices()


def _define_choices():
    """Defines the flags that say which channels stay and which return."""
    flags.DEFINE_string(
        "criterion", "css_consumers", "Which channels stay: css, l1, ..."
    )
    flags.DEFINE_string(
        "sampling",
        "importance",
        "Which channels return: importance, uniform, none, gradual.",
    )
    flags.DEFINE_string(
        "restore", "preserve", "What returns: preserve, mru, zeros, random."
    )
    flags.DEFINE_string(
        "allocation",
        "auto",
        "How widths are shared: auto, uniform, fisher, ...",
    )
    flags.DEFINE_integer("min_channels", 1, "Least channels of any group.")
    flags.DEFINE_integer(
        "max_channels", None, "Most channels of any group that can lose some."
    )
    flags.DEFINE_string(
        "round_to", "auto", "Widths are multiples of this; auto chooses."
    )
    flags.DEFINE_multi_string(
        "exclude",
        [],
        "Layer that keeps its channels, or a regular expression; repeat it.",
    )
    flags.DEFINE_string(
        "budget_scope",
        None,
        "Part of the model that the budget counts, such as backbone; all of it "
        "if not set.",
    )
    flags.DEFINE_string(
        "schedule",
        "cosine",
        "How regrowing fades: cosine, linear, constant, none.",
    )
    flags.DEFINE_string(
        "probability",
        "scale_free",
        "Residuals as probabilities: scale_free, softmax, unsquared, uniform.",
    )
    flags.DEFINE_float(
        "streams",
        1.0,
        "How far residual streams get narrower with the rest: 1 as far, 0 not.",
    )
    flags.DEFINE_float(
        "blend", None, "How far widths follow scores; more and more if not set."
    )
    flags.DEFINE_float(
        "floor", None, "Least share of its uniform width that a group keeps."
    )


def scheduler(values, seed, **changes):
    """Builds the callback that the flags describe.

    Args:
        values: `absl.flags.FLAGS`, parsed.
        seed: int.
        **changes: arguments that differ from the flags.

    Returns:
        A `keras_chex.ChexScheduler`.
    """
    budgets = {
        name: getattr(values, name)
        for name in ("flops", "params", "sparsity")
        if getattr(values, name) is not None
    }
    arguments = {
        name: getattr(values, name)
        for name in (
            "regrow",
            "interval",
            "end",
            "unit",
            "criterion",
            "sampling",
            "restore",
            "allocation",
            "min_channels",
            "max_channels",
            "round_to",
            "exclude",
            "budget_scope",
            "schedule",
            "probability",
            "streams",
            "blend",
            "floor",
        )
    }
    if values.round_to.isdigit():
        arguments["round_to"] = int(values.round_to)
    if values.end > 1:
        arguments["end"] = int(values.end)
    return keras_chex.ChexScheduler(
        **(budgets or {"flops": DEFAULT_FLOPS}),
        **{**arguments, **changes},
        seed=seed,
    )


def apply_smoke(values, defaults):
    """Takes the values of a smoke test for all flags that were not given.

    Args:
        values: `absl.flags.FLAGS`, parsed.
        defaults: dict from a flag to its value in a smoke test.
    """
    if values.smoke:
        for name, value in defaults.items():
            values.set_default(name, value)


def settings(values, program, others=()):
    """What decides the result of a run.

    Args:
        values: `absl.flags.FLAGS`, parsed.
        program: string, `__name__` of the program.
        others: names of more flags that decide nothing.

    Returns:
        Dict of the program's own flags and of the exploration's, without the
        places where data and results lie.
    """
    modules = (sys.modules[program], sys.modules[__name__])
    by_module = values.flags_by_module_id_dict()
    return {
        flag.name: flag.value
        for module in modules
        for flag in by_module.get(id(module), ())
        if flag.name not in ("workdir", "data_dir", *others)
    }
