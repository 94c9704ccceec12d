"""The page about the study: tables out of records."""

from ..common.table import markdown_table
from . import grid
from .networks import NETWORKS
from .variants import ABLATIONS

HEAD = """\
# CHEX against the alternatives

Made by `experiments/compare/render.py` from the records in \
[{folder}]({folder}); do not edit. {count} training runs, {hours:.1f} hours of \
training.

```bash
python -m experiments.compare --study=headline_some --study=headline_wide \\
  --study=tuning --workdir=runs/compare
python -m experiments.compare.render --records=runs/compare/records
```

All contenders of a table share data, augmentation, optimizer, batch size and, \
but where it says otherwise, the number of epochs. The accuracy is that of the \
last epoch on the test set (in the study of variants on training images that \
were held out), by the network that is left: plain Keras, without \
dormant channels. Nothing within a run depends on it.

| column | |
|---|---|
| accuracy | mean over the seeds ± standard deviation |
| to slim | difference of means to the uniformly slim network; in brackets in \
units of the common standard deviation, the root mean square of both |
| FLOPs, parameters | of the final network, as shares of the dense one \
(that of the parameters in brackets) |
| training FLOPs | multiply-adds of all forward passes, with the channels \
active at the time, as a share of what the dense network takes in as many \
epochs as the setting has |
| time to dense, to slim | wall time of training without evaluation, as a \
ratio, over the seeds where both ran on equal machines and not several at \
once; in brackets \
seconds of processor cores. Other programs on the machine disturb wall time |
"""

VERDICTS = (
    *("setting", "FLOPs", "seeds of slim, CHEX", "dense", "slim", "CHEX"),
    *("CHEX to slim", "training FLOPs of CHEX", "best other ahead of slim"),
)
HEADINGS = (
    *("contender", "seeds", "epochs", "accuracy", "to slim", "FLOPs"),
    *("parameters", "training FLOPs", "time to dense", "time to slim"),
)
CONTENDERS = {
    "dense": "the dense network",
    "slim": "uniformly slim from the start, equal FLOPs, equal epochs",
    "slim_equal_training": "the same, with as many epochs as make its training "
    "FLOPs those of CHEX",
    "chex": "CHEX with its defaults",
    "chex_uniform": "CHEX with the same share of every group",
    "torch_pruning": "Torch-Pruning's group-L2 pruner on the same network in "
    "PyTorch: group sparsity for half of the epochs, pruned once, small for "
    "the rest",
    "magnitude": "the dense network with single weights at zero, as many left "
    "as the slim network has: the algorithm and schedule of TensorFlow Model "
    "Optimization",
    "chex_widths_scratch": "a fresh network of CHEX's final widths",
}
# Of more FLOPs than the budget, or of more epochs.
NO_ALTERNATIVE = ("dense", "magnitude", "slim_equal_training")
KINDS = {
    "oneshot": "dense for half of the epochs, pruned once, small for the rest",
    "chex": "exploration",
}


def render_page(records, pictures, folder):
    """Writes the page.

    Args:
        records: `statistics.Records`.
        pictures: dict from `(study, setting)` to a list of `(title, path)`.
        folder: string, path of the records from the page.

    Returns:
        str, Markdown.
    """
    used = {
        record["name"]: record
        for study in grid.STUDIES.values()
        for record in records.of(study)
    }
    seconds = sum(record["seconds"] for record in used.values())
    parts = [HEAD.format(folder=folder, count=len(used), hours=seconds / 3600)]
    rows = list(_verdicts(records))
    if rows:
        parts += ["## In short\n", markdown_table([VERDICTS, *rows])]
    for name, study in grid.STUDIES.items():
        sections = [
            section
            for setting in study.settings
            for section in _setting(
                records, name, setting, pictures.get((name, setting), ())
            )
        ]
        if sections:
            parts += [f"## {study.title}\n", *sections]
    if used:
        parts += ["## Where it ran\n", _machines(used.values())]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _verdicts(records):
    """Yields a row for every budget and setting with CHEX and a slim network.

    Another contender stands there if it is ahead of the slim network too.
    """
    for name, study in grid.STUDIES.items():
        if not name.startswith("headline"):
            continue
        for setting in study.settings:
            for budget in study.budgets:
                lines = records.lines(study, setting, budget)
                found = {line.contender: line for line in lines}
                if "slim" in found and {"chex", "chex_uniform"} & found.keys():
                    yield _verdict(setting, budget, found)


def _verdict(setting, budget, found):
    slim = found["slim"]
    chex = found.get("chex") or found["chex_uniform"]
    others = [
        line
        for name, line in found.items()
        if name not in ("slim", chex.contender, *NO_ALTERNATIVE)
        and line.accuracy > slim.accuracy
    ]
    best = max(others, key=lambda line: line.accuracy, default=None)
    dense = found.get("dense")
    return (
        setting,
        f"{budget:.0%}",
        f"{len(slim.records)}, {len(chex.records)}",
        "-" if dense is None else _accuracy(dense),
        _accuracy(slim),
        _accuracy(chex) + ("" if "chex" in found else ", uniform widths"),
        _difference(chex, slim),
        f"{chex.share('train_flops', 'dense_train_flops'):.2f}",
        "-" if best is None else f"{best.contender}, {_accuracy(best)}",
    )


def _setting(records, name, setting, pictures):
    """Yields the parts of one study in one setting; none without records."""
    study = grid.STUDIES[name]
    tables, seen = [], []
    for budget in study.budgets:
        lines = records.lines(study, setting, budget)
        found = {line.contender for line in lines}
        if name in ABLATIONS and found <= {"slim", "chex", "chex_uniform"}:
            continue  # Other tables have these already.
        if any(line.records[0]["flops"] < _dense(line) for line in lines):
            tables.append(f"**{budget:.0%} of the FLOPs**\n")
            tables.append(comparison_table(lines))
            seen += [line.records[0] for line in lines]
    if not tables:
        return
    yield f"### {describe(seen[0])}\n"
    yield _legend(seen)
    yield from tables
    for title, path in pictures:
        yield f"![{title}]({path})\n"


def _dense(line):
    return line.records[0]["dense_flops"]


def describe(record):
    """A setting in words, from a record."""
    setting = record["setting"]
    images, held_out = setting["examples"], setting.get("holdout")
    return (
        f"{setting['dataset']}, {setting['pixels']} pixels, "
        + (f"{images:,} images, " if images else "")
        + f"{_network(setting)} of {setting['width']} channels, "
        f"{setting['epochs']} epochs"
        + (", scored on held-out training images" if held_out else "")
    )


def _network(setting):
    # Records of before there was a choice do not name it.
    network = NETWORKS[setting.get("network", "resnet")]
    return f"{network.title}-{setting['depth']}"


def explain(contender):
    """What a contender does, in words, from its entry in a record."""
    name, kind, options = (contender[k] for k in ("name", "kind", "options"))
    if name in CONTENDERS:
        return CONTENDERS[name]
    chosen = ", ".join(
        f"`{k}={v if not isinstance(v, list) else '...'}`"
        for k, v in options.items()
    )
    return f"{KINDS[kind]} with {chosen}"


def _legend(records):
    contenders = {r["contender"]["name"]: r["contender"] for r in records}
    rows = [("contender", "")]
    rows += [(name, explain(c)) for name, c in contenders.items()]
    return markdown_table(rows)


def comparison_table(lines):
    """One row for every contender.

    Args:
        lines: list of `statistics.Line`.
    """
    by_name = {line.contender: line for line in lines}
    slim, dense = by_name.get("slim"), by_name.get("dense")
    return markdown_table(
        [HEADINGS, *(_row(line, slim, dense) for line in lines)]
    )


def _row(line, slim, dense):
    params = f"{line.mean('params'):,.0f}"
    if dense is not None:
        params += f" ({line.mean('params') / dense.mean('params'):.3f})"
    return (
        line.contender,
        str(len(line.records)),
        f"{line.mean('epochs'):.0f}",
        _accuracy(line),
        _difference(line, slim),
        f"{line.share('flops', 'dense_flops'):.3f}",
        params,
        f"{line.share('train_flops', 'dense_train_flops'):.3f}",
        _times(line, dense),
        _times(line, slim),
    )


def _accuracy(line):
    if line.spread is None:
        return f"{line.accuracy:.2%}"
    return f"{100 * line.accuracy:.2f} ± {100 * line.spread:.2f} %"


def _difference(line, slim):
    if slim is None or line is slim:
        return "-"
    text = f"{100 * (line.accuracy - slim.accuracy):+.2f}"
    distance = line.distance(slim)
    return text if distance is None else f"{text} ({distance:+.1f})"


def _times(line, other):
    if other is None or line is other:
        return "-"
    wall = line.time_ratio(other)
    if wall is None:
        return "-"
    return f"{wall:.2f} ({line.time_ratio(other, 'core_seconds'):.2f})"


def _machines(records):
    counts = {}
    for record in records:
        software, hardware = record["software"], record["hardware"]
        versions = ", ".join(
            f"{name} {version}"
            for name, version in software.items()
            if name not in ("machine", "cores")
        )
        machine = (
            f"{hardware['processor']}, {software['cores']} cores; "
            f"{', '.join(hardware['devices'])}"
        )
        key = machine, versions
        runs, seconds = counts.get(key, (0, 0.0))
        counts[key] = runs + 1, seconds + record["seconds"]
    rows = [("machine", "software", "runs", "hours of training")]
    rows += [
        (*key, str(runs), f"{seconds / 3600:.1f}")
        for key, (runs, seconds) in counts.items()
    ]
    return markdown_table(rows)
