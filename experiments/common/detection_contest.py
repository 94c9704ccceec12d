"""The dense detector and CHEX: trained, scored, exported, compared."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from . import measure, table
from .coco_pictures import plot_boxes
from .coco_pipeline import CocoBatches, picture_batches
from .coco_scores import average_precision, box_results
from .contest import Contest
from .detection_models import RetinaNet, plain
from .detection_recipe import DetectionRecipe, compile_detector
from .run_directory import read_json, read_rows, write_json
from .training import ProgressLine, fit


def _percent(value):
    return f"{100 * value:.2f} %"


_, *_COSTS = table.ROWS
ROWS = (
    ("AP", "AP", _percent),
    ("AP50", "AP50", _percent),
    ("AP75", "AP75", _percent),
    ("AP before stripping", "trained_AP", _percent),
    *_COSTS,
    ("mean training step", "step_seconds", lambda v: f"{1e3 * v:.1f} ms"),
    ("training FLOPs / dense", "training_share", lambda v: f"{v:.3f}"),
    ("raw outputs off by", "raw_difference", lambda v: f"{v:.1e}"),
)
SHOWN = (("loss", "loss"), ("test loss", "val_loss"), ("AP50", "val_AP50"))
DETECTIONS = "detections.json"
TOLERANCE = 1e-4
VERIFIED = 4


@dataclasses.dataclass(frozen=True)
class DetectionContest(Contest):
    """A `Contest` whose `images` are `CocoBatches`.

    Attributes:
        network: `RetinaNet`.
        score_every: int, epochs between two scores of the test pictures, for
            the curves; 0 for none before the end.
    """

    images: CocoBatches
    recipe: DetectionRecipe
    network: RetinaNet = None
    score_every: int = 0

    def run(self, scheduler, title):
        """Trains the dense network and CHEX.

        Args:
            scheduler: a `keras_chex.ChexScheduler`.
            title: string, heads the pictures.

        Returns:
            Dict from the contender's name to its results; also in
            `result.json`.
        """
        build = self.network.build
        results = {
            "dense": self.enter("dense", build),
            "CHEX": self.enter("CHEX", build, scheduler),
        }
        results = self.finish(results, title)
        found = {n: read_json(self.folder(n) / DETECTIONS) for n in results}
        plot_boxes(
            self.images.task.test, found, self.directory / "boxes.png", title
        )
        return results

    def train(self, model, folder, callbacks):
        """As `Contest.train`."""
        batches = self.images
        compile_detector(model, self.recipe, batches.steps)
        if self.score_every:
            score = functools.partial(self.score, batch_size=1)
            callbacks = [PrecisionLog(score, self.score_every), *callbacks]
        return fit(
            model,
            lambda epoch: {
                "x": batches.train(epoch),
                "validation_data": batches.evaluation(),
            },
            (self.recipe.epochs, batches.steps),
            folder,
            callbacks,
            self.backup_every,
        )

    def progress(self, name):
        """As `Contest.progress`."""
        return ProgressLine(name, self.report_every, SHOWN)

    def verify(self, trained, stripped):
        """As `Contest.verify`: raw outputs, and the AP before stripping.

        Raises:
            RuntimeError: If raw outputs differ by more than 1e-4.
        """
        part = self.images.task.test.first(VERIFIED)
        difference = 0.0
        for *_, pictures in picture_batches(part, self.images.canvas, 1):
            before, after = (
                model(pictures, training=False) for model in (trained, stripped)
            )
            for name, array in before.items():
                gap = keras.ops.max(keras.ops.abs(array - after[name]))
                difference = max(difference, float(gap))
        if not difference <= TOLERANCE:
            raise RuntimeError(
                "The stripped detector must have the raw outputs of the "
                f"trained one, within {TOLERANCE:g}. Received: a difference of "
                f"{difference:g}. The trained state is kept in `backup`"
            )
        return {
            "raw_difference": difference,
            "trained_AP": self.score(trained)["AP"],
        }

    def measure(self, model, folder):
        """As `Contest.measure`; leaves the detections in a file too."""
        if isinstance(model, type(self._decoder)):
            model = plain(model)
        part = self.images.task.test
        found = self.detections(model)
        write_json(folder / DETECTIONS, found)
        batch = picture_batches(part, self.images.canvas, VERIFIED)
        *_, examples = next(batch)
        rows = read_rows(folder / "history.csv")
        steps = self.images.steps * len(rows)
        seconds = sum(row["seconds"] for row in rows)
        shares = [row.get("chex/flops", 1.0) for row in rows]
        return {
            **average_precision(part, found),
            **measure.export(model, examples.numpy(), folder),
            "step_seconds": seconds / steps,
            "training_share": float(np.mean(shares)),
        }

    @functools.cached_property
    def _decoder(self):
        """A detector for its anchors and its decoder; its weights are none."""
        return self.network.build()

    def score(self, model, batch_size=None):
        """Average precision of a model with raw outputs on the test pictures.

        Args:
            model: wrapped, stripped or as built.
            batch_size: int; that of training if omitted.

        Returns:
            Dict as of `average_precision`.
        """
        found = self.detections(model, batch_size)
        return average_precision(self.images.task.test, found)

    def detections(self, model, batch_size=None):
        """What a model finds in the test pictures.

        Args:
            model: a model with the raw outputs of the detector.
            batch_size: int; that of training if omitted.

        Returns:
            List of dicts in COCO's format.
        """
        decoder, part = self._decoder, self.images.task.test

        @tf.function
        def detect(pictures):
            raw = model(pictures, training=False)
            return decoder.decode_predictions(raw, pictures)

        results = []
        for places, placements, pictures in picture_batches(
            part, self.images.canvas, batch_size or self.recipe.batch_size
        ):
            found = {k: v.numpy() for k, v in detect(pictures).items()}
            for row, (place, placed) in enumerate(
                zip(places, placements, strict=True)
            ):
                count = found["num_detections"][row]
                results += box_results(
                    part,
                    place,
                    placed.boxes_back(found["boxes"][row][:count]),
                    found["labels"][row][:count],
                    found["confidence"][row][:count],
                )
        return results


class PrecisionLog(keras.callbacks.Callback):
    """Logs AP and AP50 of the test pictures every few epochs.

    They are scored when the evaluation of an epoch begins, which is no
    training time.

    Args:
        score: function from the model to a dict with `AP` and `AP50`.
        every: int, epochs between two scores; the last one is always scored.
    """

    def __init__(self, score, every):
        super().__init__()
        self.score = score
        self.every = every
        self._epoch = 0
        self._scores = {}

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._scores = epoch + 1, {}

    def on_test_begin(self, logs=None):
        last = self._epoch == self.params["epochs"]
        if last or self._epoch % self.every == 0:
            self._scores = self.score(self.model)

    def on_epoch_end(self, epoch, logs=None):
        for name in ("AP", "AP50"):
            if name in self._scores:
                logs[f"val_{name}"] = self._scores[name]
