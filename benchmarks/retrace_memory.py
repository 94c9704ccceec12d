"""Measures the memory that exploration steps leave behind.

A compiled function is made anew when widths change. Plain Keras that makes its
train function anew as often is the reference: TensorFlow keeps what it traced.
Each variant runs in a process of its own, and every exploration step draws new
BatchNormalization scales, so that many widths change. Expect growth near zero.
Ten minutes for ResNet-50, less for the CIFAR ResNet:

    python -m benchmarks.retrace_memory --model=ResNet50 --image_size=64
    python -m benchmarks.retrace_memory --model=cifar_resnet --batch_size=8

The size of images and batches changes what a step needs, not what is left.
The table is printed; `--output` gets it as JSON, with the machine.
"""

import json

import numpy as np
from absl import app, flags

import keras_chex
from benchmarks.memory import measure_apart, resident
from benchmarks.networks import (
    build_network,
    compile_network,
    random_batch,
    scatter_scales,
    training_steps,
)
from benchmarks.report import table, write_json
from keras_chex.callbacks.clock import make_clock
from keras_chex.callbacks.exploration import Explorer

FLAGS = flags.FLAGS
NAMES = ("model", "depth", "width", "image_size", "batch_size", "flops")

# model
flags.DEFINE_string("model", "cifar_resnet", "Or one of keras.applications.")
flags.DEFINE_integer("depth", 20, "Depth of the CIFAR ResNet.")
flags.DEFINE_integer("width", 32, "Channels of its first stage.")
flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
# exploration
flags.DEFINE_float("flops", 0.25, "Budget, as a share of the dense FLOPs.")
flags.DEFINE_multi_integer("round_to", [8, 1], "Widths are multiples of this.")
# measurement
flags.DEFINE_integer("batch_size", 2, "Images per step.")
flags.DEFINE_integer("retraces", 50, "Exploration steps, or plain retraces.")
flags.DEFINE_integer("warmup", 3, "Those before the first reading.")
flags.DEFINE_integer("processes", 2, "Variants that run at the same time.")
flags.DEFINE_string("variant", None, "Measure only this, in this process.")
flags.DEFINE_string("output", "runs/retrace_memory.json", "JSON to write.")


def plain_retraces(model):
    """Returns a function that makes the train function anew."""

    def renew(index):
        del index
        model.make_train_function(force=True)

    return renew


def exploration_steps(model, round_to):
    """Returns a function that makes one exploration step."""
    scheduler = keras_chex.ChexScheduler(
        flops=FLAGS.flops, round_to=round_to, verbose=0
    )
    explorer = Explorer(model, scheduler.budget, scheduler.options)
    steps = FLAGS.warmup + FLAGS.retraces
    clock = make_clock(1, steps + 1, "epoch", steps + 2, None)
    rng = np.random.default_rng(0)
    explorer.begin(0)

    def explore(index):
        scatter_scales(model, rng)
        explorer.explore(clock.times[index], clock)

    return explore


def measure(variant):
    """Returns what one variant leaves in memory, in mebibytes.

    Args:
        variant: `"plain"`, or the number that widths are multiples of.
    """
    model = build_network(
        FLAGS.model, FLAGS.image_size, FLAGS.depth, FLAGS.width
    )
    if variant != "plain":
        model = keras_chex.wrap(model)
    compile_network(model)
    train = training_steps(
        model, *random_batch(FLAGS.batch_size, FLAGS.image_size)
    )
    train()
    if variant == "plain":
        change = plain_retraces(model)
    else:
        change = exploration_steps(model, int(variant))
    readings = []
    for index in range(FLAGS.warmup + FLAGS.retraces):
        change(index)
        train()
        if index + 1 >= FLAGS.warmup:
            readings.append(resident())
    return {"growth": readings[-1] - readings[0], "resident": readings}


def main(argv):
    del argv
    if FLAGS.variant:
        print(json.dumps(measure(FLAGS.variant)))
        return
    arguments = [f"--{name}={FLAGS[name].value}" for name in NAMES]
    arguments += [f"--retraces={FLAGS.retraces}", f"--warmup={FLAGS.warmup}"]
    variants = ["plain", *map(str, FLAGS.round_to)]
    found = measure_apart(
        "benchmarks.retrace_memory", variants, arguments, FLAGS.processes
    )
    plain = found["plain"]["growth"]
    rows = [("variant", "growth", "each", "of plain")]
    for variant, result in found.items():
        growth = result["growth"]
        rows.append(
            (
                "plain" if variant == "plain" else f"round_to={variant}",
                f"{growth:.0f} MiB",
                f"{growth / FLAGS.retraces:.1f} MiB",
                f"{growth / plain:.3f}",
            )
        )
    print(table(rows))
    result = {
        "flags": {
            name: FLAGS[name].value for name in (*NAMES, "retraces", "warmup")
        },
        "mebibytes": found,
        "growth_of_plain": {
            variant: result["growth"] / plain
            for variant, result in found.items()
        },
    }
    write_json(FLAGS.output, result)
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
