"""Trains PointNet or PointNet++ on point clouds, dense and with CHEX.

Both networks see the same batches under the same recipe. The defaults are the
usual ones for ModelNet40 (PointNet++ with single-scale grouping, 1,024 points
in the unit sphere, Adam, 200 epochs), with the paper's exploration intervals:

    python experiments/pointcloud.py --data=/data/modelnet40_ply_hdf5_2048 \\
        --flops=0.5 --workdir=runs/modelnet40

That run has *not* been made: no machine that could do it was at hand. The plan
and its cost, without data:

    python experiments/pointcloud.py --dry_run

What was run is a small PointNet++ on 588 objects scanned in streets; see
docs/pointcloud.md for the command and the numbers.

A killed run goes on with the same command. Smoke test, on balls and boxes:

    python experiments/pointcloud.py --smoke --workdir=runs/smoke
"""

import math

from absl import app, flags
from common import contest, point_files, point_models, program_flags
from common.datasets import steps_per_epoch
from common.point_contest import ROWS, PointContest
from common.point_pipeline import Augmentation, PointBatches
from common.point_recipe import PointRecipe
from common.run_directory import open_run

import keras_chex

FLAGS = flags.FLAGS
RECIPE = PointRecipe()
CHANGES = Augmentation()
SMOKE = {
    "data": point_files.SYNTHETIC,
    "width": 0.25,
    "points": 64,
    "centres": ["16", "8"],
    "radii": ["0.5", "1.0"],
    "neighbours": ["8", "8"],
    "batch_size": 16,
    "epochs": 6,
    "interval": 1,
    "end": 0.5,
}
# Backward passes cost about twice as much as the forward one.
TRAINING_PASSES = 3
# Flags on which the result does not depend.
ELSEWHERE = ("data", "dry_run", "backup_every", "latency_runs")

# data
flags.DEFINE_string(
    "data",
    None,
    "A .npz file with folds, a folder of .npz files, of ModelNet40's .h5 files "
    "or of .off meshes; or synthetic, which needs no data.",
)
flags.DEFINE_integer(
    "test_fold", None, "Fold of a .npz file to test on; the last if not set."
)
flags.DEFINE_integer(
    "left_out", None, "Fold that is not used at all, so as to tune without it."
)
flags.DEFINE_integer("surface_points", 2048, "Points to draw on each mesh.")
flags.DEFINE_enum(
    "size",
    "unit",
    ["unit", "kept"],
    "Clouds are scaled to the unit sphere, or keep the size they have.",
)
flags.DEFINE_integer("points", 1024, "Points of a cloud that networks see.")

# model
flags.DEFINE_enum("model", "pointnet2", ["pointnet2", "pointnet"], "Network.")
flags.DEFINE_float("width", 1.0, "Factor of all published widths.")
flags.DEFINE_list("centres", [512, 128], "Regions of PointNet++, by level.")
flags.DEFINE_list("radii", [0.2, 0.4], "Radii of these regions.")
flags.DEFINE_list("neighbours", [32, 64], "Points taken from each of them.")
flags.DEFINE_float("dropout", 0.4, "Behind the layers of the head.")

# exploration
program_flags.define_exploration(interval=2, end=0.72)

flags.adopt_module_key_flags(program_flags)

# run
flags.DEFINE_integer("epochs", RECIPE.epochs, "Passes over the clouds.")
flags.DEFINE_integer("batch_size", RECIPE.batch_size, "Clouds in a batch.")
flags.DEFINE_float("lr", RECIPE.lr, "Learning rate of the first epochs.")
flags.DEFINE_float("decay", RECIPE.decay, "Factor of the learning rate.")
flags.DEFINE_integer(
    "decay_epochs", RECIPE.decay_epochs, "Epochs until it applies once more."
)
flags.DEFINE_float(
    "weight_decay", RECIPE.weight_decay, "Decoupled, times the learning rate."
)
flags.DEFINE_float(
    "label_smoothing", RECIPE.label_smoothing, "Share of all classes."
)
flags.DEFINE_float(
    "balance", 0.0, "0 weighs examples alike, 1 classes; or between."
)
flags.DEFINE_float("rotate", CHANGES.rotate, "Largest turn, in degrees.")
flags.DEFINE_float("scale", CHANGES.scale, "Largest factor of coordinates.")
flags.DEFINE_float("shift", CHANGES.shift, "Largest shift along an axis.")
flags.DEFINE_float("jitter", CHANGES.jitter, "Deviation of coordinates.")
flags.DEFINE_bool("mirror", CHANGES.mirror, "Exchange left and right.")
flags.DEFINE_integer(
    "draws", 1, "Choices of points that final predictions are averaged over."
)
flags.DEFINE_integer("seed", 0, "First seed.")
flags.DEFINE_integer("seeds", 1, "Number of runs, each with the next seed.")
flags.DEFINE_integer("backup_every", 5, "Epochs between two saved states.")
flags.DEFINE_integer("latency_runs", 60, "Timed inferences of each network.")
flags.DEFINE_bool("smoke", False, "A few epochs, to see that all is in place.")
flags.DEFINE_bool("dry_run", False, "Print the plan and its cost, then stop.")
flags.DEFINE_string(
    "workdir", "runs/pointcloud", "Where everything is written."
)


def main(argv):
    del argv
    program_flags.apply_smoke(FLAGS, SMOKE)
    if FLAGS.dry_run:
        print(dry_run())
        return
    if FLAGS.data is None:
        raise app.UsageError("Flag --data must be given, or --smoke.")
    settings = program_flags.settings(FLAGS, __name__, ELSEWHERE)
    workdir = open_run(FLAGS.workdir, settings)
    task = load().centred(to_unit_sphere=FLAGS.size == "unit")
    runs = []
    for seed in range(FLAGS.seed, FLAGS.seed + FLAGS.seeds):
        directory = workdir if FLAGS.seeds == 1 else workdir / f"seed{seed}"
        runs.append(run(directory, task, seed))
    contest.report(runs, workdir, ROWS)


def run(directory, task, seed):
    """Trains and measures both contenders with one seed."""
    race = PointContest(
        directory,
        make_batches(task, seed),
        recipe(seed),
        backup_every=FLAGS.backup_every,
        report_every=max(1, FLAGS.epochs // 10),
        latency_runs=FLAGS.latency_runs,
        draws=FLAGS.draws,
    )
    return race.run(
        lambda: build(len(task.classes)),
        program_flags.scheduler(FLAGS, seed),
        f"{FLAGS.model} on {task.name}, seed {seed}",
    )


def dry_run():
    """Describes the run; needs no data for ModelNet40.

    Returns:
        String.
    """
    classes, clouds = point_files.MODELNET40
    name = "ModelNet40"
    if FLAGS.data is not None:
        task = load()
        classes, clouds, name = len(task.classes), len(task.train), task.name
    steps = steps_per_epoch(clouds, FLAGS.batch_size)
    model = build(classes)
    scheduler = program_flags.scheduler(FLAGS, FLAGS.seed)
    plan = scheduler.plan(keras_chex.wrap(model), FLAGS.epochs, steps)
    flops = keras_chex.flops(model)
    params = sum(math.prod(v.shape) for v in model.trainable_variables)
    total = TRAINING_PASSES * flops * FLAGS.epochs * steps * FLAGS.batch_size
    return "\n".join(
        [
            str(plan),
            "",
            f"{FLAGS.model} for {FLAGS.points:,} points of {name}, dense: "
            f"{flops / 1e6:.1f} M multiply-adds, {params:,} trainable "
            "parameters.",
            f"{FLAGS.epochs} epochs of {steps:,} steps of {FLAGS.batch_size} "
            f"clouds; learning rate {FLAGS.lr:g}, times {FLAGS.decay:g} every "
            f"{FLAGS.decay_epochs} epochs.",
            f"Training: {plan.training_share:.3f} of the dense FLOPs on "
            f"average, {plan.training_share * total:.3e} multiply-adds in all "
            f"instead of {total:.3e} (a training step as three forward "
            "passes; distances between points are not counted).",
        ]
    )


def load():
    """The clouds that the flags name."""
    return point_files.load_points(
        FLAGS.data, FLAGS.test_fold, FLAGS.left_out, FLAGS.surface_points
    )


def make_batches(task, seed):
    """The batches that the flags describe."""
    changes = Augmentation(
        rotate=FLAGS.rotate,
        scale=FLAGS.scale,
        shift=FLAGS.shift,
        jitter=FLAGS.jitter,
        mirror=FLAGS.mirror,
    )
    return PointBatches(
        task, FLAGS.points, FLAGS.batch_size, changes, seed, FLAGS.balance
    )


def recipe(seed):
    """The recipe that the flags describe."""
    return PointRecipe(
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        lr=FLAGS.lr,
        decay=FLAGS.decay,
        decay_epochs=FLAGS.decay_epochs,
        weight_decay=FLAGS.weight_decay,
        label_smoothing=FLAGS.label_smoothing,
        seed=seed,
    )


def build(classes):
    """The network before anything is removed."""
    head = point_models.scaled(point_models.HEAD, FLAGS.width)
    if FLAGS.model == "pointnet":
        return point_models.pointnet(
            FLAGS.points,
            classes,
            point_models.scaled(point_models.POINTNET, FLAGS.width),
            head,
            point_models.scaled(point_models.TRANSFORM, FLAGS.width),
            FLAGS.dropout,
        )
    groupings = point_models.make_groupings(
        FLAGS.centres, FLAGS.radii, FLAGS.neighbours, FLAGS.width
    )
    return point_models.pointnet2(
        FLAGS.points, classes, groupings, head, FLAGS.dropout
    )


if __name__ == "__main__":
    app.run(main)
