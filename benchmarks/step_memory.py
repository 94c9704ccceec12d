"""Measures the peak memory of a narrow training step against a dense one.

Each variant runs in a process of its own. The peak is that of training steps
after the first, without compiling. A narrow model keeps the full-size weights
and optimizer slots, so it saves on activations. Three minutes on two cores:

    python -m benchmarks.step_memory --model=ResNet50 --flops=0.25

The table is printed; `--output` gets it as JSON, with the machine.
"""

import gc
import json

from absl import app, flags

import keras_chex
from benchmarks.memory import forget_peak, measure_apart, peak, resident
from benchmarks.networks import (
    build_network,
    compile_network,
    random_batch,
    training_steps,
)
from benchmarks.report import table, write_json
from benchmarks.submodel import uniform_submodel

FLAGS = flags.FLAGS
NAMES = ("model", "image_size", "batch_size", "flops", "round_to", "steps")
VARIANTS = ("dense", "narrow", "stripped")

# model
flags.DEFINE_string("model", "ResNet50", "Or cifar_resnet.")
flags.DEFINE_integer("image_size", 224, "Height and width of the images.")
# exploration
flags.DEFINE_float("flops", 0.25, "Share of the FLOPs that the sub-model has.")
flags.DEFINE_integer("round_to", 1, "Widths are multiples of this.")
# measurement
flags.DEFINE_integer("batch_size", 8, "Images per step.")
flags.DEFINE_integer("steps", 4, "Training steps over which the peak is taken.")
flags.DEFINE_enum("variant", None, VARIANTS, "Measure only this, in here.")
flags.DEFINE_string("output", "runs/step_memory.json", "JSON to write.")


def build(variant):
    """Returns the model of a variant."""
    model = build_network(FLAGS.model, FLAGS.image_size)
    if variant == "dense":
        return model
    model = keras_chex.wrap(model)
    active = uniform_submodel(model, FLAGS.flops, FLAGS.round_to)
    keras_chex.set_active(model, active)
    return model if variant == "narrow" else keras_chex.strip(model)


def measure(variant):
    """Returns mebibytes: the peak, and what it adds to memory at rest."""
    model = build(variant)
    compile_network(model)
    train = training_steps(
        model, *random_batch(FLAGS.batch_size, FLAGS.image_size)
    )
    train()
    gc.collect()
    rest = resident()
    forget_peak()
    for _ in range(FLAGS.steps):
        train()
    return {"peak": peak(), "at rest": rest, "weights": _weights(model)}


def _weights(model):
    """Mebibytes of the weights and of the optimizer's slots."""
    variables = [*model.weights, *model.optimizer.variables]
    return sum(v.value.numpy().nbytes for v in variables) / 2**20


def main(argv):
    del argv
    if FLAGS.variant:
        print(json.dumps(measure(FLAGS.variant)))
        return
    arguments = [f"--{name}={FLAGS[name].value}" for name in NAMES]
    found = measure_apart("benchmarks.step_memory", VARIANTS, arguments)
    dense = found["dense"]["peak"]
    rows = [("variant", "peak", "of dense", "weights and slots")]
    for variant, result in found.items():
        rows.append(
            (
                variant,
                f"{result['peak']:.0f} MiB",
                f"{result['peak'] / dense:.3f}",
                f"{result['weights']:.0f} MiB",
            )
        )
    print(table(rows))
    result = {
        "flags": {name: FLAGS[name].value for name in NAMES},
        "mebibytes": found,
        "peak_of_dense": {v: r["peak"] / dense for v, r in found.items()},
    }
    write_json(FLAGS.output, result)
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
