"""The page of a report: one HTML file that needs nothing beside it."""

import base64
import html
import json

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2733; margin: 0;
  background: #fff; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; }
p.lead, figcaption, footer { color: #566373; }
figcaption { font-size: .9rem; }
figure { margin: 0; }
img { max-width: 100%; height: auto; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; text-align: right;
  border-bottom: 1px solid #e3e8ee; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #1d2733; }
td small { color: #566373; }
ul.notes { background: #fdf6e3; border-left: 4px solid #d9a400; margin: 1rem 0;
  padding: .75rem 1rem .75rem 2rem; }
pre { background: #f5f7f9; padding: 1rem; overflow-x: auto; font-size: .85rem; }
"""

# Measure, key of the result, how it is written, whether a ratio makes sense.
ROWS = (
    ("accuracy", "accuracy", lambda v: f"{v:.2%}", False),
    ("top-5 accuracy", "top5_accuracy", lambda v: f"{v:.2%}", False),
    ("multiply-adds", "flops", lambda v: f"{v:,.0f}", True),
    ("parameters", "params", lambda v: f"{v:,.0f}", True),
    ("training time", "train_seconds", lambda v: f"{v:,.0f} s", True),
)


def render(run, figures, version):
    """Renders a run.

    Args:
        run: `RunData`.
        figures: list of `(title, caption, bytes of a PNG)`.
        version: str, of this package.

    Returns:
        str, HTML.
    """
    title = html.escape(run.title)
    body = [
        f"<h1>{title}</h1>",
        f'<p class="lead">{html.escape(_headline(run))}</p>',
        _notes(run.notes),
        "<h2>Results</h2>",
        _table(run, ROWS),
        "<h2>Latency and sizes</h2>",
        _files_table(run),
    ]
    for heading, caption, png in figures:
        body.append(_figure(heading, caption, png))
    body.append(_settings(run.settings))
    body.append(f"<footer><p>Written by keras_chex {version}.</p></footer>")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, '
        'initial-scale=1">\n'
        f"<title>{title} - keras_chex</title>\n<style>{STYLE}</style>\n"
        "</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _headline(run):
    """The run in one sentence."""
    first, last = run.networks[0], _explored(run)
    costs = [network.result.get("flops") for network in (first, last)]
    if first is last or not all(costs):
        return f"Networks: {', '.join(n.name for n in run.networks)}."
    text = f"{last.name} keeps {costs[1] / costs[0]:.1%} of the multiply-adds"
    scores = [network.result.get("accuracy") for network in (first, last)]
    if all(scores):
        change = 100 * (scores[1] - scores[0])
        text += (
            f" at {scores[1]:.2%} accuracy, {abs(change):.2f} points "
            f"{'above' if change > 0 else 'below'} {first.name}"
        )
    return f"{text}."


def _explored(run):
    """The network that lost channels: the one with groups, or the last."""
    found = [n for n in run.networks if "groups" in n.result]
    return found[0] if found else run.networks[-1]


def _notes(notes):
    if not notes:
        return ""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in notes)
    return f'<ul class="notes">{items}</ul>'


def _table(run, rows):
    """One column for every network, ratios to the first."""
    lines = []
    for title, key, form, has_ratio in rows:
        values = [network.result.get(key) for network in run.networks]
        if any(value is not None for value in values):
            cells = _cells(values, form, has_ratio)
            lines.append((title, cells))
    return _rows([n.name for n in run.networks], lines)


def _cells(values, form, has_ratio):
    first, cells = values[0], []
    for number, value in enumerate(values):
        cell = "-" if value is None else html.escape(form(value))
        if value is not None and has_ratio and first and number:
            cell += f" <small>({value / first:.3f})</small>"
        cells.append(cell)
    return cells


def _files_table(run):
    """Latency, and the size of every file that is there."""
    lines = []
    latency = [network.result.get("latency_ms") for network in run.networks]
    if any(value is not None for value in latency):
        cells = _cells(latency, lambda v: f"{v:.3f} ms", True)
        lines.append(("LiteRT latency, one thread", cells))
    names = {name: None for network in run.networks for name in network.bytes}
    for name in names:
        sizes = [network.bytes.get(name) for network in run.networks]
        cells = _cells(sizes, lambda v: f"{v:,} bytes", True)
        lines.append((html.escape(name), cells))
    if not lines:
        return "<p>No exported file was found, and no latency measured.</p>"
    return _rows([n.name for n in run.networks], lines)


def _rows(names, lines):
    if not lines:
        return "<p>Nothing was measured.</p>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><td>{title}</td>{''.join(f'<td>{c}</td>' for c in cells)}</tr>\n"
        for title, cells in lines
    )
    return (
        '<div class="wide"><table>\n'
        f"<thead><tr><th></th>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>"
    )


def _figure(heading, caption, png):
    data = base64.b64encode(png).decode("ascii")
    return (
        f"<h2>{html.escape(heading)}</h2>\n<figure>"
        f'<img alt="{html.escape(heading)}" '
        f'src="data:image/png;base64,{data}">\n'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _settings(settings):
    if not settings:
        return ""
    text = html.escape(json.dumps(settings, indent=2))
    return (
        "<h2>Settings</h2>\n<details><summary>Flags, recipe and software"
        f"</summary><pre>{text}</pre></details>"
    )
