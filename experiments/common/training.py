"""Training of one contender, from wherever it was interrupted."""

import time

import keras

import keras_chex

from .datasets import steps_per_epoch
from .recipe import compile_model
from .run_directory import read_rows, replacing, write_rows

STATE_PATTERN = "state-*.weights.h5"
ACCURACY = (
    ("loss", "loss"),
    ("accuracy", "accuracy"),
    ("test", "val_accuracy"),
)


def tensorflow_feed(model, images, recipe, first_epoch):
    """What `train` gives to `fit`, by `tf.data`."""
    # Other backends may be installed without TensorFlow.
    from . import pipeline

    batches = pipeline.train_batches(
        *images.train,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        first_epoch=first_epoch,
        shift=recipe.shift,
        flip=images.flip,
    )
    test = pipeline.evaluation_batches(*images.test)
    return {"x": batches, "validation_data": test}


def train(
    model,
    images,
    recipe,
    directory,
    callbacks=(),
    backup_every=1,
    feed=tensorflow_feed,
):
    """Trains a model by the recipe and leaves `history.csv` behind.

    The test set is scored after every epoch, for the curves alone: no decision
    depends on it, and the last epoch's weights are the result.

    Args:
        model: a `keras.Model` with logits, wrapped or plain, not compiled.
        images: an `ImageSet`.
        recipe: a `Recipe`.
        directory: `pathlib.Path` of this contender.
        callbacks: Keras callbacks, called before the history is written.
        backup_every: int, epochs between two saved states.
        feed: function from the model, the images, the recipe and the first
            epoch to arguments of `fit`: endless batches and validation data.

    Returns:
        List of dicts, the rows of `history.csv`: one for every epoch.
    """
    steps = steps_per_epoch(len(images.train[0]), recipe.batch_size)
    compile_model(model, recipe, steps)
    return fit(
        model,
        lambda first_epoch: feed(model, images, recipe, first_epoch),
        (recipe.epochs, steps),
        directory,
        callbacks,
        backup_every,
    )


def fit(model, data, length, directory, callbacks=(), backup_every=1):
    """Trains a compiled model on any batches, from where it was interrupted.

    Args:
        model: a compiled `keras.Model`.
        data: function from the epoch to begin with to arguments of `fit`:
            endless batches and validation data; `steps_per_epoch` too, where
            what it yields are not single batches.
        length: two ints, epochs and the steps in each.
        directory: as for `train`, like the arguments after it.
        callbacks: likewise.
        backup_every: likewise.

    Returns:
        As `train`.
    """
    epochs, steps = length
    backup = Backup(directory / "backup", backup_every)
    first_epoch = backup.restore(model)
    history = directory / "history.csv"
    stopwatch = Stopwatch()
    if first_epoch < epochs:
        model.fit(
            **{"steps_per_epoch": steps, **data(first_epoch)},
            epochs=epochs,
            initial_epoch=first_epoch,
            callbacks=[
                stopwatch,
                *callbacks,
                HistoryFile(history, stopwatch),
                backup,
            ],
            shuffle=False,
            verbose=0,
        )
    return read_rows(history)


class Backup(keras.callbacks.Callback):
    """Saves weights, optimizer and epoch together, in one file.

    The epoch is part of the file's name, so there is no moment at which the
    weights of one epoch stand beside the number of another.

    Args:
        directory: `pathlib.Path`, holds nothing else.
        every: int, epochs between two saved states.
    """

    def __init__(self, directory, every=1):
        super().__init__()
        self.directory = directory
        self.every = every

    def restore(self, model):
        """Loads the newest state into a compiled model.

        Returns:
            int, number of epochs that this state has behind it.
        """
        states = sorted(self.directory.glob(STATE_PATTERN))
        if not states:
            return 0
        model.optimizer.build(model.trainable_variables)
        model.load_weights(states[-1])
        return int(states[-1].name.split("-")[1].split(".")[0])

    def on_epoch_end(self, epoch, logs=None):
        epoch += 1
        if epoch % self.every and epoch < self.params["epochs"]:
            return
        older = list(self.directory.glob(STATE_PATTERN))
        path = self.directory / STATE_PATTERN.replace("*", f"{epoch:05d}")
        with replacing(path) as beside:
            self.model.save_weights(beside)
        for state in older:
            if state != path:
                state.unlink()


class Stopwatch(keras.callbacks.Callback):
    """Times the training of an epoch, without the evaluation after it.

    Stands first in the list of callbacks: exploration steps are made at the
    beginning of an epoch, and count.

    Args:
        clock: function that returns seconds. `time.process_time` counts the
            work of all cores.
    """

    def __init__(self, clock=time.perf_counter):
        super().__init__()
        self.clock = clock
        self._before = 0.0
        self._since = None

    def seconds(self):
        """Seconds of training since the epoch began."""
        running = self._since is not None
        now = self.clock() - self._since if running else 0.0
        return self._before + now

    def on_epoch_begin(self, epoch, logs=None):
        self._before, self._since = 0.0, self.clock()

    def on_test_begin(self, logs=None):
        self._before, self._since = self.seconds(), None

    def on_test_end(self, logs=None):
        self._since = self.clock()


class HistoryFile(keras.callbacks.Callback):
    """Keeps `history.csv`: one row per epoch, written after every epoch.

    Rows of epochs that were lost with an interruption are dropped when
    training goes on before them.

    Args:
        path: path of the file.
        stopwatch: a `Stopwatch`, for the column `seconds`.
    """

    def __init__(self, path, stopwatch):
        super().__init__()
        self.path = path
        self.stopwatch = stopwatch
        self._rows = []

    def on_train_begin(self, logs=None):
        self._rows = read_rows(self.path)

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}}
        row["seconds"] = round(self.stopwatch.seconds(), 3)
        kept = [r for r in self._rows if r["epoch"] <= epoch]
        self._rows = [*kept, row]
        write_rows(self.path, self._rows)


class ProgressLine(keras.callbacks.Callback):
    """Prints one line every few epochs.

    Args:
        title: string, begins the line.
        every: int, epochs between two lines; the last epoch always has one.
        shown: pairs of a word and the key of the logs that it stands for; an
            epoch without the key does without.
    """

    def __init__(self, title, every=1, shown=ACCURACY):
        super().__init__()
        self.title = title
        self.every = every
        self.shown = shown

    def on_epoch_end(self, epoch, logs=None):
        epoch, epochs = epoch + 1, self.params["epochs"]
        if epoch % self.every and epoch < epochs:
            return
        line = f"{self.title}  epoch {epoch:>{len(str(epochs))}}/{epochs}"
        for word, key in self.shown:
            if key in logs:
                line += f"  {word} {logs[key]:.4f}"
        if "chex/flops" in logs:
            line += f"  FLOPs {logs['chex/flops']:.3f}"
        print(line, flush=True)


class ChannelLog(keras.callbacks.Callback):
    """Logs the active units of every channel group, every epoch.

    The keys are `channels/<group>`; groups that cannot shrink have none. Stands
    behind `ChexScheduler` in the list of callbacks and before whatever writes
    the logs.
    """

    def __init__(self):
        super().__init__()
        self._groups = ()

    def on_train_begin(self, logs=None):
        groups = keras_chex.channel_groups(self.model)
        self._groups = [g.name for g in groups if g.frozen is None]

    def on_epoch_end(self, epoch, logs=None):
        active = keras_chex.active_channels(self.model)
        for group in self._groups:
            logs[f"channels/{group}"] = float(active[group].sum())
