"""Size, latency and accuracy of a network in every mode of `export_tflite`.

Without `--model` the digits network is trained with CHEX to half of its
multiply-adds first. Each network is exported in all modes, and tuned for int8
with `quantize_aware`; the files are run on all test images and timed in turns.
Ten minutes on two cores:

    python -m benchmarks.tflite_modes

A network of CIFAR-10 that was trained before, of which half the multiply-adds
are taken first and whose loss is tuned away for two epochs:

    python -m benchmarks.tflite_modes --name=resnet8 --dataset=cifar10 \\
        --model=resnet8.h5 --flops=0.5 --train_epochs=2 --qat_epochs=1

Records are added to `--output`, one per network; `--page` gets the table.
"""

import json
import pathlib
import tempfile

import keras
import numpy as np
from absl import app, flags

import keras_chex
from benchmarks.report import machine, write_between, write_json
from experiments.common import datasets, models
from experiments.common.widths import stage_widths
from keras_chex.export.litert import open_interpreter, run_interpreter

FLAGS = flags.FLAGS
MODES = (None, "float16", "dynamic", "int8", "int8_full")

# data
flags.DEFINE_enum(
    "dataset", "digits", ["digits", "cifar10"], "Images to train and test on."
)
flags.DEFINE_string("data_dir", None, "Where prepared data sets lie.")
flags.DEFINE_integer("train_images", None, "Training images to use, or all.")
flags.DEFINE_integer("test_images", None, "Test images to use, or all.")

# network
flags.DEFINE_string("name", "digits, CHEX 0.5", "Of the network's record.")
flags.DEFINE_string("model", None, "A Keras file instead of training.")
flags.DEFINE_float("flops", None, "Compress `--model` to this share first.")
flags.DEFINE_integer("width", 32, "Channels of the digits network's stem.")

# training
flags.DEFINE_integer("train_epochs", 40, "Epochs before the export.")
flags.DEFINE_float("lr", 0.05, "Their largest learning rate.")
flags.DEFINE_integer("qat_epochs", 8, "Epochs of tuning for int8.")
flags.DEFINE_float("qat_lr", 1e-3, "Their largest learning rate.")
flags.DEFINE_integer("batch_size", 32, "Images in a batch.")
flags.DEFINE_integer("seed", 0, "Of weights and batches.")

# measurement
flags.DEFINE_integer("runs", 200, "Timed inferences of each file.")
flags.DEFINE_string("output", "docs/results/tflite_modes.json", "Records.")
flags.DEFINE_string("page", None, "Page whose table is written anew.")
flags.DEFINE_bool("only_page", False, "Measure nothing; write the page.")


def prepared(images):
    """The plain float32 network to export."""
    if FLAGS.model is None:
        widths = stage_widths(FLAGS.width)
        model = keras_chex.wrap(models.digits_resnet(widths))
        scheduler = keras_chex.ChexScheduler(flops=0.5, interval=5, end=0.5)
        fit(keras, model, images, FLAGS.train_epochs, FLAGS.lr, [scheduler])
        return keras_chex.strip(model)
    model = keras.saving.load_model(FLAGS.model, compile=False)
    if FLAGS.flops is not None:
        data = images.train[0][:1024].astype("float32")
        model = keras_chex.compress(model, flops=FLAGS.flops, data=data)
    fit(keras, model, images, FLAGS.train_epochs, FLAGS.lr)
    return model


def fit(library, model, images, epochs, lr, callbacks=()):
    """Trains with `keras` or `tf_keras`, the rate falling to zero."""
    if not epochs:
        return
    pixels, labels = images.train
    steps = epochs * -(-len(pixels) // FLAGS.batch_size)
    rate = library.optimizers.schedules.CosineDecay(lr, steps)
    logits = has_logits(model)
    model.compile(
        library.optimizers.SGD(rate, momentum=0.9),
        library.losses.SparseCategoricalCrossentropy(from_logits=logits),
    )
    model.fit(
        pixels.astype("float32"),
        np.ravel(labels),
        FLAGS.batch_size,
        epochs,
        verbose=2,
        callbacks=list(callbacks),
    )


def has_logits(model):
    """Whether the last layer has no softmax."""
    last = getattr(model.layers[-1], "layer", model.layers[-1])
    name = getattr(getattr(last, "activation", None), "__name__", "")
    return "softmax" not in name and type(last).__name__ != "Softmax"


def exported(model, images, folder):
    """Writes a file for every mode; returns the reports by mode."""
    examples = images.train[0][:512].astype("float32")
    reports = {}
    for mode in MODES:
        path = folder / f"{mode or 'float32'}.tflite"
        reports[path.stem] = keras_chex.export_tflite(
            model, path, mode, examples
        )
    if FLAGS.qat_epochs:
        import tf_keras

        tuned = keras_chex.quantize_aware(model)
        fit(tf_keras, tuned, images, FLAGS.qat_epochs, FLAGS.qat_lr)
        reports["qat"] = keras_chex.export_qat_tflite(
            tuned, folder / "qat.tflite", examples
        )
    return reports


def accuracy(path, images):
    """Share of the test images that a `.tflite` file gets right."""
    interpreter = open_interpreter(path)
    (name,) = interpreter.get_signature_list()["serving_default"]["inputs"]
    pixels, labels = images.test
    right = 0
    for start in range(0, len(pixels), 100):
        x = pixels[start : start + 100].astype("float32")
        (outputs,) = run_interpreter(interpreter, {name: x}).values()
        expected = np.ravel(labels)[start : start + 100]
        right += int((outputs.argmax(-1) == expected).sum())
    return right / len(pixels)


def measured(model, images):
    """The record of a network."""
    with tempfile.TemporaryDirectory() as folder:
        reports = exported(model, images, pathlib.Path(folder))
        comparison = keras_chex.compare_latency(
            list(reports.values()), runs=FLAGS.runs
        )
        rows = {}
        for (mode, report), result, ratio in zip(
            reports.items(),
            comparison.results,
            comparison.ratios,
            strict=True,
        ):
            rows[mode] = {
                "bytes": report.bytes,
                "accuracy": accuracy(report.path, images),
                "relative_difference": report.relative_difference,
                "top1_agreement": report.top1_agreement,
                "float_operations": list(report.float_operations),
                "median_ms": result.median_ms,
                "p90_ms": result.p90_ms,
                "ratio": ratio,
                "peak_bytes": result.peak_bytes,
            }
    logits = model.predict(images.test[0].astype("float32"), verbose=0)
    keras_accuracy = np.mean(logits.argmax(-1) == np.ravel(images.test[1]))
    return {
        "network": FLAGS.name,
        "dataset": FLAGS.dataset,
        "test_images": len(images.test[0]),
        "flops": keras_chex.flops(model),
        "params": model.count_params(),
        "keras_accuracy": float(keras_accuracy),
        "flags": {
            name: FLAGS[name].value
            for name in ("flops", "width", "train_epochs", "lr")
            + ("qat_epochs", "qat_lr", "batch_size", "seed", "runs")
        },
        "modes": rows,
        "machine": machine(),
    }


def page_table(records):
    """The table of all records in Markdown."""
    lines = [
        "| network | mode | bytes | latency | of float32 | peak memory "
        "| test accuracy | largest difference | same class |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        for mode, row in record["modes"].items():
            lines.append(
                f"| {record['network']} | {mode} | {row['bytes']:,} "
                f"| {row['median_ms']:.3f} ms | {row['ratio']:.2f} "
                f"| {row['peak_bytes'] / 2**20:.1f} MiB "
                f"| {100 * row['accuracy']:.2f} % "
                f"| {100 * row['relative_difference']:.2f} % "
                f"| {100 * row['top1_agreement']:.1f} % |"
            )
    return "\n".join(lines)


def main(argv):
    del argv
    output = pathlib.Path(FLAGS.output)
    records = []
    if output.exists():
        records = json.loads(output.read_text(encoding="utf-8"))["records"]
    if not FLAGS.only_page:
        keras.utils.set_random_seed(FLAGS.seed)
        if FLAGS.dataset == "digits":
            images = datasets.load_digits()
        else:
            images = datasets.load_tfds(FLAGS.dataset, FLAGS.data_dir)
        images = images.first(
            train=FLAGS.train_images or len(images.train[0]),
            test=FLAGS.test_images or len(images.test[0]),
        )
        record = measured(prepared(images), images)
        records = [r for r in records if r["network"] != record["network"]]
        records.append(record)
        write_json(output, {"records": records})
    print(page_table(records))
    if FLAGS.page:
        write_between(FLAGS.page, "modes", page_table(records))


if __name__ == "__main__":
    app.run(main)
