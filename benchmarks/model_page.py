"""Makes the page about real models out of the records of `models.py`."""

from benchmarks.model_record import DIFFERENCES
from experiments.common.table import markdown_table

STEPS = ("build", "channel_groups", "wrap", "strip")

HEAD = """\
# Real models

Made by `benchmarks/models.py` from [models.json](results/models.json); do not
edit. Weights are random, pictures small; BatchNormalization statistics are
measured and perturbed. {counts}

```bash
python -m benchmarks.models              # all models; hours on two cores
python -m benchmarks.models --families   # two more variants of 11 models
python -m benchmarks.models --export     # files of 11 models
python -m benchmarks.models --scaling    # time against size
python -m benchmarks.models --only= --page=docs/models.md
```

| column | |
|---|---|
| groups | channel groups that can lose channels / all |
| channels | share of the channels made by convolutions and dense layers that \
are in such groups; those of the classifier do not count |
| FLOPs | share of the multiply-adds that a channel of such a group takes \
part in |
| permuted | the plain model against itself with all channels in another \
order inside their groups |
| zeroed | the stripped model against the plain one whose dormant channels are \
zero, found without the channel graph's knowledge of weights |
| inference | the wrapped model against the stripped one |
| trained | what one step of SGD changes in the wrapped model against the \
stripped one, array by array |
| reloaded | the wrapped model from its `.keras` file against the stripped one |
| mistake | the smaller change when one layer reads its channels rolled by one \
in the permuted or the stripped model |
| seconds | Keras building the model, `channel_groups`, `wrap`, `strip` with \
its verification |

Differences are shares of the largest output (`trained`: of the largest change \
of an array, or of 1 % of the array) and may be 1e-4. A mistake must change \
more than 1e-3. FLOPs and parameters predicted by the wrapped model are those \
of the stripped one, or the note says so. A model is *void* if its outputs \
vary by less than 1 % between examples, as then no mistake would show.
"""

HEADINGS = (
    *("model", "groups", "channels", "FLOPs", *DIFFERENCES, "mistake"),
    *("build", "groups s", "wrap", "strip", "note"),
)


def render_page(records, times=()):
    """Writes the page.

    Args:
        records: list of dicts, as `models.py` stores them.
        times: list of dicts of `model_scaling.measure`.

    Returns:
        str, Markdown.
    """
    checked = [r for r in records if r["kind"] == "checks"]
    exports = [r for r in records if r["kind"] == "export"]
    parts = [HEAD.format(counts=_counts(checked))]
    for (share, round_to, seed), some in _by_variant(checked).items():
        rounding = f", widths multiples of {round_to}" if round_to > 1 else ""
        title = f"{share:.0%} of every group{rounding}, seed {seed}"
        parts.append(f"## {title}\n")
        parts.append(markdown_table([HEADINGS, *map(_row, some)]))
    kept = _whole(checked)
    if kept:
        parts.append("## What stays whole, and why\n")
        parts.append(kept)
    if exports:
        parts.append(
            "## Trained for a step and exported\n\nDifferences of what the "
            "files compute from what the wrapped model computes.\n"
        )
        parts.append(_export_table(exports))
    if times:
        parts.append(
            "## Time against size\n\nChains of residual blocks; milliseconds "
            "of one core per operation ([models_scaling.json]"
            "(results/models_scaling.json)).\n"
        )
        parts.append(_scaling_table(times))
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def _counts(records):
    verdicts = [r["verdict"] for r in records]
    counts = {v: verdicts.count(v) for v in dict.fromkeys(verdicts)}
    listed = ", ".join(f"{count} {v}" for v, count in counts.items())
    models = len({r["model"] for r in records})
    return f"{len(records)} records of {models} models: {listed}."


def _by_variant(records):
    variants = {}
    for record in records:
        key = tuple(record[name] for name in ("share", "round_to", "seed"))
        variants.setdefault(key, []).append(record)
    return variants


def _row(record):
    seconds, seen = record.get("seconds", {}), record.get("seen", {})
    groups = "-"
    if "groups" in record:
        groups = f"{record['unfrozen_groups']}/{record['groups']}"
    return (
        record["model"],
        groups,
        _percent(record.get("prunable_channels")),
        _percent(record.get("prunable_flops")),
        *(
            _number(record.get("differences", {}).get(name))
            for name in DIFFERENCES
        ),
        _number(min(seen.values(), default=None)),
        *(f"{seconds[s]:.2f}" if s in seconds else "-" for s in STEPS),
        _cell(note(record)),
    )


def note(record):
    """Says in a few words what a reader must know beside the numbers."""
    notes = []
    if record["verdict"] != "passed":
        notes.append(f"**{record['verdict']}**")
    notes += [f"{stage}: {text}" for stage, text in record["errors"].items()]
    wrong = [k for k, v in record.get("costs_agree", {}).items() if not v]
    if wrong:
        notes.append(f"predicted {' and '.join(wrong)} are wrong")
    if record.get("uncounted_params", 0) > 1e-3:
        share = _percent(record["uncounted_params"])
        notes.append(f"FLOPs of {share} of the parameters not known")
    if record.get("renamed_groups"):
        notes.append(f"wrap renames {record['renamed_groups']} groups")
    skipped = record.get("skipped", {}).items()
    notes += [f"no {name}: {reason}" for name, reason in skipped]
    return "; ".join(notes)


def _whole(records):
    """Lists the models with frozen groups besides the classifier's."""
    reasons = {}
    for record in records:
        found = [r for r in record.get("frozen", ()) if r != "model output"]
        if found:
            reasons.setdefault(record["model"], found)
    return "\n".join(
        f"- {model}: " + "; ".join(found) for model, found in reasons.items()
    )


def _export_table(records):
    names = list(dict.fromkeys(n for r in records for n in r["differences"]))
    rows = [("model", *names, "note")]
    for record in records:
        differences = record["differences"]
        rows.append(
            (
                record["model"],
                *(_number(differences.get(name)) for name in names),
                _cell(note(record)),
            )
        )
    return markdown_table(rows)


def _scaling_table(times):
    steps = list(times[0]["seconds"])
    rows = [("blocks", "operations", *steps)]
    for entry in times:
        rows.append(
            (
                str(entry["blocks"]),
                str(entry["operations"]),
                *(
                    f"{1e3 * entry['seconds'][step] / entry['operations']:.2f}"
                    for step in steps
                ),
            )
        )
    return markdown_table(rows)


def _percent(share):
    return "-" if share is None else f"{100 * share:.1f} %"


def _number(value):
    """Two digits; differences below 1e-9 are 0."""
    if value is None:
        return "-"
    return "0" if abs(value) < 1e-9 else f"{value:.1e}"


def _cell(text, length=200):
    """Text that does not break a table."""
    text = text.replace("|", "/").replace("\n", " ")
    return text if len(text) <= length else text[: length - 3] + "..."
