"""The contenders of the grid: the alternatives, and variants of the method."""

import dataclasses

# The layers that make the residual streams of a CIFAR ResNet.
STREAMS = ("stem_conv", ".*_conv2", ".*_shortcut_conv")


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to spend the training.

    Attributes:
        name: string, part of the names of its cells.
        kind: string, a key of `contenders.KINDS`, or `"torch_pruning"`.
        options: dict of `ChexScheduler` arguments that differ from the
            defaults.
        needs: name of the contender whose record of the same setting, budget
            and seed decides something here, or `None`.
    """

    name: str
    kind: str
    options: dict = dataclasses.field(default_factory=dict)
    needs: str | None = None


_SCALES = {"allocation": "bn_scale"}
_FISHER = {"allocation": "fisher"}

CHEX = Contender("chex", "chex")
HEADLINE = (
    Contender("slim", "slim"),
    Contender("dense", "dense"),
    Contender("slim_equal_training", "slim", needs="chex"),
    Contender("oneshot_l1", "oneshot", {"criterion": "l1"}),
    Contender("oneshot_bn_scale", "oneshot", {"criterion": "bn_scale"}),
    Contender("oneshot_css", "oneshot", {"criterion": "css"}),
    # Cut to the budget by the first exploration step, and nothing returns.
    Contender(
        "prune_early",
        "chex",
        {"initial": "dense", "sampling": "none", "regrow": 0.0},
    ),
    # The widths of CHEX over time, and nothing returns.
    Contender("prune_gradual", "chex", {"sampling": "gradual"}),
    CHEX,
    # For reference: it is no faster than the dense network.
    Contender("magnitude", "magnitude"),
    # In PyTorch, and cells of their own environment: see the program's text.
    Contender("torch_pruning", "torch_pruning"),
)

# Each entry departs from the default in what it says; `chex` is the default.
ABLATIONS = {
    "steps": {
        "early_prune_uniform": {
            "initial": "dense",
            "sampling": "none",
            "regrow": 0.0,
        },
        "periodic": {"sampling": "uniform"},
        "dynamic": {**_FISHER, "sampling": "uniform"},
        "allocation_fisher": _FISHER,
    },
    "sampling": {
        "sampling_uniform": {"sampling": "uniform"},
        "sampling_none": {"sampling": "none"},
        "prune_gradual": {"sampling": "gradual"},
    },
    "restore": {
        "restore_zeros": {"restore": "zeros"},
        "restore_random": {"restore": "random"},
    },
    "criterion": {
        f"criterion_{name}": {"criterion": name}
        for name in (
            *("random", "l1", "l2", "bn_scale", "fisher", "css_consumers"),
        )
    },
    "schedule": {
        f"schedule_{name}": {"schedule": name}
        for name in ("linear", "constant")
    },
    "regrow": {
        f"regrow_{value:g}": {"regrow": value} for value in (0.1, 0.2, 0.5)
    },
    "interval": {f"interval_{n}": {"interval": n} for n in (1, 4, 8)},
    "end": {f"end_{v:g}": {"end": v} for v in (0.25, 0.33, 0.5, 0.9)},
    "probability": {
        f"probability_{name}": {"probability": name}
        for name in ("softmax", "unsquared", "uniform")
    },
    "allocation": {
        "allocation_bn_scale": _SCALES,
        "bn_scale_gradual": {**_SCALES, "sampling": "gradual"},
        "bn_scale_end_0.5": {**_SCALES, "end": 0.5},
        "allocation_raw": {"allocation": "bn_scale_raw"},
        "allocation_fisher": _FISHER,
        "fisher_gradual": {**_FISHER, "sampling": "gradual"},
        "fisher_twice": {**_FISHER, "criterion": "fisher"},
        "fisher_blend_1": {**_FISHER, "blend": 1.0},
        "fisher_floor_0.25": {**_FISHER, "floor": 0.25},
        **{f"blend_{v:g}": {**_SCALES, "blend": v} for v in (0.25, 0.5, 1.0)},
        **{f"floor_{v:g}": {**_SCALES, "floor": v} for v in (0.25, 0.75)},
    },
    "streams": {
        "streams_dense": {"exclude": STREAMS},
        "streams_dense_bn_scale": {**_SCALES, "exclude": STREAMS},
        "streams_dense_raw": {
            "exclude": STREAMS,
            "allocation": "bn_scale_raw",
        },
    },
    "early_end": {
        "end_0.33_regrow_0.2": {"end": 0.33, "regrow": 0.2},
        "bn_scale_end_0.33": {**_SCALES, "end": 0.33, "regrow": 0.2},
    },
}
SCRATCH = Contender("chex_widths_scratch", "scratch", needs="chex")
ONESHOT = tuple(
    Contender(
        f"oneshot_{criterion}_widths",
        "oneshot",
        {"criterion": criterion, **_SCALES},
    )
    for criterion in ("l1", "bn_scale", "css")
)

CONTENDERS = {
    c.name: c
    for c in (
        *HEADLINE,
        SCRATCH,
        *ONESHOT,
        *(
            Contender(name, "chex", dict(options))
            for variants in ABLATIONS.values()
            for name, options in variants.items()
        ),
    )
}
