"""One data set, one recipe, several contenders, one table."""

import dataclasses
import pathlib
import shutil

import keras

import keras_chex

from . import measure, table
from .datasets import ImageSet
from .recipe import Recipe
from .run_directory import (
    read_json,
    read_rows,
    write_json,
    write_rows,
    write_text,
)
from .software import software
from .training import ChannelLog, ProgressLine, train
from .widths import slim_widths, stage_widths


@dataclasses.dataclass(frozen=True)
class Contest:
    """Trains contenders under the same recipe and compares them.

    A contender with a `result.json` is finished and is not trained again.

    Attributes:
        directory: `pathlib.Path`; each contender has a folder in it.
        images: an `ImageSet`.
        recipe: a `Recipe`.
        backup_every: int, epochs between two saved states.
        report_every: int, epochs between two printed lines.
        latency_runs: int, timed inferences of each exported model.
    """

    directory: pathlib.Path
    images: ImageSet
    recipe: Recipe
    backup_every: int = 1
    report_every: int = 1
    latency_runs: int = 400

    def run(self, build, width, scheduler, slim, title):
        """Trains the dense network, CHEX and, if wanted, a slim one.

        Args:
            build: function from the widths of the stages to a plain model.
            width: int, channels of the dense network's first stage.
            scheduler: a `keras_chex.ChexScheduler`.
            slim: bool, whether to train a uniformly slim network with as
                many FLOPs as CHEX ended with.
            title: string, heads the report.

        Returns:
            Dict from the contender's name to its results; also in
            `result.json`.
        """
        dense = stage_widths(width)
        results = {
            "dense": self.enter("dense", lambda: build(dense)),
            "CHEX": self.enter("CHEX", lambda: build(dense), scheduler),
        }
        if slim:
            widths = slim_widths(
                lambda widths: keras_chex.flops(build(widths)),
                width,
                target=results["CHEX"]["flops"],
            )
            results["slim"] = self.enter("slim", lambda: build(widths))
        return self.finish(results, title)

    def enter(self, name, build, scheduler=None):
        """Trains one contender, exports and measures it.

        Args:
            name: string, names the folder and the column of the table.
            build: function without arguments that returns a plain model.
            scheduler: a `keras_chex.ChexScheduler`; with it the model is
                wrapped, explored and stripped.

        Returns:
            Dict, the contents of its `result.json`.
        """
        folder = self.folder(name)
        result = read_json(folder / "result.json")
        if result is not None:
            print(f"{name}: finished before, see {folder}", flush=True)
            return result
        keras.utils.set_random_seed(self.recipe.seed)
        model = build()
        callbacks = [self.progress(name)]
        if scheduler is not None:
            model = keras_chex.wrap(model)
            callbacks = [scheduler, ChannelLog(), *callbacks]
        rows = self.train(model, folder, callbacks)
        result = {"train_seconds": sum(row["seconds"] for row in rows)}
        if scheduler is not None:
            result["groups"] = {
                group.name: group.size
                for group in keras_chex.channel_groups(model)
                if group.frozen is None
            }
            trained, model = model, keras_chex.strip(model)
            result |= self.verify(trained, model)
        result |= self.measure(model, folder)
        write_json(folder / "result.json", result)
        shutil.rmtree(folder / "backup")
        return result

    def train(self, model, folder, callbacks):
        """Trains a model; returns the rows of its history."""
        return train(
            model,
            self.images,
            self.recipe,
            folder,
            callbacks,
            self.backup_every,
        )

    def progress(self, name):
        """The callback that says how far one contender is."""
        return ProgressLine(name, self.report_every)

    def verify(self, trained, stripped):
        """Compares a model before and after `strip`, beyond its own check.

        Args:
            trained: the wrapped model.
            stripped: what `strip` made of it.

        Returns:
            Dict, more results of this contender.
        """
        return {}

    def measure(self, model, folder):
        """Exports a plain trained model; returns what it does and costs."""
        return measure.export_and_measure(model, self.images, folder)

    def folder(self, name):
        """Where the files of one contender lie."""
        return self.directory / name.lower()

    def finish(self, results, title):
        """Measures latencies together; writes tables and the report.

        Args:
            results: dict from the contender's name to what `enter` returned;
                the dense one first.
            title: string, heads the report.

        Returns:
            Dict like `results`, with `latency_ms`; also in `result.json`.
        """
        folders = {name: self.folder(name) for name in results}
        print("latency of the exported models", flush=True)
        measured = measure.latencies(folders, self.latency_runs)
        results = {
            name: {**result, "latency_ms": measured[name]}
            for name, result in results.items()
        }
        histories = {
            name: read_rows(folder / "history.csv")
            for name, folder in folders.items()
        }
        write_rows(
            self.directory / "history.csv",
            [
                {"model": n, **row}
                for n, rows in histories.items()
                for row in rows
            ],
        )
        write_json(
            self.directory / "result.json",
            {
                "contenders": results,
                "recipe": dataclasses.asdict(self.recipe),
                "software": software(),
            },
        )
        keras_chex.write_report(self.directory, title=title)
        return results


def report(runs, workdir, rows=table.ROWS):
    """Prints the table of one or several runs and says where the files are.

    Args:
        runs: list of dicts, one for every seed, as `Contest.finish` returns.
        workdir: path of the run directory.
        rows: tuple, the lines of the table, as for `results_table`.
    """
    names = runs[0]
    by_name = {name: [run[name] for run in runs] for name in names}
    text = table.results_table(by_name, rows)
    write_text(workdir / "table.txt", text + "\n")
    if len(runs) > 1:
        write_json(
            workdir / "result.json",
            {"contenders": by_name, "software": software()},
        )
    print(f"\n{text}\n\nwritten to {workdir}:", flush=True)
    print("table.txt, result.json; for every seed report.html with its")
    print(
        "figures, history.csv, and model.keras, model.tflite and saved_model/"
    )
    print("of every contender", flush=True)
