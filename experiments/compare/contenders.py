"""What each contender trains: its model, its scheduler, its epochs."""

import dataclasses

import keras
import numpy as np

import keras_chex

from ..common.array_feed import ShiftAndFlip
from ..common.datasets import steps_per_epoch
from ..common.widths import slim_widths, stage_widths
from .magnitude import MagnitudePruning, polynomial, sparsity_for
from .networks import NETWORKS


@dataclasses.dataclass(frozen=True)
class Entry:
    """A contender ready to be trained.

    Attributes:
        model: a `keras.Model` with logits, not compiled; wrapped if there is a
            scheduler.
        epochs: int.
        dense_flops: int, multiply-adds of the dense network.
        scheduler: a `keras_chex.ChexScheduler` or `None`.
        callbacks: tuple of further callbacks.
        is_sparse: bool, whether zeros in kernels do not count as parameters.
    """

    model: keras.Model
    epochs: int
    dense_flops: int
    scheduler: keras_chex.ChexScheduler | None = None
    callbacks: tuple = ()
    is_sparse: bool = False


def prepare(cell, images, needed=None):
    """Builds what a cell trains.

    Args:
        cell: a `grid.Cell`.
        images: an `ImageSet`.
        needed: record of `cell.needed`, where the contender needs one.

    Returns:
        An `Entry`.
    """
    setting = cell.setting
    network = NETWORKS[setting.network]

    def build(widths):
        augment = ShiftAndFlip(
            setting.shift, images.flip, cell.seed, name="augment"
        )
        return network.build(
            setting.depth,
            widths,
            images.input_shape,
            images.classes,
            mean=images.mean,
            std=images.std,
            augment=augment,
        )

    keras.utils.set_random_seed(cell.seed)
    dense = build(stage_widths(setting.width, factors=network.factors))
    return KINDS[cell.contender.kind](cell, images, build, dense, needed)


def images_per_epoch(setting, images):
    """Images that one epoch trains on: whole batches."""
    steps = steps_per_epoch(len(images.train[0]), setting.batch_size)
    return steps * setting.batch_size


def _dense(cell, images, build, dense, needed):
    return Entry(dense, cell.setting.epochs, keras_chex.flops(dense))


def _slim(cell, images, build, dense, needed):
    """The same network, narrower by the same share everywhere."""
    dense_flops = keras_chex.flops(dense)
    model = _slim_model(cell, build, dense_flops)
    epochs = cell.setting.epochs
    if needed is not None:
        per_epoch = keras_chex.flops(model) * images_per_epoch(
            cell.setting, images
        )
        epochs = round(needed["train_flops"] / per_epoch)
    return Entry(model, epochs, dense_flops)


def _slim_model(cell, build, dense_flops):
    widths = slim_widths(
        lambda widths: keras_chex.flops(build(widths)),
        cell.setting.width,
        target=cell.budget * dense_flops,
        factors=NETWORKS[cell.setting.network].factors,
    )
    # Its weights do not depend on how many networks were priced.
    keras.utils.set_random_seed(cell.seed)
    return build(widths)


def _magnitude(cell, images, build, dense, needed):
    """The dense network with as many non-zero weights as the slim one has."""
    flops, epochs = keras_chex.flops(dense), cell.setting.epochs
    parameters = _slim_model(cell, build, flops).count_params()
    steps = images_per_epoch(cell.setting, images) // cell.setting.batch_size
    schedule = polynomial(sparsity_for(dense, parameters), epochs * steps)
    pruning = MagnitudePruning(schedule)
    return Entry(dense, epochs, flops, None, (pruning,), is_sparse=True)


def _chex(cell, images, build, dense, needed, **changes):
    options = {**cell.contender.options, **changes}
    scheduler = keras_chex.ChexScheduler(
        flops=cell.budget, seed=cell.seed, verbose=0, **options
    )
    return Entry(
        keras_chex.wrap(dense),
        cell.setting.epochs,
        keras_chex.flops(dense),
        scheduler,
    )


def _oneshot(cell, images, build, dense, needed):
    """Dense for half of the epochs, cut once, small for the others."""
    half = cell.setting.epochs // 2
    return _chex(
        cell,
        images,
        build,
        dense,
        needed,
        initial="dense",
        sampling="none",
        regrow=0.0,
        interval=half,
        end=half,
    )


def _scratch(cell, images, build, dense, needed):
    """A fresh network of the widths that another contender ended with."""
    wrapped = keras_chex.wrap(dense)
    widths = zip(needed["groups"], needed["widths"][-1][1], strict=True)
    keras_chex.set_active(
        wrapped, {group: np.arange(width) for group, width in widths}
    )
    small = keras_chex.strip(wrapped)
    keras.utils.set_random_seed(cell.seed)
    return Entry(
        keras.models.clone_model(small),
        cell.setting.epochs,
        keras_chex.flops(dense),
    )


KINDS = {
    "dense": _dense,
    "slim": _slim,
    "chex": _chex,
    "oneshot": _oneshot,
    "scratch": _scratch,
    "magnitude": _magnitude,
}
