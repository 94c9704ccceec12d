"""Makes the page about the study, and its pictures, out of the records.

    python -m experiments.compare.render --readme=README.md

Sections of studies without records are left out.
"""

import os
import pathlib

from absl import app, flags

from ..common.run_directory import write_text
from .page import render_page
from .pictures import draw
from .short_table import renew, short_table
from .statistics import Records

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "records", "docs/results/compare", "Where the records of cells lie."
)
flags.DEFINE_string(
    "page", "docs/results.md", "The page; pictures go to results/ beside it."
)
flags.DEFINE_string(
    "readme", None, "A page whose short table is renewed, between its marks."
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
    if FLAGS.readme:
        renew(pathlib.Path(FLAGS.readme), short_table(records))
    print(
        f"{page}: {len(records)} records, {len(drawn)} sections with pictures"
    )


if __name__ == "__main__":
    app.run(main)
