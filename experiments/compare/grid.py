"""The grid: which contenders meet in which setting, and the ablations.

A cell is one training run: a setting (data, network, recipe), a contender, a
budget and a seed. Studies choose cells; two studies that need the same run
share its cell.
"""

import dataclasses
import itertools
import re

SEEDS = (0, 1, 2)
BUDGETS = (0.5, 0.25)
# The layers that make the residual streams of a CIFAR ResNet.
STREAMS = ("stem_conv", ".*_conv2", ".*_shortcut_conv")


@dataclasses.dataclass(frozen=True)
class Setting:
    """Data, network and recipe that contenders share.

    Attributes:
        name: string.
        dataset: `"cifar10"`, `"imagenette"` or `"digits"`.
        pixels: int, height and width of the images.
        depth: int, layers of the ResNet.
        width: int, channels of the first of its three stages.
        epochs: int.
        batch_size: int.
        lr: float, the largest learning rate.
        weight_decay: float, the factor of L2 regularisation.
        shift: int, augmentation: largest shift in pixels.
        examples: int, only the first training images; `None` for all.
        holdout: int, this many training images, the last ones, take the place
            of the test set, which stays unseen: for choosing among variants.
    """

    name: str
    dataset: str
    pixels: int
    depth: int
    width: int
    epochs: int
    batch_size: int = 128
    lr: float = 0.1
    weight_decay: float = 5e-4
    shift: int = 4
    examples: int | None = None
    holdout: int = 0


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


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run; `budget` is a share of the dense FLOPs."""

    setting: Setting
    contender: Contender
    budget: float
    seed: int

    @property
    def name(self):
        parts = [self.setting.name, self.contender.name]
        if self.contender.kind != "dense":
            parts.append(f"{self.budget:g}")
        return "-".join([*parts, f"seed{self.seed}"])

    @property
    def needed(self):
        """The cell that must be finished first, or `None`."""
        if self.contender.needs is None:
            return None
        other = CONTENDERS[self.contender.needs]
        return dataclasses.replace(self, contender=other)


@dataclasses.dataclass(frozen=True)
class Study:
    """Contenders that are compared with each other.

    Attributes:
        title: string, a heading.
        contenders: names, the one that the others are measured against first.
        settings: names.
        budgets: shares of the dense FLOPs.
        seeds: ints.
    """

    title: str
    contenders: tuple
    settings: tuple
    budgets: tuple = BUDGETS
    seeds: tuple = SEEDS

    def cells(self):
        """All cells, those of one seed together; no cell comes twice."""
        product = itertools.product(
            self.settings, self.seeds, self.budgets, self.contenders
        )
        found = {}
        for setting, seed, budget, name in product:
            cell = Cell(SETTINGS[setting], CONTENDERS[name], budget, seed)
            found.setdefault(cell.name, cell)
        return list(found.values())


def _by_name(*entries):
    return {entry.name: entry for entry in entries}


SETTINGS = _by_name(
    Setting("digits", "digits", 8, 8, 16, 60, 32, 0.05, 1e-3, 1),
    Setting("cifar16_short", "cifar10", 16, 8, 16, 8, shift=2, examples=10_240),
    Setting(
        *("cifar16_tuning", "cifar10", 16, 14, 16, 24),
        **{"shift": 2, "examples": 20_480, "holdout": 10_000},
    ),
    Setting(
        "cifar16_some", "cifar10", 16, 14, 16, 24, shift=2, examples=20_480
    ),
    Setting("cifar16", "cifar10", 16, 14, 16, 36, shift=2),
    Setting("cifar16_long", "cifar10", 16, 20, 16, 100, shift=2),
    Setting("cifar32_r8", "cifar10", 32, 8, 16, 40),
    Setting("cifar32", "cifar10", 32, 20, 16, 100),
    Setting("cifar32_wide", "cifar10", 32, 20, 32, 100),
    Setting("cifar32_deep", "cifar10", 32, 56, 16, 200),
    Setting("imagenette24", "imagenette", 24, 14, 16, 48, 64, 0.05, shift=3),
    Setting("imagenette64", "imagenette", 64, 20, 16, 60, shift=6),
)

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

CONTENDERS = _by_name(
    *HEADLINE,
    SCRATCH,
    *ONESHOT,
    *(
        Contender(name, "chex", dict(options))
        for variants in ABLATIONS.values()
        for name, options in variants.items()
    ),
)

TUNED = (
    *("allocation_fisher", "fisher_twice", "criterion_fisher"),
    *("prune_gradual", "allocation_bn_scale", "end_0.5", "end_0.33"),
    *("regrow_0.2", "bn_scale_end_0.33", "end_0.33_regrow_0.2"),
    *("bn_scale_end_0.5", "bn_scale_gradual"),
)

TITLES = {
    "steps": "What each part of the method adds",
    "sampling": "How channels are drawn",
    "restore": "Values of channels that come back",
    "criterion": "Which channels stay",
    "schedule": "How regrowing fades",
    "regrow": "How many channels come back at first",
    "interval": "Epochs between exploration steps",
    "end": "When exploration ends",
    "probability": "How residuals become probabilities",
    "allocation": "How widths are shared",
    "streams": "Residual streams coupled or kept dense",
    "early_end": "Short exploration with little regrowing",
}
STUDIES = {
    "headline": Study(
        "CHEX against the alternatives",
        tuple(contender.name for contender in HEADLINE),
        ("cifar32", "imagenette64"),
    ),
    "headline_small": Study(
        "CHEX against the alternatives, small pictures",
        tuple(contender.name for contender in HEADLINE),
        ("cifar16", "digits"),
    ),
    "headline_some": Study(
        "CHEX against the alternatives, sizes for a processor",
        (
            *(contender.name for contender in HEADLINE),
            *("allocation_fisher", "fisher_gradual", "allocation_bn_scale"),
        ),
        ("cifar16_some", "imagenette24", "cifar16_long"),
    ),
    "headline_large": Study(
        "CHEX against the alternatives, large networks",
        tuple(contender.name for contender in HEADLINE),
        ("cifar32_wide", "cifar32_deep"),
    ),
    "tuning": Study(
        "Variants of the method on held-out training images",
        ("slim", "chex", "dense", *TUNED),
        ("cifar16_tuning",),
        BUDGETS,
        (0, 1),
    ),
    "trial": Study(
        "A trial of the programs",
        tuple(contender.name for contender in HEADLINE),
        ("cifar16_short",),
    ),
    **{
        name: Study(
            TITLES[name],
            ("slim", "chex", *variants),
            ("cifar16_tuning", "cifar16"),
            (0.25,),
        )
        for name, variants in ABLATIONS.items()
    },
    "widths": Study(
        "The widths alone, or the exploration",
        ("slim", "chex", SCRATCH.name),
        ("cifar16",),
    ),
    "oneshot": Study(
        "One-shot pruning: criteria and widths",
        (
            "slim",
            "chex",
            *(c.name for c in HEADLINE if c.kind == "oneshot"),
            *(c.name for c in ONESHOT),
        ),
        ("cifar16",),
        (0.25,),
    ),
}


def select(studies, pattern, smoke):
    """Cells of studies, none twice.

    Args:
        studies: list of names.
        pattern: regular expression that the name of a cell has in it.
        smoke: bool, take miniatures.

    Returns:
        List of `Cell`.

    Raises:
        ValueError: If there is no such cell.
    """
    found = {}
    for study in studies:
        for cell in STUDIES[study].cells():
            if re.search(pattern, cell.name):
                found[cell.name] = miniature(cell) if smoke else cell
    if not found:
        raise ValueError(
            "Flag `--cells` must be found in the name of a cell of "
            f"{', '.join(studies)}. Received: --cells={pattern}"
        )
    return list(found.values())


def miniature(cell):
    """The same cell in miniature, to see that everything is in place.

    It has epochs enough for every interval of the ablations.
    """
    setting = dataclasses.replace(
        cell.setting,
        name=f"smoke_{cell.setting.name}",
        depth=8,
        width=8,
        epochs=12,
        batch_size=32,
        examples=96,
    )
    return dataclasses.replace(cell, setting=setting)
