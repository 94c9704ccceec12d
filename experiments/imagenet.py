"""Trains a network on ImageNet while CHEX makes it small.

The recipe of the paper (ResNet-50 at 25 % of the multiply-adds, 250 epochs):

    python experiments/imagenet.py --model=resnet50 --flops=0.25 \\
        --data_dir=/data/tfds --workdir=runs/resnet50_25 \\
        --precision=bfloat16 --strategy=mirrored --exclude_residual

The paper reports 76.0 % top-1 there. That run has *not* been made with this
program: no machine that could do it was at hand. What was run are short
schedules on a part of Imagenette, to see that everything works; they say
nothing about accuracy.

A killed run goes on with the same command. The plan and its cost, without data
(0.38 of the dense training FLOPs):

    python experiments/imagenet.py --model=resnet50 --flops=0.25 --dry_run

Whether the input keeps up with the device:

    python experiments/imagenet.py --model=resnet50 --benchmark_input

Smoke test, on noise instead of data:

    python experiments/imagenet.py --smoke --dataset=synthetic \\
        --workdir=runs/smoke
"""

import math
import pathlib

import keras
from absl import app, flags
from common import (
    imagenet_models,
    input_speed,
    photo_run,
    photographs,
    program_flags,
    strategies,
)
from common.imagenet_recipe import (
    ImagenetRecipe,
    compile_model,
    learning_rate,
)
from common.photo_pipeline import PhotoBatches, steps_per_epoch
from common.run_directory import open_run, write_json

import keras_chex

FLAGS = flags.FLAGS
RECIPE = ImagenetRecipe()
POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
SMOKE = {
    "model": "resnet18",
    "epochs": 4,
    "interval": 1,
    "end": 0.5,
    "image_size": 48,
    "batch_size": 16,
    "train_examples": 64,
    "eval_examples": 24,
}
# Backward passes cost about twice as much as the forward one.
TRAINING_PASSES = 3
# Flags on which the result does not depend.
ELSEWHERE = ("dry_run", "benchmark_input", "dense_workdir")

# data
flags.DEFINE_string(
    "dataset",
    "imagenet2012",
    "Name in tensorflow_datasets; or synthetic, which needs no data.",
)
flags.DEFINE_string("data_dir", None, "Where prepared data sets lie.")
flags.DEFINE_string(
    "image_folder", None, "Folder with train/<class>/*.jpg and val/ likewise."
)
flags.DEFINE_integer("train_examples", None, "Training images to use, or all.")
flags.DEFINE_integer("eval_examples", None, "Images to evaluate on, or all.")
flags.DEFINE_integer(
    "shuffle_buffer", photographs.BUFFER, "Records shuffled together."
)
flags.DEFINE_bool(
    "deterministic", True, "Same batches every time, at some cost in speed."
)

# model
flags.DEFINE_string(
    "model",
    "resnet50",
    f"{', '.join(imagenet_models.RESNETS)}; or a network of "
    "keras.applications, such as MobileNetV2.",
)
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
flags.DEFINE_enum(
    "precision", "float32", list(POLICIES), "Of all but variables and logits."
)

# exploration
program_flags.define_exploration(interval=2, end=0.72)
flags.DEFINE_bool(
    "exclude_residual",
    False,
    "Keep stem, shortcuts and last convolutions dense, as the paper does.",
)
flags.DEFINE_bool("dense", False, "Train the dense network, without CHEX.")

flags.adopt_module_key_flags(program_flags)

# run
flags.DEFINE_enum(
    "strategy", "one", strategies.NAMES, "Devices; see tf.distribute."
)
flags.DEFINE_integer(
    "devices", 0, "Devices of --strategy=mirrored; 0 for all GPUs."
)
flags.DEFINE_integer("epochs", RECIPE.epochs, "Passes over the images.")
flags.DEFINE_integer(
    "steps_per_epoch", None, "Steps in an epoch; all images if not set."
)
flags.DEFINE_integer(
    "batch_size", RECIPE.batch_size, "Images in a batch of all devices."
)
flags.DEFINE_float(
    "lr", RECIPE.base_lr, "Largest learning rate for batches of 1024 images."
)
flags.DEFINE_float(
    "warmup_epochs", None, "8, or a tenth of a short run, if not set."
)
flags.DEFINE_float("momentum", RECIPE.momentum, "Of SGD.")
flags.DEFINE_float(
    "weight_decay", RECIPE.weight_decay, "Factor of L2 regularisation."
)
flags.DEFINE_float(
    "label_smoothing", RECIPE.label_smoothing, "Share of all classes."
)
flags.DEFINE_float("mixup", RECIPE.mixup, "Parameter of mixtures, or 0.")
flags.DEFINE_integer("seed", 0, "Decides initial weights, batches and draws.")
flags.DEFINE_bool("smoke", False, "A few steps, to see that all is in place.")
flags.DEFINE_bool("dry_run", False, "Print the plan and its cost, then stop.")
flags.DEFINE_bool("benchmark_input", False, "Time the input, then stop.")
flags.DEFINE_string("workdir", "runs/imagenet", "Where everything is written.")
flags.DEFINE_string(
    "dense_workdir",
    None,
    "A finished --dense run, whose accuracy the printed table shows beside.",
)


def main(argv):
    del argv
    program_flags.apply_smoke(FLAGS, SMOKE)
    if FLAGS.dry_run:
        print(dry_run())
        return
    strategy = strategies.make_strategy(FLAGS.strategy, FLAGS.devices)
    keras.config.set_dtype_policy(POLICIES[FLAGS.precision])
    keras.utils.set_random_seed(FLAGS.seed)
    if FLAGS.benchmark_input:
        benchmark_input(make_batches(load(), strategy))
    else:
        train(strategy)


def train(strategy):
    """Makes the run, or the rest of it."""
    settings = program_flags.settings(FLAGS, __name__, ELSEWHERE)
    chief = strategies.is_chief(strategy)
    workdir = open_run(FLAGS.workdir, settings, write=chief)
    result = photo_run.finished_result(workdir)
    if result is not None:
        print(f"finished before, see {workdir}")
    else:
        batches = make_batches(load(), strategy)
        classes = batches.photos.classes
        steps = run_steps(batches.photos.train.count)
        name = "dense" if FLAGS.dense else "CHEX"
        run = photo_run.PhotoRun(workdir, batches, recipe(), steps, name)
        with strategy.scope():
            model = wrapped(build(classes))
        run.train(model, make_scheduler(chief))
        if not chief:
            return
        keras.utils.clear_session()  # automatic names begin anew
        keras.config.set_dtype_policy("float32")
        result = run.finish(model, build(classes), wrapped, settings)
    reference = None
    if FLAGS.dense_workdir:
        reference = photo_run.finished_result(pathlib.Path(FLAGS.dense_workdir))
    table = photo_run.result_table(result, reference)
    print(f"\n{table}\n\nwritten to {workdir}")


def dry_run():
    """Describes the run; needs no data for ImageNet.

    Returns:
        String.
    """
    classes, examples = data_sizes()
    steps, run = run_steps(examples), recipe()
    learning_rate(run, steps)  # fails where the run would
    model = build(classes)
    share, lines = 1.0, []
    if not FLAGS.dense:
        plan = make_scheduler().plan(wrapped(model), run.epochs, steps)
        share, lines = plan.training_share, [str(plan), ""]
    flops = keras_chex.flops(model)
    params = sum(math.prod(v.shape) for v in model.trainable_variables)
    images = run.epochs * steps * run.batch_size
    total = TRAINING_PASSES * flops * images
    return "\n".join(
        [
            *lines,
            f"{FLAGS.model} of {FLAGS.dataset}, dense: {flops / 1e9:.3f} G "
            f"multiply-adds, {params:,} trainable parameters.",
            f"{run.epochs} epochs of {steps:,} steps of {run.batch_size:,} "
            f"images; learning rate {run.lr:g} after {run.warmup:g} epochs.",
            f"Training: {share:.3f} of the dense FLOPs on average, "
            f"{share * total:.3e} multiply-adds in all instead of {total:.3e} "
            "(a training step as three forward passes).",
        ]
    )


def benchmark_input(batches):
    """Times the input alone, the training step alone, and both together."""
    with batches.strategy.scope():
        model = build(batches.photos.classes)
        compile_model(model, recipe(), run_steps(batches.photos.train.count))
    speeds = {
        "input alone": input_speed.input_speed(batches),
        "training step alone": input_speed.step_speed(model, batches),
        "both together": input_speed.training_speed(model, batches),
    }
    for name, speed in speeds.items():
        print(f"{name:<20} {speed:10.1f} images/s")
    ratio = speeds["input alone"] / speeds["training step alone"]
    print(f"the input makes {ratio:.2f} times what the dense network takes")
    values = {**speeds, "model": FLAGS.model, "image_size": FLAGS.image_size}
    values |= {"batch_size": FLAGS.batch_size, **photo_run.software()}
    write_json(f"{FLAGS.workdir}/input_speed.json", values)


def load():
    """The photographs that the flags name."""
    limits = FLAGS.train_examples, FLAGS.eval_examples
    if FLAGS.image_folder:
        return photographs.load_folder(FLAGS.image_folder, *limits)
    return photographs.load_photos(
        FLAGS.dataset, FLAGS.data_dir, *limits, FLAGS.shuffle_buffer
    )


def data_sizes():
    """Classes and training images; from the data if need be."""
    if FLAGS.image_folder or FLAGS.dataset not in photographs.SIZES:
        photos = load()
        return photos.classes, photos.train.count
    classes, train = photographs.SIZES[FLAGS.dataset]
    return classes, min(train, FLAGS.train_examples or train)


def make_batches(photos, strategy):
    """The batches that the flags describe."""
    return PhotoBatches(
        photos,
        strategy,
        image_size=FLAGS.image_size,
        batch_size=FLAGS.batch_size,
        seed=FLAGS.seed,
        mixup=FLAGS.mixup,
        deterministic=FLAGS.deterministic,
    )


def run_steps(examples):
    """Steps in an epoch."""
    return FLAGS.steps_per_epoch or steps_per_epoch(examples, FLAGS.batch_size)


def recipe():
    """The recipe that the flags describe."""
    return ImagenetRecipe(
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        base_lr=FLAGS.lr,
        warmup_epochs=FLAGS.warmup_epochs,
        momentum=FLAGS.momentum,
        weight_decay=FLAGS.weight_decay,
        label_smoothing=FLAGS.label_smoothing,
        mixup=FLAGS.mixup,
        seed=FLAGS.seed,
    )


def build(classes):
    """The network before anything is removed."""
    return imagenet_models.build_model(FLAGS.model, FLAGS.image_size, classes)


def wrapped(model):
    """The network to train: wrapped, unless it stays dense."""
    if FLAGS.dense:
        return model
    exclude = list(FLAGS.exclude)
    if FLAGS.exclude_residual:
        exclude += imagenet_models.residual_layers(FLAGS.model)
    return keras_chex.wrap(model, exclude)


def make_scheduler(chief=True):
    """The exploration, silent on workers that are not the chief."""
    if FLAGS.dense:
        return None
    # What `wrap` was told to keep dense, the scheduler finds so.
    return program_flags.scheduler(
        FLAGS, FLAGS.seed, exclude=(), verbose=int(chief)
    )


if __name__ == "__main__":
    app.run(main)
