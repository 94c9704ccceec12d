"""Trains a RetinaNet on pictures in COCO layout, dense and with CHEX.

The network is KerasHub's, on a ResNet of 18, 34 or 50 layers, from random
weights. Both networks see the same batches under the same recipe. The defaults
are those of a run on COCO 2017: ResNet-50, 800 pixels, 650 epochs, exploration
until epoch 470 as in the paper:

    python experiments/coco_detection.py --data_dir=/data/coco --flops=0.5 \\
        --workdir=runs/coco

That run has *not* been made: no machine that could do it was at hand. The plan
and its cost, without data:

    python experiments/coco_detection.py --dry_run

What was run is a small network on pictures of blood cells; see
docs/detection.md for the command and the numbers.

A killed run goes on with the same command. Smoke test, on made-up shapes:

    python experiments/coco_detection.py --smoke --workdir=runs/smoke
"""

import math
import pathlib

from absl import app, flags
from common import contest, program_flags
from common.coco_data import load_coco
from common.coco_pipeline import CocoBatches, PictureChanges
from common.coco_shapes import write_shapes
from common.datasets import steps_per_epoch
from common.detection_contest import ROWS, DetectionContest
from common.detection_models import DEPTHS, WIDTHS, RetinaNet
from common.detection_recipe import DetectionRecipe
from common.run_directory import open_run

import keras_chex

FLAGS = flags.FLAGS
RECIPE = DetectionRecipe()
CHANGES = PictureChanges()
NETWORK = RetinaNet(classes=1)
SMOKE = {
    "image_size": ["64", "96"],
    "depth": 18,
    "widths": ["64", "32", "32", "32"],
    "levels": ["4", "5"],
    "head_layers": 1,
    "anchor_size": 1.5,
    "batch_size": 8,
    "epochs": 2,
    "interval": 1,
    "end": 0.5,
    "optimizer": "adam",
    "lr": 1e-3,
    "score_every": 2,
}
# Classes and training pictures with objects of COCO 2017.
COCO = (80, 117266)
# Backward passes cost about twice as much as the forward one.
TRAINING_PASSES = 3
# Flags on which the result does not depend.
ELSEWHERE = ("dry_run", "backup_every", "latency_runs")


def _text(numbers):
    """As a flag that lists these numbers has them."""
    return [str(number) for number in numbers]


# data
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder with annotations/instances_{train,val,test}*.json and the folders "
    "of their pictures.",
)
flags.DEFINE_string(
    "test_part",
    None,
    "Part to score on, such as val; test if there is one, val if not.",
)
flags.DEFINE_list(
    "image_size",
    _text(NETWORK.image_size),
    "Height and width, multiples of 32.",
)

# model
flags.DEFINE_integer(
    "depth",
    NETWORK.depth,
    f"Layers of the ResNet: {', '.join(map(str, DEPTHS))}.",
)
flags.DEFINE_list(
    "widths", _text(WIDTHS), "Channels of its stages; the first is 64."
)
flags.DEFINE_list(
    "levels",
    _text(NETWORK.levels),
    "First and last level of the feature pyramid.",
)
flags.DEFINE_integer(
    "head_layers", NETWORK.head_layers, "Layers of a head before its last."
)
flags.DEFINE_bool("head_norm", NETWORK.head_norm, "GroupNorm in the heads.")
flags.DEFINE_bool(
    "pyramid_norm", NETWORK.pyramid_norm, "BatchNorm in the feature pyramid."
)
flags.DEFINE_float(
    "anchor_size",
    NETWORK.anchor_size,
    "Side of the smallest anchors, in places of a level.",
)

# exploration
program_flags.define_exploration(interval=2, end=470)

flags.adopt_module_key_flags(program_flags)

# run
flags.DEFINE_integer("epochs", RECIPE.epochs, "Passes over the pictures.")
flags.DEFINE_integer("batch_size", RECIPE.batch_size, "Pictures in a batch.")
flags.DEFINE_enum(
    "optimizer",
    RECIPE.optimizer,
    ["sgd", "adam"],
    "SGD with momentum, or Adam.",
)
flags.DEFINE_float("lr", RECIPE.lr, "Largest learning rate.")
flags.DEFINE_float("warmup", RECIPE.warmup, "Share of the run to reach it in.")
flags.DEFINE_enum(
    "fall", RECIPE.fall, ["steps", "cosine"], "How the learning rate falls."
)
flags.DEFINE_float("weight_decay", RECIPE.weight_decay, "Of kernels alone.")
flags.DEFINE_float("clip", RECIPE.clip, "Largest norm of all gradients.")
flags.DEFINE_bool("mirror", CHANGES.mirror, "Mirror every second picture.")
flags.DEFINE_list(
    "zoom", _text(CHANGES.zoom), "Smallest and largest factor of size."
)
flags.DEFINE_float("colour", CHANGES.colour, "Largest change of colours.")
flags.DEFINE_integer("seed", 0, "First seed.")
flags.DEFINE_integer("seeds", 1, "Number of runs, each with the next seed.")
flags.DEFINE_integer(
    "score_every", 10, "Epochs between two scores, for the curves; 0 for none."
)
flags.DEFINE_integer("backup_every", 1, "Epochs between two saved states.")
flags.DEFINE_integer("latency_runs", 60, "Timed inferences of each network.")
flags.DEFINE_bool("smoke", False, "A few epochs, to see that all is in place.")
flags.DEFINE_bool("dry_run", False, "Print the plan and its cost, then stop.")
flags.DEFINE_string("workdir", "runs/detection", "Where everything is written.")


def main(argv):
    del argv
    program_flags.apply_smoke(FLAGS, SMOKE)
    if FLAGS.dry_run:
        print(dry_run())
        return
    if FLAGS.data_dir is None and not FLAGS.smoke:
        raise app.UsageError("Flag --data_dir must be given, or --smoke.")
    # What is wrong with the flags or the data comes before anything is written.
    task = None if FLAGS.data_dir is None else load()
    network(len(task.classes) if task else 1)
    settings = program_flags.settings(FLAGS, __name__, ELSEWHERE)
    workdir = open_run(FLAGS.workdir, settings)
    if task is None:
        task = load_coco(write_shapes(workdir / "shapes"))
    runs = []
    for seed in range(FLAGS.seed, FLAGS.seed + FLAGS.seeds):
        directory = workdir if FLAGS.seeds == 1 else workdir / f"seed{seed}"
        runs.append(run(directory, task, seed))
    contest.report(runs, workdir, ROWS)


def run(directory, task, seed):
    """Trains and measures both contenders with one seed."""
    race = DetectionContest(
        pathlib.Path(directory),
        make_batches(task, seed),
        recipe(seed),
        backup_every=FLAGS.backup_every,
        report_every=max(1, FLAGS.epochs // 20),
        latency_runs=FLAGS.latency_runs,
        network=network(len(task.classes)),
        score_every=FLAGS.score_every,
    )
    title = f"RetinaNet, ResNet-{FLAGS.depth}, on {task.name}, seed {seed}"
    return race.run(program_flags.scheduler(FLAGS, seed), title)


def dry_run():
    """Describes the run; needs no data for COCO 2017.

    Returns:
        String.
    """
    classes, pictures = COCO
    name = "COCO 2017"
    if FLAGS.data_dir is not None:
        task = load()
        classes, pictures, name = len(task.classes), len(task.train), task.name
    steps = steps_per_epoch(pictures, FLAGS.batch_size)
    model = network(classes).build()
    scheduler = program_flags.scheduler(FLAGS, FLAGS.seed)
    plan = scheduler.plan(keras_chex.wrap(model), FLAGS.epochs, steps)
    flops = keras_chex.flops(model)
    params = sum(math.prod(v.shape) for v in model.trainable_variables)
    total = TRAINING_PASSES * flops * FLAGS.epochs * steps * FLAGS.batch_size
    size = " x ".join(map(str, FLAGS.image_size))
    return "\n".join(
        [
            str(plan),
            "",
            f"RetinaNet on ResNet-{FLAGS.depth} for {size} pixels and "
            f"{classes} classes ({name}), dense: {flops / 1e9:.2f} G "
            f"multiply-adds, {params:,} trainable parameters.",
            f"{FLAGS.epochs} epochs of {steps:,} steps of {FLAGS.batch_size} "
            f"pictures; {FLAGS.optimizer}, learning rate {FLAGS.lr:g}.",
            f"Training: {plan.training_share:.3f} of the dense FLOPs on "
            f"average, {plan.training_share * total:.3e} multiply-adds in all "
            f"instead of {total:.3e} (a training step as three forward "
            "passes; anchors, losses and non-maximum suppression are not "
            "counted).",
        ]
    )


def load():
    """The pictures that the flags name."""
    return load_coco(FLAGS.data_dir, FLAGS.test_part)


def numbers(name, kind):
    """The numbers that a flag lists."""
    try:
        return tuple(map(kind, getattr(FLAGS, name)))
    except ValueError as error:
        raise app.UsageError(
            f"Flag --{name} must list numbers. Received: "
            f"--{name}={','.join(getattr(FLAGS, name))}"
        ) from error


def make_batches(task, seed):
    """The batches that the flags describe."""
    changes = PictureChanges(
        mirror=FLAGS.mirror,
        zoom=numbers("zoom", float),
        colour=FLAGS.colour,
    )
    canvas = numbers("image_size", int)
    return CocoBatches(task, canvas, FLAGS.batch_size, changes, seed)


def recipe(seed):
    """The recipe that the flags describe."""
    return DetectionRecipe(
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        optimizer=FLAGS.optimizer,
        lr=FLAGS.lr,
        warmup=FLAGS.warmup,
        fall=FLAGS.fall,
        weight_decay=FLAGS.weight_decay,
        clip=FLAGS.clip,
        seed=seed,
    )


def network(classes):
    """The network that the flags describe."""
    return RetinaNet(
        classes,
        image_size=numbers("image_size", int),
        depth=FLAGS.depth,
        widths=numbers("widths", int),
        levels=numbers("levels", int),
        head_layers=FLAGS.head_layers,
        head_norm=FLAGS.head_norm,
        pyramid_norm=FLAGS.pyramid_norm,
        anchor_size=FLAGS.anchor_size,
    )


if __name__ == "__main__":
    app.run(main)
