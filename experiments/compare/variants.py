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


_UNIFORM = {"allocation": "uniform"}
_FISHER = {"allocation": "fisher"}
# What the paper does with the channels of a group.
_CSS_MRU = {**_UNIFORM, "criterion": "css", "restore": "mru"}
_SCALES = {**_CSS_MRU, "allocation": "bn_scale"}
_GRADUAL = {**_UNIFORM, "criterion": "css", "sampling": "gradual"}

CHEX = Contender("chex", "chex")
HEADLINE = (
    Contender("slim", "slim"),
    Contender("dense", "dense"),
    Contender("slim_equal_training", "slim", needs="chex"),
    Contender("oneshot_l1", "oneshot", {**_UNIFORM, "criterion": "l1"}),
    Contender(
        "oneshot_bn_scale", "oneshot", {**_UNIFORM, "criterion": "bn_scale"}
    ),
    Contender("oneshot_css", "oneshot", {**_UNIFORM, "criterion": "css"}),
    Contender("oneshot_fisher", "oneshot", {**_FISHER, "criterion": "fisher"}),
    # Cut to the budget by the first exploration step, and nothing returns.
    Contender(
        "prune_early",
        "chex",
        {"initial": "dense", "sampling": "none", "regrow": 0.0},
    ),
    # As slowly as CHEX, and nothing returns.
    Contender("prune_gradual", "chex", _GRADUAL),
    Contender("prune_gradual_fisher", "chex", {**_GRADUAL, **_FISHER}),
    CHEX,
    Contender("chex_uniform", "chex", _UNIFORM),
    Contender("css_mru", "chex", _CSS_MRU),
    # For reference: it is no faster than the dense network.
    Contender("magnitude", "magnitude"),
    # In PyTorch, and cells of their own environment: see the program's text.
    Contender("torch_pruning", "torch_pruning"),
)

# Each entry departs from `chex_uniform` in what it says.
_VARIANTS = {
    # In the order of the paper, and then what we changed.
    "steps": {
        "early_prune_css": {
            "criterion": "css",
            "initial": "dense",
            "sampling": "none",
            "regrow": 0.0,
        },
        "css_mru_periodic": {**_CSS_MRU, "sampling": "uniform"},
        "css_mru": _CSS_MRU,
        "css_mru_fisher": {**_CSS_MRU, **_FISHER},
        "restore_mru": {"restore": "mru"},
        "criterion_css": {"criterion": "css"},
    },
    "sampling": {
        "sampling_uniform": {"sampling": "uniform"},
        "sampling_none": {"sampling": "none"},
        "sampling_gradual": {"sampling": "gradual"},
        "prune_gradual": _GRADUAL,
        "gradual_fisher": {"sampling": "gradual", "criterion": "fisher"},
    },
    "restore": {
        f"restore_{name}": {"restore": name}
        for name in ("mru", "zeros", "random")
    },
    "criterion": {
        f"criterion_{name}": {"criterion": name}
        for name in ("css", "random", "l1", "l2", "bn_scale", "fisher")
    },
    "schedule": {
        f"schedule_{name}": {"schedule": name}
        for name in ("linear", "constant")
    },
    "regrow": {
        f"regrow_{value:g}": {"regrow": value} for value in (0.1, 0.2, 0.5)
    },
    "interval": {f"interval_{n}": {"interval": n} for n in (1, 4, 8)},
    "end": {
        **{f"end_{v:g}": {"end": v} for v in (0.25, 0.33, 0.5, 0.9)},
        **{
            f"fisher_end_{v:g}": {**_FISHER, "end": v} for v in (0.33, 0.5, 0.9)
        },
    },
    "probability": {
        f"probability_{name}": {"probability": name}
        for name in ("softmax", "unsquared", "uniform")
    },
    "allocation": {
        "allocation_bn_scale": {"allocation": "bn_scale"},
        "allocation_raw": {"allocation": "bn_scale_raw"},
        "allocation_cost": {"allocation": "cost"},
        "css_mru_bn_scale": _SCALES,
        "css_mru_bn_scale_gradual": {**_GRADUAL, "allocation": "bn_scale"},
        "css_mru_bn_scale_end_0.5": {**_SCALES, "end": 0.5},
        "css_mru_fisher": {**_CSS_MRU, **_FISHER},
        "fisher_twice": {**_FISHER, "criterion": "fisher"},
        "fisher_blend_0.5": {**_FISHER, "blend": 0.5},
        "fisher_blend_1": {**_FISHER, "blend": 1.0},
        "fisher_floor_0.25": {**_FISHER, "floor": 0.25},
        **{
            f"blend_{v:g}": {"allocation": "bn_scale", "blend": v}
            for v in (0.25, 0.5, 1.0)
        },
        **{
            f"floor_{v:g}": {"allocation": "bn_scale", "floor": v}
            for v in (0.25, 0.75)
        },
    },
    "streams": {
        "streams_dense": {"exclude": STREAMS},
        **{f"streams_{v:g}": {"streams": v} for v in (0.0, 0.25, 0.5, 0.75)},
        "streams_dense_bn_scale": {
            "exclude": STREAMS,
            "allocation": "bn_scale",
        },
        "streams_dense_raw": {
            "exclude": STREAMS,
            "allocation": "bn_scale_raw",
        },
    },
    "early_end": {
        "end_0.33_regrow_0.2": {"end": 0.33, "regrow": 0.2},
        "css_mru_regrow_0.2": {**_CSS_MRU, "regrow": 0.2},
    },
}
ABLATIONS = {
    study: {name: {**_UNIFORM, **options} for name, options in group.items()}
    for study, group in _VARIANTS.items()
}
SCRATCH = Contender("chex_widths_scratch", "scratch", needs="chex")
ONESHOT = tuple(
    Contender(
        f"oneshot_{criterion}_widths",
        "oneshot",
        {"criterion": criterion, "allocation": "bn_scale"},
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
