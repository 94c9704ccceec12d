"""Trains a ResNet on CIFAR-10, dense and with channel exploration.

The data come through `tensorflow_datasets`: from `--data_dir`, from
`TFDS_DATA_DIR`, or downloaded. A killed run goes on with the same command.

    python experiments/cifar10.py --workdir=runs/cifar10 --flops=0.5

Six epochs (`--epochs=6 --interval=1 --end=0.5`) gave 83.1 % dense and 81.7 %
with CHEX, 45 minutes in all on two busy cores; longer runs were not made.

Smoke test on 512 images:

    python experiments/cifar10.py --workdir=runs/smoke --smoke

Score of published weights (93.39 % for akamaster's ResNet-56), which proves
that images, labels and preprocessing are right:

    python experiments/cifar10.py --evaluate_reference=resnet56.npz
"""

from absl import app, flags
from common import contest, datasets, measure, models, program_flags
from common.recipe import Recipe
from common.reference import load_reference
from common.run_directory import open_run

FLAGS = flags.FLAGS
SMOKE = {
    "epochs": 4,
    "interval": 1,
    "end": 0.5,
    "width": 8,
    "batch_size": 64,
}

# data
flags.DEFINE_enum(
    "dataset", "cifar10", list(datasets.STATISTICS), "Name of the image set."
)
flags.DEFINE_string("data_dir", None, "Where prepared data sets lie.")

# model
flags.DEFINE_enum(
    "depth", "20", [str(d) for d in models.DEPTHS], "Layers of the ResNet."
)
flags.DEFINE_integer("width", 16, "Channels of the first of three stages.")
flags.DEFINE_bool("slim", False, "Train a slim network of equal FLOPs too.")

# exploration
program_flags.define_exploration(interval=2, end=0.5)

flags.adopt_module_key_flags(program_flags)

# run
flags.DEFINE_integer("epochs", 30, "Passes over the training set.")
flags.DEFINE_integer("batch_size", 128, "Images in a batch.")
flags.DEFINE_float("lr", 0.1, "Largest learning rate.")
flags.DEFINE_float("weight_decay", 5e-4, "Factor of L2 regularisation.")
flags.DEFINE_integer("seed", 0, "Decides initial weights, batches and draws.")
flags.DEFINE_bool("smoke", False, "A few steps, to see that all is in place.")
flags.DEFINE_string("workdir", "runs/cifar10", "Where everything is written.")
flags.DEFINE_string(
    "evaluate_reference", None, "Only score published weights, an .npz file."
)


def main(argv):
    del argv
    if FLAGS.evaluate_reference:
        evaluate_reference(FLAGS.evaluate_reference)
        return
    program_flags.apply_smoke(FLAGS, SMOKE)
    settings = program_flags.settings(FLAGS, __name__)
    workdir = open_run(FLAGS.workdir, settings)
    images = datasets.load_tfds(FLAGS.dataset, FLAGS.data_dir)
    if FLAGS.smoke:
        images = images.first(train=512, test=256)
    contest.report([run(workdir, images)], workdir)


def run(workdir, images):
    """Trains and measures all contenders."""
    recipe = Recipe(
        epochs=FLAGS.epochs,
        batch_size=FLAGS.batch_size,
        lr=FLAGS.lr,
        weight_decay=FLAGS.weight_decay,
        shift=4,
        seed=FLAGS.seed,
    )

    def build(widths):
        return models.cifar_resnet(
            int(FLAGS.depth),
            widths,
            images.input_shape,
            images.classes,
            mean=images.mean,
            std=images.std,
        )

    return contest.Contest(workdir, images, recipe).run(
        build,
        FLAGS.width,
        program_flags.scheduler(FLAGS, FLAGS.seed),
        FLAGS.slim,
        f"{FLAGS.dataset}, ResNet-{FLAGS.depth}",
    )


def evaluate_reference(path):
    """Prints the test accuracy of published CIFAR-10 weights."""
    images = datasets.load_tfds("cifar10", FLAGS.data_dir)
    model = load_reference(path)
    score = measure.accuracy(model, images)
    print(f"{model.name}: {score:.2%} of {len(images.test[0])} test images")


if __name__ == "__main__":
    app.run(main)
