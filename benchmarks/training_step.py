"""Times the training step of a sub-model against the dense one.

Four models take turns: the plain network, the wrapped one with all channels
active, the wrapped one with a uniform sub-model of `--flops`, and that
sub-model stripped. Expect a narrow step near the stripped model's own, and a
wrapped model with all channels near the plain one. Two minutes on two cores:

    python -m benchmarks.training_step --width=32 --flops=0.25

Any model of `keras.applications` can be timed, six minutes for ResNet-50:

    python -m benchmarks.training_step --model=ResNet50 --image_size=224 \\
        --batch_size=8 --steps=1 --flops=0.25

The table is printed; `--output` gets it as JSON, with the machine.
"""

import statistics
import time

from absl import app, flags

import keras_chex
from benchmarks.alternate import alternate, median_ratio
from benchmarks.networks import (
    build_network,
    compile_network,
    random_batch,
    training_steps,
)
from benchmarks.report import table, write_json
from benchmarks.submodel import uniform_submodel

FLAGS = flags.FLAGS

# model
flags.DEFINE_string("model", "cifar_resnet", "Or one of keras.applications.")
flags.DEFINE_integer("depth", 20, "Depth of the CIFAR ResNet.")
flags.DEFINE_integer("width", 32, "Channels of its first stage.")
flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
# exploration
flags.DEFINE_float("flops", 0.25, "Share of the FLOPs that the sub-model has.")
flags.DEFINE_integer("round_to", 1, "Widths are multiples of this.")
# measurement
flags.DEFINE_integer("batch_size", 128, "Images per step.")
flags.DEFINE_integer("rounds", 15, "Timed rounds, one turn of each model.")
flags.DEFINE_integer("steps", 2, "Training steps in one turn.")
flags.DEFINE_enum(
    "clock",
    "wall",
    ["wall", "cpu"],
    "Seconds that pass, or seconds of all cores: on a busy machine these.",
)
flags.DEFINE_string("output", "runs/training_step.json", "JSON to write.")

# Pairs whose ratio is reported: measured model, reference.
RATIOS = (
    ("narrow", "dense"),
    ("narrow", "stripped"),
    ("all active", "dense"),
)


def build_models():
    """Returns the four models that take turns, compiled."""
    dense = build_network(
        FLAGS.model, FLAGS.image_size, FLAGS.depth, FLAGS.width
    )
    narrow = keras_chex.wrap(dense)
    active = uniform_submodel(narrow, FLAGS.flops, FLAGS.round_to)
    keras_chex.set_active(narrow, active)
    models = {
        "dense": dense,
        "all active": keras_chex.wrap(dense),
        "narrow": narrow,
        "stripped": keras_chex.strip(narrow),
    }
    for model in models.values():
        compile_network(model)
    return models


def main(argv):
    del argv
    batch = random_batch(FLAGS.batch_size, FLAGS.image_size)
    models = build_models()
    steps = {
        name: training_steps(model, *batch, FLAGS.steps)
        for name, model in models.items()
    }
    clock = time.perf_counter if FLAGS.clock == "wall" else time.process_time
    seconds = alternate(steps, FLAGS.rounds, clock=clock)
    flops = {name: keras_chex.flops(model) for name, model in models.items()}
    rows = [("model", "FLOPs", "of dense", "step", "of dense")]
    for name, times in seconds.items():
        step = statistics.median(times) / FLAGS.steps
        rows.append(
            (
                name,
                f"{flops[name] / 1e6:.2f} M",
                f"{flops[name] / flops['dense']:.3f}",
                f"{step * 1e3:.1f} ms",
                f"{median_ratio(times, seconds['dense']):.3f}",
            )
        )
    print(table(rows))
    ratios = {
        f"{name} / {reference}": median_ratio(seconds[name], seconds[reference])
        for name, reference in RATIOS
    }
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.3f}")
    result = {
        "flags": {
            name: FLAGS[name].value
            for name in (
                *("model", "depth", "width", "image_size", "flops"),
                *("round_to", "batch_size", "rounds", "steps", "clock"),
            )
        },
        "flops": flops,
        "seconds_per_step": {
            name: [value / FLAGS.steps for value in times]
            for name, times in seconds.items()
        },
        "ratios": ratios,
    }
    write_json(FLAGS.output, result)
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
