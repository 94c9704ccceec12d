"""The short table of the study, for the README."""

from ..common.run_directory import write_text
from ..common.table import markdown_table
from . import grid

BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
SEEDS = 3
STUDIES = ("headline_wide", "headline_some")
SETTINGS = {
    "cifar16_vgg_wide": "CIFAR-10 long, VGG-16 of full width",
    "cifar16_vgg_long": "CIFAR-10 long, VGG-16",
    "cifar16_vgg_some": "CIFAR-10 short, VGG-16",
    "cifar16_long": "CIFAR-10 long, ResNet-20",
    "cifar16_some": "CIFAR-10 short, ResNet-14",
    "imagenette24": "Imagenette, ResNet-14",
}
# Of several ways to do the same the best one stands there.
COLUMNS = {
    "dense": ("dense",),
    "uniformly slim": ("slim",),
    "pruned once": (
        *("oneshot_l1", "oneshot_bn_scale", "oneshot_css", "oneshot_fisher"),
    ),
    "pruned as it trains": ("prune_gradual", "prune_gradual_fisher"),
    "CHEX, uniform widths": ("chex_uniform",),
    "CHEX": ("chex",),
}
TRAINING = "training FLOPs of CHEX / dense"


def short_table(records):
    """One row for every setting and budget with CHEX or a slim network.

    Args:
        records: `statistics.Records`.

    Returns:
        str, a table in Markdown.
    """
    rows = [("data, network", "multiply-adds", *COLUMNS, TRAINING)]
    for setting, title in SETTINGS.items():
        study = _study(setting)
        for budget in study.budgets:
            lines = records.lines(study, setting, budget)
            found = {line.contender: line for line in lines}
            if {"slim", "chex"} & found.keys():
                rows.append((title, f"{budget:.0%}", *_cells(found)))
    return markdown_table(rows)


def _study(setting):
    studies = (grid.STUDIES[name] for name in STUDIES)
    return next(study for study in studies if setting in study.settings)


def _cells(found):
    for names in COLUMNS.values():
        lines = [found[name] for name in names if name in found]
        yield _accuracy(max(lines, key=lambda x: x.accuracy, default=None))
    chex = found.get("chex") or found.get("chex_uniform")
    share = chex and chex.share("train_flops", "dense_train_flops")
    yield f"{share:.2f}" if share else "-"


def _accuracy(line):
    """`71.3 ± 0.5`, with the number of seeds if it is not three."""
    if line is None:
        return "-"
    text = f"{100 * line.accuracy:.1f}"
    if line.spread is not None:
        text += f" ± {100 * line.spread:.1f}"
    seeds = len(line.records)
    return text if seeds == SEEDS else f"{text} ({seeds})"


def renew(path, table):
    """Puts a table between the marks in a file.

    Args:
        path: `pathlib.Path` of a page.
        table: str.

    Raises:
        ValueError: If the file has no such marks.
    """
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(
            f"Flag `--readme` must name a file with the lines {BEGIN} and "
            f"{END}, between which the table goes. Received: --readme={path}"
        )
    write_text(path, f"{before}{begin}\n{table.strip()}\n{end}{after}")
