"""Accuracy of a network before and after quantisation-aware training.

Trains the digits network with CHEX to half of its multiply-adds, strips it,
tunes it with the rounding of int8 and writes the int8 file; the accuracies on
the test images go to `docs/results/qat.json`.

    python -m benchmarks.qat

A network of CIFAR-10 that was trained before:

    python -m benchmarks.qat --model=runs/cifar10/stripped.keras \
      --dataset=cifar10 --out=docs/results/qat_cifar10.json

Smoke test:

    python -m benchmarks.qat --epochs=2 --tune_epochs=1 --width=8 \
      --out=/tmp/qat.json
"""

import json
import pathlib
import tempfile

import keras
import numpy as np
from absl import app, flags

import keras_chex
from experiments.common import datasets, models
from keras_chex.export.litert import open_interpreter, run_interpreter

FLAGS = flags.FLAGS

# data
flags.DEFINE_enum(
    "dataset", "digits", ["digits", "cifar10"], "Images to train and test on."
)

# model
flags.DEFINE_string("model", None, "A `.keras` file instead of training.")
flags.DEFINE_integer("width", 32, "Channels of the first stage.")

# run
flags.DEFINE_integer("epochs", 40, "Epochs with CHEX.")
flags.DEFINE_integer("tune_epochs", 8, "Epochs of tuning for int8.")
flags.DEFINE_float("lr", 0.05, "Largest learning rate with CHEX.")
flags.DEFINE_float("tune_lr", 1e-3, "Largest learning rate of the tuning.")
flags.DEFINE_integer("batch_size", 32, "Images in a batch.")
flags.DEFINE_integer("seed", 0, "Seed of weights and batches.")
flags.DEFINE_string("out", "docs/results/qat.json", "Where figures go.")


def trained(images):
    """The stripped float32 network."""
    if FLAGS.model:
        model = keras.saving.load_model(FLAGS.model, compile=False)
        return model
    steps = FLAGS.epochs * -(-len(images.train[0]) // FLAGS.batch_size)
    widths = models.stage_widths(FLAGS.width)
    model = keras_chex.wrap(models.digits_resnet(widths))
    rate = keras.optimizers.schedules.CosineDecay(FLAGS.lr, steps)
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(
        *images.train,
        FLAGS.batch_size,
        FLAGS.epochs,
        verbose=0,
        callbacks=[keras_chex.ChexScheduler(flops=0.5, interval=1, end=0.5)],
    )
    return keras_chex.strip(model)


def tuned_for_int8(model, images):
    """The network after some epochs with the rounding of int8."""
    import tf_keras

    tuned = keras_chex.quantize_aware(model)
    steps = FLAGS.tune_epochs * -(-len(images.train[0]) // FLAGS.batch_size)
    rate = tf_keras.optimizers.schedules.CosineDecay(FLAGS.tune_lr, steps)
    tuned.compile(
        tf_keras.optimizers.SGD(rate, momentum=0.9),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    tuned.fit(*images.train, FLAGS.batch_size, FLAGS.tune_epochs, verbose=0)
    return tuned


def percent_right(outputs, labels):
    """Accuracy of logits."""
    right = np.argmax(outputs, axis=-1) == np.ravel(labels)
    return round(100 * float(np.mean(right)), 3)


def file_outputs(path, images):
    """What a `.tflite` file gives for images."""
    interpreter = open_interpreter(path)
    (name,) = interpreter.get_signature_list()["serving_default"]["inputs"]
    batches = np.array_split(images, -(-len(images) // 100))
    return np.concatenate(
        [
            run_interpreter(interpreter, {name: x.astype("float32")})[
                "output_0"
            ]
            for x in batches
        ]
    )


def main(argv):
    del argv
    keras.utils.set_random_seed(FLAGS.seed)
    if FLAGS.dataset == "digits":
        images = datasets.load_digits()
    else:
        images = datasets.load_tfds(FLAGS.dataset)
    pixels, labels = images.test
    model = trained(images)
    tuned = tuned_for_int8(model, images)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        plain = folder / "plain.tflite"
        keras_chex.export_tflite(model, plain, representative_data=pixels)
        path = folder / "int8.tflite"
        written = keras_chex.export_qat_tflite(tuned, path, pixels)
        result = {
            "dataset": FLAGS.dataset,
            "epochs": None if FLAGS.model else FLAGS.epochs,
            "tune_epochs": FLAGS.tune_epochs,
            "seed": FLAGS.seed,
            "float32": percent_right(model.predict(pixels, verbose=0), labels),
            "tuned": percent_right(tuned.predict(pixels, verbose=0), labels),
            "int8": percent_right(file_outputs(path, pixels), labels),
            "float32_bytes": plain.stat().st_size,
            "int8_bytes": written.bytes,
            "difference_to_tuned": written.relative_difference,
            "agreement_with_tuned": written.top1_agreement,
            "float_layers": written.float_layers,
        }
    text = json.dumps(result, indent=2)
    pathlib.Path(FLAGS.out).write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    app.run(main)
