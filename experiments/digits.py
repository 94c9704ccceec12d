"""Trains a small ResNet on handwritten digits, dense and with CHEX.

The two networks see the same batches under the same recipe; the second one
ends with half of the multiply-adds, written as a plain, smaller model.

Expect 99.5 % of the 899 test images at 0.50 of the multiply-adds, as for the
dense network, and 99.7 % for a uniformly slim one: means of three seeds whose
standard deviations are 0.1 to 0.4 points, so the three are equal as far as
this test set can tell.

    python experiments/digits.py

Three seeds, with a uniformly slim network of equal FLOPs beside:

    python experiments/digits.py --seeds=3 --slim --workdir=runs/digits_seeds

Smoke test:

    python experiments/digits.py --smoke --workdir=runs/smoke
"""

import tensorflow as tf
from absl import app, flags
from common import contest, datasets, models, program_flags
from common.recipe import Recipe
from common.run_directory import open_run

FLAGS = flags.FLAGS
SMOKE = {"epochs": 4, "interval": 1, "end": 0.5, "width": 8}

# data
flags.DEFINE_integer(
    "fold", None, "Score on this third of the training set, 0 to 2, for tuning."
)

# model
flags.DEFINE_integer("width", 32, "Channels of the first of three stages.")
flags.DEFINE_bool("slim", False, "Train a slim network of equal FLOPs too.")

# exploration
program_flags.define_exploration(interval=8, end=0.4)

flags.adopt_module_key_flags(program_flags)

# run
flags.DEFINE_integer("epochs", 90, "Passes over the 898 training images.")
flags.DEFINE_integer("batch_size", 32, "Images in a batch.")
flags.DEFINE_float("lr", 0.05, "Largest learning rate.")
flags.DEFINE_float("weight_decay", 1e-3, "Factor of L2 regularisation.")
flags.DEFINE_integer("seed", 0, "First seed.")
flags.DEFINE_integer("seeds", 1, "Number of runs, each with the next seed.")
flags.DEFINE_integer("backup_every", 10, "Epochs between two saved states.")
flags.DEFINE_bool(
    "deterministic",
    False,
    "Compute the same bits every time; slower.",
)
flags.DEFINE_bool("smoke", False, "A few epochs, to see that all is in place.")
flags.DEFINE_string("workdir", "runs/digits", "Where everything is written.")


def main(argv):
    del argv
    program_flags.apply_smoke(FLAGS, SMOKE)
    if FLAGS.deterministic:
        tf.config.experimental.enable_op_determinism()
    settings = program_flags.settings(FLAGS, __name__)
    workdir = open_run(FLAGS.workdir, settings)
    images = datasets.load_digits(FLAGS.fold)
    runs = []
    for seed in range(FLAGS.seed, FLAGS.seed + FLAGS.seeds):
        directory = workdir if FLAGS.seeds == 1 else workdir / f"seed{seed}"
        runs.append(run(directory, images, seed))
    contest.report(runs, workdir)


def run(directory, images, seed):
    """Trains and measures all contenders with one seed."""
    recipe = Recipe(
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        lr=FLAGS.lr,
        weight_decay=FLAGS.weight_decay,
        shift=1,
        seed=seed,
    )
    race = contest.Contest(
        directory,
        images,
        recipe,
        backup_every=FLAGS.backup_every,
        report_every=10,
    )
    return race.run(
        models.digits_resnet,
        FLAGS.width,
        program_flags.scheduler(FLAGS, seed),
        FLAGS.slim,
        f"Digits, seed {seed}",
    )


if __name__ == "__main__":
    app.run(main)
