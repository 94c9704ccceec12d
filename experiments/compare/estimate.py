"""What a cell will cost, before it is trained."""

import dataclasses

import keras

import keras_chex

from ..common.datasets import steps_per_epoch
from ..common.run_directory import read_json
from .contenders import images_per_epoch, prepare
from .data import load_images
from .grid import CONTENDERS


class Estimator:
    """Estimates training FLOPs, once for all seeds.

    Args:
        places: `places.Places`.
    """

    def __init__(self, places):
        self.places = places
        self._known = {}

    def train_flops(self, cell):
        """Multiply-adds of the forward passes of a whole run.

        A finished cell says itself. The others are planned: a run of CHEX as
        if all widths were uniform, and a run as long as another's from the
        plan of that one.

        Returns:
            int.
        """
        record = read_json(self.places.record(cell))
        if record is not None:
            return record["train_flops"]
        key = cell.setting.name, cell.contender.name, cell.budget
        if key not in self._known:
            self._known[key] = self._plan(cell)
        return self._known[key]

    def _plan(self, cell):
        setting, kind = cell.setting, cell.contender.kind
        images = load_images(setting, self.places.data())
        per_epoch = images_per_epoch(setting, images)
        if kind == "scratch":
            dense = prepare(cell.needed, images).dense_flops
            return round(cell.budget * dense * per_epoch * setting.epochs)
        if kind == "torch_pruning":
            dense = prepare(_dense_of(cell), images).dense_flops
            half = setting.epochs // 2
            shares = half + cell.budget * (setting.epochs - half)
            return round(shares * dense * per_epoch)
        if kind == "magnitude":
            # Its schedule needs a package, and does not change the cost.
            cell = _dense_of(cell)
        needed = None
        if cell.needed is not None:
            needed = {"train_flops": self.train_flops(cell.needed)}
        entry = prepare(cell, images, needed)
        try:
            if entry.scheduler is None:
                flops = keras_chex.flops(entry.model)
                return flops * per_epoch * entry.epochs
            share = self._share(entry, setting, images)
            return round(share * entry.dense_flops * per_epoch * entry.epochs)
        finally:
            keras.utils.clear_session()

    def _share(self, entry, setting, images):
        entry.model.compile("sgd", "mse")
        steps = steps_per_epoch(len(images.train[0]), setting.batch_size)
        plan = entry.scheduler.plan(entry.model, entry.epochs, steps)
        return plan.training_share


def _dense_of(cell):
    return dataclasses.replace(cell, contender=CONTENDERS["dense"])
