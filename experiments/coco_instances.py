"""Trains Mask R-CNN on pictures in COCO layout, dense and with CHEX.

Both networks see the same batches under the same recipe. The defaults are the
usual ones for COCO (ResNet-50 with a feature pyramid, 12 epochs of batches of
16 pictures), with the paper's exploration: every 1,000 steps, over three
quarters of the run.

    python experiments/coco_instances.py --data_dir=/data/coco \\
        --flops=0.37 --workdir=runs/coco_instances

That run has *not* been made: no machine that could do it was at hand. The plan
and its cost, without data:

    python experiments/coco_instances.py --dry_run --flops=0.37

What was run is a small network on pictures of cell nuclei; see
docs/instances.md for the command and the numbers.

A killed run goes on with the same command. Smoke test, on rectangles and discs:

    python experiments/coco_instances.py --smoke --workdir=runs/smoke
"""

import math
import pathlib

import keras
from absl import app, flags
from common import coco_data, contest, mask_boxes, program_flags
from common.coco_shapes import write_shapes
from common.datasets import steps_per_epoch
from common.imagenet_models import RESNETS
from common.mask_contest import ROWS, MaskContest
from common.mask_model import MaskRCNN
from common.mask_pipeline import MaskBatches
from common.mask_recipe import MaskRecipe
from common.run_directory import open_run

import keras_chex

FLAGS = flags.FLAGS
RECIPE = MaskRecipe()
SHAPES = "shapes"
SMOKE = {
    "data_dir": SHAPES,
    "backbone": "resnet18",
    "image_size": ["64", "64"],
    "width": 8,
    "channels": 16,
    "dense_units": 32,
    "anchor_size": 4.0,
    "proposals": 16,
    "detections": 8,
    "sampled": 16,
    "sampled_anchors": 32,
    "objects": 8,
    "batch_size": 4,
    "epochs": 4,
    "interval": 12,
    "end": 0.5,
    "latency_runs": 10,
}
# Training pictures of COCO 2017 with objects, and its categories.
COCO_PICTURES, COCO_CLASSES = 117_266, 80
# Backward passes cost about twice as much as the forward one.
TRAINING_PASSES = 3
# Flags on which the result does not depend.
ELSEWHERE = ("dry_run", "backup_every", "latency_runs")

# data
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder with annotations/instances_<part>.json and a folder of pictures "
    "for each part; or shapes, which needs no data.",
)
flags.DEFINE_string(
    "test_part", None, "Part to score on; test, or val without one."
)
flags.DEFINE_list(
    "image_size", [832, 1344], "Height and width of the canvas, in 64s."
)
flags.DEFINE_integer("objects", 100, "Most objects of a training picture.")
flags.DEFINE_list(
    "zooms",
    [0.8, 1.2],
    "Training pictures are larger than what fits by a factor in this range.",
)
flags.DEFINE_bool("mirror", True, "Exchange left and right at random.")

# model
flags.DEFINE_enum("backbone", "resnet50", list(RESNETS), "Backbone.")
flags.DEFINE_integer("width", 64, "Channels of the backbone's first stage.")
flags.DEFINE_integer("channels", 256, "Of the feature pyramid and the masks.")
flags.DEFINE_integer("dense_units", 1024, "Of the box head.")
flags.DEFINE_float("anchor_size", 8.0, "Side of an anchor, in strides.")
flags.DEFINE_integer("proposals", 1000, "Of a picture in inference.")
flags.DEFINE_integer("detections", 100, "Of a picture, at most.")
flags.DEFINE_integer("sampled", 512, "Proposals of a picture to learn from.")
flags.DEFINE_integer("sampled_anchors", 256, "Anchors to learn from.")
flags.DEFINE_string(
    "backbone_weights",
    None,
    "A .keras file of imagenet.py, whose backbone to begin with.",
)

# exploration
program_flags.define_exploration(interval=1000, end=0.75)
FLAGS.set_default("unit", "step")

flags.adopt_module_key_flags(program_flags)

# run
flags.DEFINE_integer("epochs", RECIPE.epochs, "Passes over the pictures.")
flags.DEFINE_integer("batch_size", RECIPE.batch_size, "Pictures in a batch.")
flags.DEFINE_float(
    "base_lr", RECIPE.base_lr, "Learning rate for a batch of 16 pictures."
)
flags.DEFINE_integer("warmup_steps", RECIPE.warmup_steps, "Steps of warm-up.")
flags.DEFINE_float("momentum", RECIPE.momentum, "Momentum of SGD.")
flags.DEFINE_float("weight_decay", RECIPE.weight_decay, "L2 regularisation.")
flags.DEFINE_float("clip", RECIPE.clip, "Largest norm of the gradients.")
flags.DEFINE_integer("seed", 0, "First seed.")
flags.DEFINE_integer("seeds", 1, "Number of runs, each with the next seed.")
flags.DEFINE_integer("backup_every", 1, "Epochs between two saved states.")
flags.DEFINE_integer("latency_runs", 60, "Timed inferences of each network.")
flags.DEFINE_bool("smoke", False, "A few epochs, to see that all is in place.")
flags.DEFINE_bool("dry_run", False, "Print the plan and its cost, then stop.")
flags.DEFINE_string(
    "workdir", "runs/coco_instances", "Where everything is written."
)


def main(argv):
    del argv
    program_flags.apply_smoke(FLAGS, SMOKE)
    mask_boxes.check_image_size(FLAGS.image_size)
    if FLAGS.dry_run:
        print(dry_run())
        return
    if FLAGS.data_dir is None:
        raise app.UsageError("Flag --data_dir must be given, or --smoke.")
    settings = program_flags.settings(FLAGS, __name__, ELSEWHERE)
    workdir = open_run(FLAGS.workdir, settings)
    task = load()
    runs = []
    for seed in range(FLAGS.seed, FLAGS.seed + FLAGS.seeds):
        directory = workdir if FLAGS.seeds == 1 else workdir / f"seed{seed}"
        runs.append(run(directory, task, seed))
    contest.report(runs, workdir, ROWS)


def run(directory, task, seed):
    """Trains and measures both contenders with one seed."""
    race = MaskContest(
        directory,
        make_batches(task, seed),
        recipe(seed),
        backup_every=FLAGS.backup_every,
        report_every=max(1, FLAGS.epochs // 20),
        latency_runs=FLAGS.latency_runs,
    )
    return race.run(
        lambda: build(len(task.classes), seed),
        program_flags.scheduler(FLAGS, seed),
        f"Mask R-CNN on {task.name}, seed {seed}",
    )


def dry_run():
    """Describes the run; needs no data for COCO.

    Returns:
        String.
    """
    classes, pictures, name = COCO_CLASSES, COCO_PICTURES, "COCO 2017"
    if FLAGS.data_dir is not None:
        task = load()
        classes, pictures, name = len(task.classes), len(task.train), task.name
    steps = steps_per_epoch(pictures, FLAGS.batch_size)
    model = build(classes, FLAGS.seed)
    scheduler = program_flags.scheduler(FLAGS, FLAGS.seed)
    plan = scheduler.plan(keras_chex.wrap(model), FLAGS.epochs, steps)
    flops = keras_chex.flops(model)
    params = sum(math.prod(v.shape) for v in model.trainable_variables)
    height, width = model.arguments["image_size"]
    return "\n".join(
        [
            str(plan),
            "",
            f"Mask R-CNN with {FLAGS.backbone} for {name} at {height} x "
            f"{width}, dense: {flops / 1e9:.1f} G multiply-adds with "
            f"{FLAGS.proposals:,} proposals and {FLAGS.detections} masks, "
            f"{params:,} trainable parameters.",
            *(f"  {part}: {cost}" for part, cost in shares(model).items()),
            f"{FLAGS.epochs} epochs of {steps:,} steps of {FLAGS.batch_size} "
            f"pictures; learning rate {recipe(FLAGS.seed).lr:g}.",
            f"Training: {plan.training_share:.3f} of the dense FLOPs on "
            "average (a training step as three forward passes).",
        ]
    )


def shares(model):
    """FLOPs of the parts of a network, as text by their names."""
    found = {}
    for layer in keras_chex.summary(model).layers:
        part = layer.name.split("/")[0]
        found[part] = found.get(part, 0) + layer.flops
    return {
        part: f"{cost / 1e9:.1f} G multiply-adds"
        for part, cost in found.items()
    }


def load():
    """The pictures that the flags name."""
    if FLAGS.data_dir != SHAPES:
        return coco_data.load_coco(FLAGS.data_dir, FLAGS.test_part)
    return coco_data.load_coco(
        write_shapes(pathlib.Path(FLAGS.workdir, SHAPES))
    )


def make_batches(task, seed):
    """The batches that the flags describe."""
    return MaskBatches(
        task,
        mask_boxes.check_image_size(FLAGS.image_size),
        FLAGS.batch_size,
        FLAGS.objects,
        tuple(map(float, FLAGS.zooms)),
        FLAGS.mirror,
        seed,
    )


def recipe(seed):
    """The recipe that the flags describe."""
    return MaskRecipe(
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        base_lr=FLAGS.base_lr,
        warmup_steps=FLAGS.warmup_steps,
        momentum=FLAGS.momentum,
        weight_decay=FLAGS.weight_decay,
        clip=FLAGS.clip,
        seed=seed,
    )


def build(classes, seed):
    """The network before anything is removed."""
    model = MaskRCNN(
        FLAGS.image_size,
        classes,
        backbone=FLAGS.backbone,
        width=FLAGS.width,
        channels=FLAGS.channels,
        dense=FLAGS.dense_units,
        anchor_size=FLAGS.anchor_size,
        proposals=FLAGS.proposals,
        detections=FLAGS.detections,
        sampled=FLAGS.sampled,
        sampled_anchors=FLAGS.sampled_anchors,
        seed=seed,
    )
    if FLAGS.backbone_weights is not None:
        given = keras.models.load_model(FLAGS.backbone_weights, compile=False)
        model.load_backbone(given)
    return model


if __name__ == "__main__":
    app.run(main)
