"""Tables: one column for every contender of an experiment, and Markdown."""

import statistics

ROWS = (
    ("test accuracy", "accuracy", lambda v: f"{100 * v:.2f} %"),
    ("FLOPs (multiply-adds)", "flops", lambda v: f"{v / 1e6:.3f} M"),
    ("parameters", "params", lambda v: f"{v:,.0f}"),
    (".tflite bytes", "tflite_bytes", lambda v: f"{v:,.0f}"),
    ("LiteRT latency, 1 thread", "latency_ms", lambda v: f"{v:.3f} ms"),
    ("training time", "train_seconds", lambda v: f"{v:.0f} s"),
)

# How the keys of average precisions end.
PRECISIONS = ("AP", "AP50", "AP75")


def results_table(results, rows=ROWS):
    """Renders the results of one or several seeds.

    Args:
        results: dict from the contender's name to a list of dicts, one for
            every seed, with the keys of `rows`. The first contender is the
            one that the others are compared with.
        rows: tuple of `(title, key, function from a number to a string)`. A
            contender without a key has "-" in its place.

    Returns:
        String. With several seeds the numbers are means; an accuracy and an
        AP have their standard deviation over the seeds.

    Example:

    >>> dense = dict(accuracy=0.98, flops=2e6, params=1000,
    ...              tflite_bytes=9000, latency_ms=0.2, train_seconds=30)
    >>> chex = dense | {"flops": 1e6}
    >>> print(results_table({"dense": [dense], "CHEX": [chex]}))
                                dense             CHEX
    test accuracy             98.00 %          98.00 %
    FLOPs (multiply-adds)     2.000 M  1.000 M (0.500)
    parameters                  1,000    1,000 (1.000)
    .tflite bytes               9,000    9,000 (1.000)
    LiteRT latency, 1 thread 0.200 ms 0.200 ms (1.000)
    training time                30 s     30 s (1.000)
    """
    reference = next(iter(results))
    columns = [["", *(title for title, _, _ in rows)]]
    for name, runs in results.items():
        cells = [
            _cell(runs, results[reference], key, form, name != reference)
            for _, key, form in rows
        ]
        columns.append([name, *cells])
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for first, *cells in zip(*columns, strict=True):
        padded = [first.ljust(widths[0])]
        padded += [c.rjust(w) for c, w in zip(cells, widths[1:], strict=True)]
        lines.append(" ".join(padded).rstrip())
    return "\n".join(lines)


def markdown_table(rows):
    """Puts rows of strings into a Markdown table, the first as headings.

    >>> print(markdown_table([("a", "b"), ("1", "2")]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def mean(runs, key):
    """Mean of one number over the seeds."""
    return statistics.fmean(run[key] for run in runs)


def _cell(runs, reference, key, form, with_ratio):
    if key not in runs[0]:
        return "-"
    value = mean(runs, key)
    if key.endswith(("accuracy", *PRECISIONS)):
        if len(runs) == 1:
            return form(value)
        spread = statistics.stdev(run[key] for run in runs)
        return f"{100 * value:.2f} ± {100 * spread:.2f} %"
    if not with_ratio or not reference[0].get(key):
        return form(value)
    return f"{form(value)} ({value / mean(reference, key):.3f})"
