"""Trains the cells of a study, or says what they are and what they cost.

    python -m experiments.compare --study=headline --workdir=runs/compare

Every finished cell leaves one JSON file in `--records`; a killed program goes
on with the last epoch when it is started again, and any number of them may
share a directory. Pages come from the records alone:

    python -m experiments.compare.render --records=runs/compare/records

All cells with their state and the training FLOPs they will take:

    python -m experiments.compare --study=headline --dry_run

Some cells in miniature, on 96 images:

    python -m experiments.compare --study=trial --cells=seed0 --smoke

Two contenders need packages of their own, the extra `[bench]`: `magnitude`
TensorFlow Model Optimization, `torch_pruning` PyTorch and Torch-Pruning. Their
cells are left where these are missing, and may be trained in another
environment: `--cells=torch_pruning`.

`KERAS_BACKEND` chooses the backend. TensorFlow is needed only where data are
converted, once, into the working directory.
"""

import functools
import pathlib

from absl import app, flags

from . import grid
from .places import Places
from .runner import part_of, run_all, state, train_in_process

FLAGS = flags.FLAGS

flags.DEFINE_multi_enum(
    "study", ["headline"], list(grid.STUDIES), "Which cells; repeat it."
)
flags.DEFINE_string(
    "cells", "", "Only cells whose name has this regular expression in it."
)
flags.DEFINE_string("part", "1/1", "This one of so many parts, such as 2/3.")
flags.DEFINE_bool("dry_run", False, "List the cells and train nothing.")
flags.DEFINE_bool("smoke", False, "Miniatures of the cells.")
flags.DEFINE_string("workdir", "runs/compare", "Where everything is written.")
flags.DEFINE_bool(
    "alone",
    True,
    "Whether nothing else trains on this machine. Its times are left out of "
    "the pages otherwise.",
)
flags.DEFINE_bool(
    "compiled_epochs",
    False,
    "With KERAS_BACKEND=jax: a whole epoch is one compiled loop, so that small "
    "networks need not wait for Python between two steps on a GPU.",
)
flags.DEFINE_string(
    "records", None, "Where records are written. --workdir/records if not set."
)


def main(argv):
    del argv
    cells = part_of(
        grid.select(FLAGS.study, FLAGS.cells, FLAGS.smoke), FLAGS.part
    )
    workdir = pathlib.Path(FLAGS.workdir)
    places = Places(workdir, pathlib.Path(FLAGS.records or workdir / "records"))
    if FLAGS.dry_run:
        show(cells, places)
        return
    train = functools.partial(
        train_in_process,
        alone=FLAGS.alone,
        compiled_epochs=FLAGS.compiled_epochs,
    )
    left = run_all(cells, places, train)
    for cell in left:
        print(f"{cell.name}: {state(cell, places)}")
    print(f"{len(cells) - len(left)} of {len(cells)} cells are finished")


def show(cells, places):
    """Prints one line for every cell, and a sum."""
    from .estimate import Estimator

    estimator, total = Estimator(places), 0
    width = max(len(cell.name) for cell in cells)
    for cell in cells:
        flops = estimator.train_flops(cell)
        now = state(cell, places)
        total += 0 if now == "finished" else flops
        print(f"{cell.name:<{width}}  {now:<11}  {flops / 1e12:10.3f} T")
    print(f"{len(cells)} cells, {total / 1e12:.3f} T multiply-adds to train")


if __name__ == "__main__":
    app.run(main)
