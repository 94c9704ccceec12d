"""The dense network and CHEX on point clouds: trained, exported, compared."""

import dataclasses

import numpy as np

from . import measure, point_recipe, table
from .contest import Contest
from .point_pictures import plot_predictions
from .point_pipeline import PointBatches
from .run_directory import read_json, read_rows, write_json
from .training import fit

_FIRST, *_COSTS = table.ROWS
ROWS = (
    ("overall accuracy", *_FIRST[1:]),
    ("mean-class accuracy", "mean_class_accuracy", _FIRST[2]),
    *_COSTS,
    ("training FLOPs / dense", "training_share", lambda v: f"{v:.3f}"),
)
PREDICTIONS = "predictions.json"
VERIFIED = 8


@dataclasses.dataclass(frozen=True)
class PointContest(Contest):
    """A `Contest` whose `images` are `PointBatches`.

    Attributes:
        draws: int, choices of points over which the final predictions are
            averaged.
    """

    images: PointBatches
    recipe: point_recipe.PointRecipe
    draws: int = 1

    def run(self, build, scheduler, title):
        """Trains the dense network and CHEX.

        Args:
            build: function without arguments that returns a plain model.
            scheduler: a `keras_chex.ChexScheduler`.
            title: string, heads the pictures.

        Returns:
            Dict from the contender's name to its results; also in
            `result.json`.
        """
        results = {
            "dense": self.enter("dense", build),
            "CHEX": self.enter("CHEX", build, scheduler),
        }
        results = self.finish(results, title)
        plot_predictions(
            self.images.task,
            {
                name: read_json(self.folder(name) / PREDICTIONS)
                for name in results
            },
            self.directory / "clouds.png",
            f"{title}: test clouds and what the networks take them for",
        )
        return results

    def train(self, model, folder, callbacks):
        """As `Contest.train`."""
        batches = self.images
        point_recipe.compile_model(model, self.recipe, batches.steps)
        test = batches.evaluation()
        return fit(
            model,
            lambda epoch: {"x": batches.train(epoch), "validation_data": test},
            (self.recipe.epochs, batches.steps),
            folder,
            callbacks,
            self.backup_every,
        )

    def measure(self, model, folder):
        """As `Contest.measure`; leaves the predictions in a file too."""
        predicted = predictions(model, self.images, self.draws)
        write_json(folder / PREDICTIONS, predicted.tolist())
        examples, _ = next(iter(self.images.evaluation()))
        rows = read_rows(folder / "history.csv")
        return {
            **accuracies(self.images.task.test.labels, predicted),
            **measure.export(model, examples.numpy()[:VERIFIED], folder),
            "training_share": float(
                np.mean([row.get("chex/flops", 1.0) for row in rows])
            ),
        }


def predictions(model, batches, draws=1):
    """Classes of the test clouds.

    Args:
        model: a plain `keras.Model` with logits.
        batches: `PointBatches`.
        draws: int, choices of points; their probabilities are averaged.

    Returns:
        int array, one for every test cloud.
    """
    total = 0.0
    for draw in range(draws):
        logits = model.predict(batches.evaluation(draw, draws), verbose=0)
        shares = np.exp(logits - logits.max(axis=-1, keepdims=True))
        total = total + shares / shares.sum(axis=-1, keepdims=True)
    return total.argmax(axis=-1)


def accuracies(labels, predicted):
    """Shares of right predictions.

    Args:
        labels: int array.
        predicted: int array of the same length.

    Returns:
        Dict with `accuracy`, over all examples, and `mean_class_accuracy`,
        the mean over the classes that have examples.

    Example:

    >>> accuracies(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    {'accuracy': 0.75, 'mean_class_accuracy': 0.8333333333333333}
    """
    right = labels == predicted
    classes = [right[labels == label].mean() for label in np.unique(labels)]
    return {
        "accuracy": float(right.mean()),
        "mean_class_accuracy": float(np.mean(classes)),
    }
