"""Times a complete short training run with CHEX against the dense one.

Both train a CIFAR ResNet on random images with `model.fit`, from the first
call to the last epoch: wrapping, compiling, every exploration step and every
retrace are in it, and validation after each epoch. CHEX uses its default
schedule. The order of the two is reversed from round to round. Expect 0.73 of
the dense run's time, less in longer epochs. Twelve minutes on two cores:

    python -m benchmarks.short_run --width=32 --flops=0.25

The table is printed; `--output` gets it as JSON, with the machine.
"""

import statistics
import time

import keras
from absl import app, flags

import keras_chex
from benchmarks.networks import (
    CIFAR_RESNET,
    build_network,
    compile_network,
    random_batch,
)
from benchmarks.report import table, write_json

FLAGS = flags.FLAGS

# model
flags.DEFINE_integer("depth", 20, "Depth of the CIFAR ResNet.")
flags.DEFINE_integer("width", 32, "Channels of its first stage.")
flags.DEFINE_integer("image_size", 32, "Height and width of the images.")
# exploration
flags.DEFINE_float("flops", 0.25, "Budget, as a share of the dense FLOPs.")
flags.DEFINE_integer("round_to", 1, "Widths are multiples of this.")
# measurement
flags.DEFINE_integer("batch_size", 128, "Images per step.")
flags.DEFINE_integer("examples", 3840, "Images of one epoch.")
flags.DEFINE_integer("validation", 512, "Images of the validation, or 0.")
flags.DEFINE_integer("epochs", 10, "Epochs of a run.")
flags.DEFINE_integer("rounds", 1, "Times that each of the two runs.")
flags.DEFINE_string("output", "runs/short_run.json", "JSON to write.")


class EpochTimes(keras.callbacks.Callback):
    """Notes when every epoch ends, exploration at its beginning included."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_begin(self, logs=None):
        self._last = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


def run(data, validation, chex):
    """Makes and trains one model.

    Returns:
        Dict: seconds in all and of each epoch, and what CHEX did.
    """
    keras.utils.set_random_seed(0)
    model = build_network(
        CIFAR_RESNET, FLAGS.image_size, FLAGS.depth, FLAGS.width
    )
    start, cpu_start = time.perf_counter(), time.process_time()
    times, callbacks, history = EpochTimes(), [], []
    if chex:
        model = keras_chex.wrap(model)
        scheduler = keras_chex.ChexScheduler(
            flops=FLAGS.flops, round_to=FLAGS.round_to, verbose=0
        )
        callbacks, history = [scheduler], scheduler.history
    compile_network(model)
    model.fit(
        *data,
        batch_size=FLAGS.batch_size,
        epochs=FLAGS.epochs,
        validation_data=validation,
        verbose=0,
        callbacks=[*callbacks, times],
    )
    result = {
        "seconds": time.perf_counter() - start,
        "core_seconds": time.process_time() - cpu_start,
        "epochs": times.seconds,
        "flops": [step["flops"] for step in history],
        "explored_in_epoch": [step["epoch"] for step in history],
    }
    del model
    keras.backend.clear_session()
    return result


def main(argv):
    del argv
    data = random_batch(FLAGS.examples, FLAGS.image_size)
    validation = None
    if FLAGS.validation:
        validation = random_batch(FLAGS.validation, FLAGS.image_size, seed=1)
    runs = {"dense": [], "chex": []}
    order = list(runs)
    for _ in range(FLAGS.rounds):
        for name in order:
            runs[name].append(run(data, validation, chex=name == "chex"))
        order.reverse()
    ratios = {
        key: statistics.median(
            chex[key] / dense[key]
            for chex, dense in zip(runs["chex"], runs["dense"], strict=True)
        )
        for key in ("seconds", "core_seconds")
    }
    rows = [("run", "seconds", "core seconds")]
    for name, results in runs.items():
        rows += [
            (name, f"{r['seconds']:.1f}", f"{r['core_seconds']:.1f}")
            for r in results
        ]
    print(table(rows))
    print(f"chex / dense: {ratios['seconds']:.3f}")
    names = (
        *("depth", "width", "image_size", "flops", "round_to", "batch_size"),
        *("examples", "validation", "epochs", "rounds"),
    )
    result = {
        "flags": {name: FLAGS[name].value for name in names},
        "runs": runs,
        "ratios": ratios,
    }
    write_json(FLAGS.output, result)
    print(f"written: {FLAGS.output}")


if __name__ == "__main__":
    app.run(main)
