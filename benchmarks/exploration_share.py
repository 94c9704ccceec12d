"""Projects which share of an ImageNet training run goes into exploration.

Measured are, on one ResNet-50: the decision of an exploration step; its
application to the model, narrow twins included; the retraces of the train and
the test function, as what the first call takes more than the next; and a
training step of the uniform sub-model of `--flops`.
The projection is for 250 epochs of 1.28 million images with an exploration
step every 2 epochs up to epoch 180, as in the paper, every training step as
cheap as those of the final sub-model. Expect less than 1 %. Six minutes:

    python -m benchmarks.exploration_share --flops=0.25

A faster machine trains faster and retraces hardly faster, so the throughput at
which the share would be 1 % is printed too. `--output` gets all as JSON.
"""

import numpy as np
from absl import app, flags

import keras_chex
from benchmarks.networks import (
    build_network,
    compile_network,
    random_batch,
    scatter_scales,
    training_steps,
)
from benchmarks.phases import Phases
from benchmarks.report import table, write_json
from benchmarks.submodel import uniform_submodel
from keras_chex.callbacks.clock import make_clock
from keras_chex.callbacks.exploration import Explorer

FLAGS = flags.FLAGS

# model
flags.DEFINE_string("model", "ResNet50", "Or another of keras.applications.")
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
# exploration
flags.DEFINE_float("flops", 0.25, "Budget, as a share of the dense FLOPs.")
flags.DEFINE_integer("round_to", 1, "Widths are multiples of this.")
# schedule
flags.DEFINE_integer("epochs", 250, "Epochs of the projected run.")
flags.DEFINE_integer("examples", 1_281_167, "Images of one epoch.")
flags.DEFINE_integer("interval", 2, "Epochs between exploration steps.")
flags.DEFINE_integer("end", 180, "Epoch of the last exploration step.")
# measurement
flags.DEFINE_integer("batch_size", 8, "Images per step.")
flags.DEFINE_integer("rounds", 4, "Exploration steps that are timed.")
flags.DEFINE_integer("steps", 3, "Training steps that are timed in each round.")
flags.DEFINE_string("output", "runs/exploration_share.json", "JSON to write.")

# What an exploration step costs beside the training steps.
COSTS = ("decide", "apply", "retrace train", "retrace test")


class TimedExplorer(Explorer):
    """Times the application of a step apart from its decision."""

    phases = None

    def _apply(self, *args):
        if self.phases is None:
            return super()._apply(*args)
        return self.phases.time("apply", super()._apply, *args)


def measure(model, phases):
    """Times exploration steps, retraces and training steps of a model."""
    scheduler = keras_chex.ChexScheduler(
        flops=FLAGS.flops, round_to=FLAGS.round_to, verbose=0
    )
    smallest = uniform_submodel(model, FLAGS.flops, FLAGS.round_to)
    explorer = TimedExplorer(model, scheduler.budget, scheduler.options)
    clock = make_clock(1, FLAGS.rounds + 1, "epoch", FLAGS.rounds + 2, None)
    batch = random_batch(FLAGS.batch_size, FLAGS.image_size)
    train = training_steps(model, *batch)

    def test():
        return model.test_on_batch(*batch)

    train()
    test()
    explorer.begin(0)
    train()
    test()
    explorer.phases, rng = phases, np.random.default_rng(0)
    for moment in clock.times[: FLAGS.rounds]:
        scatter_scales(model, rng)
        phases.time("explore", explorer.explore, moment, clock)
        phases.time("first train", train)
        phases.time("first test", test)
        phases.time("next train", train)
        phases.time("next test", test)
    keras_chex.set_active(model, smallest)
    train()
    for _ in range(FLAGS.rounds * FLAGS.steps):
        phases.time("training step", train)


def parts(phases):
    """Seconds by the wall of everything that the projection adds up."""
    apply = phases.medians("apply")[0]
    return {
        "training step": phases.medians("training step")[0],
        "decide": phases.medians("explore")[0] - apply,
        "apply": apply,
        "retrace train": phases.added("first train", "next train")[0],
        "retrace test": phases.added("first test", "next test")[0],
    }


def project(seconds):
    """Works out the share of exploration in the whole run.

    Args:
        seconds: dict of seconds, as from `parts`.

    Returns:
        Dict: number of exploration steps, seconds of exploration and of
        training, share, and at how many images per second it would be 1 %.
    """
    explorations = len(range(FLAGS.interval, FLAGS.end, FLAGS.interval)) + 1
    exploring = explorations * sum(seconds[name] for name in COSTS)
    images = FLAGS.epochs * FLAGS.examples
    training = images / FLAGS.batch_size * seconds["training step"]
    return {
        "explorations": explorations,
        "exploration_seconds": exploring,
        "training_seconds": training,
        "share": exploring / (exploring + training),
        "images_per_second": FLAGS.batch_size / seconds["training step"],
        "images_per_second_at_1_percent": images / (99 * exploring),
    }


def main(argv):
    del argv
    model = build_network(FLAGS.model, FLAGS.image_size)
    model = keras_chex.wrap(model)
    compile_network(model)
    phases = Phases()
    measure(model, phases)
    seconds = parts(phases)
    projected = project(seconds)
    rows = [("part", "seconds")]
    rows += [(name, f"{value:.3f}") for name, value in seconds.items()]
    print(table(rows))
    print(
        f"share of exploration: {projected['share']:.6f} at "
        f"{projected['images_per_second']:.1f} images per second; 0.01 at "
        f"{projected['images_per_second_at_1_percent']:.0f}"
    )
    names = (
        *("model", "image_size", "flops", "round_to", "epochs", "examples"),
        *("interval", "end", "batch_size", "rounds", "steps"),
    )
    result = {
        "flags": {name: FLAGS[name].value for name in names},
        "seconds": seconds,
        "core_seconds": phases.cpu_seconds,
        "projected": projected,
    }
    write_json(FLAGS.output, result)
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
