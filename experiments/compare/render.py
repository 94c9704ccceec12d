"""Makes the page about the study, and its pictures, out of the records.

    python -m experiments.compare.render

Sections of studies without records are left out.
"""

import os
import pathlib

from absl import app, flags

from ..common.run_directory import write_text
from . import grid, pictures
from .page import describe, render_page
from .statistics import Records

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "records", "docs/results/compare", "Where the records of cells lie."
)
flags.DEFINE_string(
    "page", "docs/results.md", "The page; pictures go to results/ beside it."
)


def main(argv):
    del argv
    page = pathlib.Path(FLAGS.page)
    directory = pathlib.Path(FLAGS.records)
    records = Records(directory)
    if not records:
        raise ValueError(
            "Flag `--records` must name a directory with records, the JSON "
            f"files of finished cells. Received: --records={directory}"
        )
    drawn = draw(records, page.parent)
    folder = os.path.relpath(directory, page.parent)
    write_text(page, render_page(records, drawn, folder))
    print(
        f"{page}: {len(records)} records, {len(drawn)} sections with pictures"
    )


def draw(records, parent):
    """Draws all pictures.

    Args:
        records: `Records`.
        parent: `pathlib.Path` of the page.

    Returns:
        Dict from `(study, setting)` to a list of `(title, path from the page)`.
    """
    drawn = {}
    for name, study in grid.STUDIES.items():
        for setting in study.settings:
            found = list(_draw(records, name, study, setting, parent))
            if found:
                drawn[name, setting] = found
    return drawn


def _draw(records, name, study, setting, parent):
    if not name.startswith(("headline", "trial")):
        return
    lines = {
        (line.contender, line.records[0]["budget"]): line
        for budget in study.budgets
        for line in records.lines(study, setting, budget)
    }
    if not lines:
        return
    some = describe(next(iter(lines.values())).records[0])
    path = f"results/compare_{setting}.png"
    pictures.plot_costs(list(lines.values()), parent / path, some)
    yield "Accuracy against FLOPs, training FLOPs and time", path
    for budget in study.budgets:
        line = lines.get(("chex", budget))
        if line is not None:
            title = f"CHEX at {budget:.0%}: widths over time, seed "
            title += str(line.records[0]["seed"])
            path = f"results/compare_{setting}_widths_{budget:g}.png"
            pictures.plot_widths(line.records[0], parent / path, title)
            yield title, path


if __name__ == "__main__":
    app.run(main)
