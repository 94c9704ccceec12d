"""The dense Mask R-CNN and CHEX: trained, exported, compared."""

import dataclasses

import numpy as np

from keras_chex.export import compare_latency

from . import mask_files, mask_recipe, mask_scores, table
from .contest import Contest
from .mask_pictures import plot_objects
from .mask_pipeline import MaskBatches
from .run_directory import read_json, read_rows, write_json
from .training import ProgressLine, fit

_, _FLOPS, _PARAMS, _BYTES, _LATENCY, _TIME = table.ROWS


def _percent(value):
    return f"{100 * value:.2f} %"


ROWS = (
    ("box AP", "box_AP", _percent),
    ("box AP50", "box_AP50", _percent),
    ("mask AP", "mask_AP", _percent),
    ("mask AP50", "mask_AP50", _percent),
    _FLOPS,
    _PARAMS,
    _BYTES,
    ("LiteRT, backbone and regions", *_LATENCY[1:]),
    ("TensorFlow, one picture", "picture_ms", lambda v: f"{v:.1f} ms"),
    _TIME,
    ("mean step", "step_ms", lambda v: f"{v:.0f} ms"),
    ("training FLOPs / dense", "training_share", lambda v: f"{v:.3f}"),
    ("outputs, stripped - trained", "stripped_gap", lambda v: f"{v:.1e}"),
    ("AP, stripped - trained", "stripped_AP_gap", lambda v: f"{v:.1e}"),
)
SHOWN = (("loss", "loss"), ("test", "val_loss"))
DETECTIONS = "detections.json"
VERIFIED = 4
TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class MaskContest(Contest):
    """A `Contest` whose `images` are `MaskBatches`."""

    images: MaskBatches
    recipe: mask_recipe.MaskRecipe

    def run(self, build, scheduler, title):
        """Trains the dense network and CHEX.

        Args:
            build: function without arguments that returns a `MaskRCNN`.
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
        folders = [self.folder(name) / "saved_model" for name in results]
        timed = compare_latency(folders, runs=self.latency_runs, memory=False)
        for result, latency in zip(
            results.values(), timed.results, strict=True
        ):
            result["picture_ms"] = latency.median_ms
        results = self.finish(results, title)
        plot_objects(
            self.images.task.test,
            {n: read_json(self.folder(n) / DETECTIONS) for n in results},
            self.directory / "objects.png",
            f"{title}: test pictures and what the networks see",
        )
        return results

    def progress(self, name):
        """As `Contest.progress`."""
        return ProgressLine(name, self.report_every, SHOWN)

    def train(self, model, folder, callbacks):
        """As `Contest.train`."""
        batches = self.images
        mask_recipe.compile_model(model, self.recipe, batches.steps)
        test = batches.test()
        return fit(
            model,
            lambda epoch: {"x": batches.train(epoch), "validation_data": test},
            (self.recipe.epochs, batches.steps),
            folder,
            callbacks,
            self.backup_every,
        )

    def verify(self, trained, stripped):
        """As `Contest.verify`: outputs, and average precision.

        Raises:
            RuntimeError: If outputs differ by more than 1e-4 of the largest.
        """
        part = self.images.task.test
        (seen, raw), (again, others) = (
            mask_scores.detections(model, self.images)
            for model in (trained, stripped)
        )
        gap = mask_scores.largest_gap(raw, others)
        if not gap <= TOLERANCE:
            raise RuntimeError(
                "A stripped network must compute what the trained one does. "
                f"Received: outputs that differ by {gap:.1e} of the largest"
            )
        before, after = (mask_scores.scores(part, r) for r in (seen, again))
        return {
            "stripped_gap": gap,
            "stripped_AP_gap": max(
                abs(after[name] - value) for name, value in before.items()
            ),
        }

    def measure(self, model, folder):
        """As `Contest.measure`; leaves what the network sees in a file too."""
        batches = self.images
        results, _ = mask_scores.detections(model, batches)
        write_json(folder / DETECTIONS, results)
        examples = batches.pictures(
            range(min(VERIFIED, len(batches.task.test)))
        )
        rows = read_rows(folder / "history.csv")
        seconds = [row["seconds"] for row in rows]
        return {
            **mask_scores.scores(batches.task.test, results),
            **mask_files.export(model, examples, folder),
            "step_ms": 1000 * float(np.mean(seconds)) / batches.steps,
            "training_share": float(
                np.mean([row.get("chex/flops", 1.0) for row in rows])
            ),
        }
