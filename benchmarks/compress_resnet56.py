"""Compresses a published ResNet-56 for CIFAR-10 at once, without training.

Accuracy on the test set at several budgets, for the criteria of
`keras_chex.compress` at equal FLOPs: CSS, L1 norm, BatchNorm scale, and random
channels for three seeds, with the statistics of BatchNormalization as they were
and corrected by training images. The dense network is scored first: 93.39 %
shows that data and preprocessing are those of the field. Half an hour on two
cores, with weights of akamaster/pytorch_resnet_cifar10 as an `.npz`:

    python -m benchmarks.compress_resnet56 --weights=resnet56.npz

With fine-tuning afterwards, twenty minutes more for each of the networks (four
with `--fine_tune_images=10000`, which takes the first images of the training
set only):

    python -m benchmarks.compress_resnet56 --weights=resnet56.npz \\
        --fine_tune_epochs=5

Every network leaves a JSON file in `--workdir` as soon as it is scored, and is
not computed again. `--output` gets all of them, `--page` a table in Markdown.
"""

import dataclasses
import itertools
import pathlib
import statistics

import keras
from absl import app, flags

import keras_chex
from benchmarks.report import write_json
from experiments.common import datasets, measure, pipeline
from experiments.common.recipe import Recipe, compile_model
from experiments.common.reference import load_reference
from experiments.common.run_directory import read_json, write_text
from experiments.common.run_directory import write_json as write_cell

FLAGS = flags.FLAGS

# data
flags.DEFINE_string("weights", None, "Published weights, an `.npz`.")
flags.DEFINE_string("data_dir", None, "Where prepared data sets lie.")
flags.DEFINE_integer("test_images", 10_000, "Images that are scored.")
flags.DEFINE_integer("data_images", 1024, "Images for the statistics.")

# compression
flags.DEFINE_multi_float("flops", [0.9, 0.8, 0.7, 0.5], "Budgets; repeat it.")
flags.DEFINE_multi_string(
    "criterion", ["css", "l1", "bn_scale", "random"], "Criteria; repeat it."
)
flags.DEFINE_multi_string(
    "allocation", ["bn_scale"], "How widths are shared; repeat it."
)
flags.DEFINE_integer("seeds", 3, "Draws of random channels.")

# fine-tuning
flags.DEFINE_integer("fine_tune_epochs", 0, "Epochs after compression.")
flags.DEFINE_integer(
    "fine_tune_images", None, "Training images of it; all if not set."
)
flags.DEFINE_float("lr", 0.01, "Its largest learning rate.")

# run
flags.DEFINE_string("workdir", "runs/compress_resnet56", "Files of networks.")
flags.DEFINE_string(
    "output", "docs/results/compress_resnet56.json", "JSON to write."
)
flags.DEFINE_string("page", None, "Markdown table to write, if given.")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One network of the table.

    Attributes:
        flops: float, the budget.
        allocation: str.
        criterion: str.
        seed: int.
        corrected: bool, whether the statistics were corrected.
        epochs: int, of fine-tuning.
        tuned_on: int, training images of it; `None` for all.
    """

    flops: float
    allocation: str
    criterion: str
    seed: int
    corrected: bool
    epochs: int
    tuned_on: int | None = None

    @property
    def name(self):
        """Name of its file."""
        parts = [
            f"{self.flops:g}",
            self.allocation,
            self.criterion,
            f"seed{self.seed}",
            "corrected" if self.corrected else "as_it_was",
            f"{self.epochs}epochs"
            + (f"_of_{self.tuned_on}" if self.tuned_on else ""),
            f"{FLAGS.test_images}images",
        ]
        return "-".join(parts) + ".json"


def cells():
    """The networks of the table; those to fine-tune have been corrected."""
    epochs = FLAGS.fine_tune_epochs
    for flops, allocation, criterion, corrected in itertools.product(
        FLAGS.flops, FLAGS.allocation, FLAGS.criterion, (False, True)
    ):
        for seed in range(FLAGS.seeds if criterion == "random" else 1):
            cell = Cell(flops, allocation, criterion, seed, corrected, 0)
            yield cell
            if epochs and corrected:
                yield dataclasses.replace(
                    cell, epochs=epochs, tuned_on=FLAGS.fine_tune_images
                )


def measured(cell, dense, images):
    """Compresses, fine-tunes if asked to, and scores a network.

    Returns:
        Dict: the cell, its `share` of the dense FLOPs, parameters, accuracy.
    """
    data = images.train[0][: FLAGS.data_images]
    model = keras_chex.compress(
        dense,
        flops=cell.flops,
        criterion=cell.criterion,
        allocation=cell.allocation,
        seed=cell.seed,
        round_to=1,
        data=data if cell.corrected else None,
    )
    if cell.epochs:
        fine_tune(model, images, cell)
    return {
        **dataclasses.asdict(cell),
        "share": keras_chex.flops(model) / keras_chex.flops(dense),
        "params": model.count_params(),
        "accuracy": measure.accuracy(model, images),
    }


def fine_tune(model, images, cell):
    """Trains a compressed network for some epochs, cosine to zero."""
    recipe = Recipe(
        epochs=cell.epochs, lr=FLAGS.lr, weight_decay=1e-4, seed=cell.seed
    )
    train = images.first(cell.tuned_on or len(images.train[0]), 0).train
    steps = pipeline.steps_per_epoch(len(train[0]), recipe.batch_size)
    compile_model(model, recipe, steps)
    batches = pipeline.train_batches(
        *train,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        shift=recipe.shift,
        flip=images.flip,
    )
    model.fit(
        batches,
        steps_per_epoch=steps,
        epochs=recipe.epochs,
        shuffle=False,
        verbose=0,
    )


def finished():
    """Every network that a file tells of, of these and of earlier calls."""
    found = []
    for path in sorted(pathlib.Path(FLAGS.workdir).glob("*.json")):
        record = read_json(path)
        if record.get("images") == FLAGS.test_images:
            found.append(record)
    return found


def markdown(dense, records):
    """Renders the accuracies: a line per budget and treatment."""
    criteria = list(dict.fromkeys(r["criterion"] for r in records))
    lines = [
        f"| FLOPs | widths | statistics | fine-tuned | "
        f"{' | '.join(criteria)} |",
        "|---|---|---|---|" + "---|" * len(criteria),
        f"| dense | | | | {f'{dense:.2%} | ' * len(criteria)}".rstrip(),
    ]
    rows = {}
    for record in records:
        key = (-record["flops"], record["allocation"], record["epochs"])
        key += (record.get("tuned_on") or 0, record["corrected"])
        rows.setdefault(key, {}).setdefault(record["criterion"], []).append(
            record["accuracy"]
        )
    for key, row in sorted(rows.items()):
        flops, allocation, epochs, tuned_on, corrected = key
        some = f" of {tuned_on:,} images" if tuned_on else ""
        cells = [
            f"{-flops:g}",
            allocation,
            "corrected" if corrected else "as they were",
            f"{epochs} epochs{some}" if epochs else "no",
            *(_percent(row.get(criterion)) for criterion in criteria),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(accuracies):
    if not accuracies:
        return "-"
    text = f"{statistics.fmean(accuracies):.2%}"
    if len(accuracies) > 1:
        text += f" ± {100 * statistics.stdev(accuracies):.2f}"
    return text


def main(argv):
    del argv
    keras.utils.set_random_seed(0)
    images = datasets.load_tfds("cifar10", FLAGS.data_dir)
    images = images.first(len(images.train[0]), FLAGS.test_images)
    dense = load_reference(FLAGS.weights)
    accuracy = measure.accuracy(dense, images)
    print(f"dense: {accuracy:.2%} of {FLAGS.test_images} images", flush=True)
    for cell in cells():
        path = pathlib.Path(FLAGS.workdir) / cell.name
        record = read_json(path)
        if record is None:
            record = measured(cell, dense, images)
            record["images"] = FLAGS.test_images
            write_cell(path, record)
        print(f"{cell.name}: {record['accuracy']:.2%}", flush=True)
    records = finished()
    result = {
        "dense_accuracy": accuracy,
        "test_images": FLAGS.test_images,
        "data_images": FLAGS.data_images,
        "networks": records,
    }
    write_json(FLAGS.output, result)
    page = markdown(accuracy, records)
    print(f"\n{page}\n\nwritten to {FLAGS.output}")
    if FLAGS.page:
        write_text(FLAGS.page, page + "\n")


if __name__ == "__main__":
    flags.mark_flag_as_required("weights")
    app.run(main)
