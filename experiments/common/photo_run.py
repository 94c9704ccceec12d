"""One network on photographs: trained, stripped, exported, compared."""

import dataclasses
import pathlib
import shutil
import sys

import keras
import tensorflow as tf

import keras_chex

from . import measure, table
from .imagenet_recipe import ImagenetRecipe, accuracies, compile_model
from .photo_pipeline import PhotoBatches
from .run_directory import (
    read_json,
    read_rows,
    write_json,
    write_text,
)
from .run_log import EventFile, SpeedLog
from .software import software
from .strategies import SharedStatistics, is_chief
from .training import (
    Backup,
    ChannelLog,
    HistoryFile,
    ProgressLine,
    Stopwatch,
)

ROWS = (
    ("top-1 accuracy", "accuracy", lambda v: f"{100 * v:.2f} %"),
    ("top-5 accuracy", "top5_accuracy", lambda v: f"{100 * v:.2f} %"),
    ("GFLOPs (multiply-adds)", "flops", lambda v: f"{v / 1e9:.3f}"),
    ("parameters", "params", lambda v: f"{v:,.0f}"),
    (".tflite bytes", "tflite_bytes", lambda v: f"{v:,.0f}"),
    ("LiteRT latency, 1 thread", "latency_ms", lambda v: f"{v:.2f} ms"),
    ("training FLOPs / dense", "training_share", lambda v: f"{v:.3f}"),
    ("training time", "train_seconds", lambda v: f"{v:.0f} s"),
)
LATENCY_RUNS = 60


@dataclasses.dataclass(frozen=True)
class PhotoRun:
    """Trains one network and writes what came out.

    Attributes:
        directory: `pathlib.Path`, of the whole run; all workers can read it.
        batches: `PhotoBatches`.
        recipe: an `ImagenetRecipe`.
        steps_per_epoch: int.
        name: string, `"CHEX"` or `"dense"`; names folder and column.
    """

    directory: pathlib.Path
    batches: PhotoBatches
    recipe: ImagenetRecipe
    steps_per_epoch: int
    name: str

    @property
    def folder(self):
        """Where the files of the trained network lie."""
        return self.directory / self.name.lower()

    def train(self, model, scheduler=None):
        """Trains a model from wherever it was interrupted.

        Of several workers only the chief writes; all read its saved state.

        Args:
            model: a `keras.Model` with logits, made in the strategy's scope.
            scheduler: a `keras_chex.ChexScheduler`, if the model is wrapped.
        """
        backup = Backup(self.folder / "backup")
        with self.batches.strategy.scope():
            compile_model(model, self.recipe, self.steps_per_epoch)
            first_epoch = backup.restore(model)
        if first_epoch >= self.recipe.epochs:
            return
        model.fit(
            self.batches.train(self.steps_per_epoch, first_epoch),
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.recipe.epochs,
            initial_epoch=first_epoch,
            validation_data=self.batches.evaluation(),
            validation_steps=self.batches.evaluation_steps,
            callbacks=self._callbacks(scheduler, backup),
            shuffle=False,
            verbose=int(sys.stdout.isatty() and self._is_chief()),
        )

    def _is_chief(self):
        return is_chief(self.batches.strategy)

    def _callbacks(self, scheduler, backup):
        explored = [] if scheduler is None else [scheduler]
        shared = SharedStatistics(self.batches.strategy)
        if not self._is_chief():
            return [*explored, shared]
        stopwatch = Stopwatch()
        images = self.steps_per_epoch * self.recipe.batch_size
        return [
            stopwatch,
            *explored,
            shared,
            *(ChannelLog() for _ in explored),
            SpeedLog(stopwatch, images),
            ProgressLine(self.name),
            HistoryFile(self.folder / "history.csv", stopwatch),
            EventFile(self.directory / "tensorboard"),
            backup,
        ]

    def finish(self, model, dense, wrapped, settings):
        """Strips, exports, measures and compares; for the chief alone.

        Args:
            model: the trained model, wrapped or plain, of any precision.
            dense: the network that it was made from, anew, in float32, for
                files that run anywhere.
            wrapped: function that was called on it before training.
            settings: dict, what the run was asked; kept with the results.

        Returns:
            Dict, also in `result.json`.
        """
        rows = read_rows(self.folder / "history.csv")
        examples = self.batches.evaluation_examples(8)
        results, folders, groups = {}, {}, {}
        final = wrapped(dense)
        final.set_weights(model.get_weights())
        if self.name != "dense":
            groups = {
                group.name: group.size
                for group in keras_chex.channel_groups(final)
                if group.frozen is None
            }
            final = keras_chex.strip(final)
            folders["dense"] = self.directory / "dense"
            costs = measure.export(dense, examples, folders["dense"])
            results["dense"] = costs
        results[self.name] = self._measure(final, rows, examples)
        if groups:
            results[self.name]["groups"] = groups
        folders[self.name] = self.folder
        latencies = measure.latencies(folders, LATENCY_RUNS)
        for name, result in results.items():
            result["latency_ms"] = latencies[name]
        result = {
            "contenders": results,
            "settings": settings,
            "recipe": dataclasses.asdict(self.recipe),
            "steps_per_epoch": self.steps_per_epoch,
            "replicas": self.batches.strategy.num_replicas_in_sync,
            "software": software(),
        }
        write_text(self.directory / "table.txt", result_table(result) + "\n")
        write_json(self.directory / "result.json", result)
        keras_chex.write_report(
            self.directory, title=f"{self.batches.photos.name}, {self.name}"
        )
        shutil.rmtree(self.folder / "backup")
        return result

    def _measure(self, model, rows, examples):
        shares = [row.get("chex/flops", 1.0) for row in rows]
        # `evaluate` compiles; what is saved has no optimizer.
        costs = measure.export(model, examples, self.folder)
        return {
            **evaluate(model, self.batches),
            **costs,
            "training_share": sum(shares) / len(shares),
            "train_seconds": sum(row["seconds"] for row in rows),
        }


def evaluate(model, batches):
    """Accuracy of a plain model, measured by this process alone.

    Args:
        model: a `keras.Model` with logits.
        batches: `PhotoBatches`.

    Returns:
        Dict with `accuracy` and `top5_accuracy`.
    """
    alone = dataclasses.replace(batches, strategy=tf.distribute.get_strategy())
    model.compile(
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        weighted_metrics=accuracies(),
    )
    logs = model.evaluate(
        alone.evaluation(),
        steps=alone.evaluation_steps,
        return_dict=True,
        verbose=0,
    )
    return {key: float(logs[key]) for key in ("accuracy", "top5_accuracy")}


def finished_result(directory):
    """What `finish` wrote in a run directory, or `None`."""
    return read_json(directory / "result.json")


def result_table(result, reference=None):
    """Renders what `finish` returned.

    Args:
        result: dict, the contents of `result.json`.
        reference: dict, likewise of a run of the dense network, for its
            accuracy and training time.

    Returns:
        String.
    """
    contenders = dict(result["contenders"])
    if reference is not None:
        trained = reference["contenders"]["dense"]
        contenders["dense"] = {**trained, **contenders["dense"]}
    return table.results_table(
        {name: [values] for name, values in contenders.items()}, ROWS
    )
