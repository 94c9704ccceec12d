"""The grid: which contenders meet in which setting.

A cell is one training run: a setting (data, network, recipe), a contender, a
budget and a seed. Studies choose cells; two studies that need the same run
share its cell.
"""

import dataclasses
import itertools
import re

from experiments.compare.networks import NETWORKS
from experiments.compare.settings import SETTINGS, Setting
from experiments.compare.variants import (
    ABLATIONS,
    CONTENDERS,
    HEADLINE,
    ONESHOT,
    SCRATCH,
    Contender,
)

SEEDS = (0, 1, 2)
BUDGETS = (0.5, 0.25)


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
            network = NETWORKS[SETTINGS[setting].network]
            if name == "torch_pruning" and not network.in_torch:
                continue
            cell = Cell(SETTINGS[setting], CONTENDERS[name], budget, seed)
            found.setdefault(cell.name, cell)
        return list(found.values())


TUNED = (
    *("css_mru", "criterion_css", "criterion_fisher", "restore_mru"),
    *("prune_gradual", "gradual_fisher", "sampling_gradual"),
    *("css_mru_fisher", "css_mru_bn_scale", "css_mru_bn_scale_gradual"),
    *("css_mru_bn_scale_end_0.5", "css_mru_regrow_0.2"),
    *("end_0.5", "regrow_0.2", "regrow_0.5"),
    *("streams_0", "streams_0.25", "streams_0.5", "allocation_cost"),
    *("fisher_blend_0.5", "fisher_end_0.33", "fisher_end_0.5"),
    "fisher_end_0.9",
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
            *("css_mru_fisher", "css_mru_bn_scale", SCRATCH.name),
            "fisher_end_0.5",
        ),
        (
            *("cifar16_some", "imagenette24", "cifar16_long"),
            *("cifar16_vgg_some", "cifar16_vgg_long"),
        ),
    ),
    "headline_wide": Study(
        "CHEX against the alternatives, a network of full width",
        (*(contender.name for contender in HEADLINE), SCRATCH.name),
        ("cifar16_vgg_wide",),
    ),
    "headline_large": Study(
        "CHEX against the alternatives, large networks",
        tuple(contender.name for contender in HEADLINE),
        ("cifar32_wide", "cifar32_deep"),
    ),
    "tuning": Study(
        "Variants of the method on held-out training images",
        ("slim", "chex", "chex_uniform", "dense", *TUNED),
        ("cifar16_tuning", "cifar16_vgg_tuning"),
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
            ("slim", "chex", "chex_uniform", *variants),
            ("cifar16_tuning", "cifar16", "cifar16_long"),
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
        depth=NETWORKS[cell.setting.network].smallest,
        width=8,
        epochs=12,
        batch_size=32,
        examples=96,
    )
    return dataclasses.replace(cell, setting=setting)
