"""The checks on one real model: is what comes out of it what went in?

Weights are random. BatchNormalization statistics are measured twice, with all
channels and with the active ones: a network that lost half of its channels
fades to constants with the statistics of the whole one, and then no mistake
would show. `verdict` says what the numbers of a record amount to.
"""

import gc
import pathlib
import resource
import statistics
import tempfile
import time

import keras
import numpy as np

import keras_chex
from benchmarks.model_record import errors_noted, verdict
from benchmarks.model_shares import (
    MAKERS,
    prunable_channels,
    prunable_flops,
    uncounted_params,
)
from benchmarks.model_weights import (
    calibrate,
    calibrate_narrow,
    choose_active,
    disable_dropout,
    pictures,
    randomize,
)
from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model
from tests import checks

MAX_REASONS = 10
# Pictures of the check with zeroed channels, for each of the others.
MORE = 4
# Stages without which there are no others.
NEEDED = ("build", "groups", "wrap")


def check_model(entry, share=0.5, round_to=1, seed=0, train=True):
    """Runs all checks on one model.

    Args:
        entry: an `Entry` of `benchmarks.model_suite`.
        share: float, active channels of every group.
        round_to: int, widths are multiples of this where a group allows it.
        seed: int, of weights, pictures and choice of channels.
        train: bool, whether a training step is compared, which takes longest.

    Returns:
        Dict that JSON can hold: see `docs/models.md` for its entries.
    """
    case = _Case(entry, share, round_to, seed)
    stages = (
        *(case.build, case.groups, case.permuted, case.wrap, case.zeroed),
        *(case.inference, case.costs, case.reloaded),
    )
    if train:
        stages = (*stages, case.trained)
    else:
        case.record["skipped"]["trained"] = "left out of this run"
    for stage in stages:
        name = stage.__name__
        with errors_noted(case.record, name):
            stage()
        if name in case.record["errors"] and name in NEEDED:
            break
        if case.record.get("unfrozen_groups") == 0:
            break
    case.record["verdict"] = verdict(case.record)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    case.record["peak_gib"] = round(peak / 2**20, 2)
    return case.record


class _Case:
    """One model on its way through the checks."""

    def __init__(self, entry, share, round_to, seed):
        self.entry, self.seed = entry, seed
        self.share, self.round_to = share, round_to
        self.rng = np.random.default_rng(seed)
        self.record = {
            "model": entry.name,
            "family": entry.family,
            "suite": entry.suite,
            "share": share,
            "round_to": round_to,
            "seed": seed,
            "batch": entry.batch,
            "seconds": {},
            "variation": {},
            "differences": {},
            "seen": {},
            "mistake_in": {},
            "skipped": {},
            "errors": {},
        }

    def timed(self, name, function, *args):
        start = time.perf_counter()
        result = function(*args)
        seconds = time.perf_counter() - start
        self.record["seconds"][name] = round(seconds, 3)
        return result

    def run(self, model, x=None):
        x = self.x if x is None else x
        return checks.as_numpy(model(x, training=False))

    def compare(self, name, outputs, expected):
        difference = checks.largest_difference(outputs, expected)
        self.record["differences"][name] = float(difference)

    def vary(self, name, outputs):
        variation = checks.smallest_variation(outputs)
        self.record["variation"][name] = float(variation)

    def build(self):
        """Builds the model with weights on which a mistake shows."""
        keras.utils.set_random_seed(self.seed)
        self.plain = self.timed("build", self.entry.build)
        self.record["input"] = list(self.plain.inputs[0].shape[1:])
        self.record["params"] = self.plain.count_params()
        self.x = pictures(self.plain, self.entry.batch, self.seed)
        randomize(self.plain, self.seed)
        calibrate(self.plain, self.x, self.seed)
        self.expected = self.run(self.plain)
        self.vary("dense", self.expected)

    def groups(self):
        """Reads the channel groups, and how much of the model is in them."""
        groups = self.timed(
            "channel_groups", keras_chex.channel_groups, self.plain
        )
        self.graph = read_channels(self.plain)
        self.active = choose_active(
            groups, self.share, self.round_to, self.seed
        )
        reasons = dict.fromkeys(g.frozen for g in groups if g.frozen)
        self.record |= {
            "operations": len(self.graph.operations),
            "groups": len(groups),
            "unfrozen_groups": len(self.active),
            "prunable_channels": prunable_channels(self.graph, self.plain),
            "prunable_flops": prunable_flops(self.graph, self.plain),
            "uncounted_params": uncounted_params(self.plain),
            "frozen": list(reasons)[:MAX_REASONS],
        }

    def permuted(self):
        """All units, in another order inside their group."""
        order = {
            name: self.rng.permutation(len(mask))
            for name, mask in self.active.items()
        }
        model = narrow_model(self.plain, Selection(self.graph, order))
        self.compare("permuted", self.run(model), self.expected)
        self.see("permuted", model, self.graph.groups, self.expected)

    def see(self, name, model, groups, expected):
        """Makes a mistake in one layer, on purpose, and repairs it."""
        layer = self.consumer(model, groups)
        weights = layer.get_weights()
        checks.roll_input_slices(layer)
        difference = checks.largest_difference(self.run(model), expected)
        layer.set_weights(weights)
        self.record["seen"][name] = float(difference)
        self.record["mistake_in"][name] = layer.name

    def consumer(self, model, groups):
        """Draws a layer that eats at least two channels of an unfrozen group.

        Args:
            model: made by the package of a model that has the groups.
            groups: sequence of `ChannelGroup`.
        """
        active = choose_active(groups, self.share, self.round_to, self.seed)
        names = {
            name
            for group in groups
            if group.name in active and active[group.name].sum() > 1
            for name in group.consumers
        }
        rng = np.random.default_rng(self.seed)
        for name in rng.permutation(sorted(names)):
            layer = checks.find_layer(model, str(name))
            if isinstance(layer, MAKERS):
                return layer
        raise LookupError("no layer eats two channels of an unfrozen group")

    def wrap(self):
        """Wraps and strips, with the statistics of the active channels."""
        calibrate_narrow(self.plain, self.graph, self.active, self.x, self.seed)
        self.wrapped = self.timed("wrap", keras_chex.wrap, self.plain)
        # Copying a model may rename what is inside some layers; the order of
        # the groups stays, so that the same channels are drawn.
        groups = keras_chex.channel_groups(self.wrapped)
        names = [g.name for g in groups if not g.frozen]
        self.record["renamed_groups"] = len(set(names) - set(self.active))
        keras_chex.set_active(
            self.wrapped,
            choose_active(groups, self.share, self.round_to, self.seed),
        )
        self.stripped = self.timed("strip", keras_chex.strip, self.wrapped)
        self.timed("strip_unverified", self.cut)
        self.narrow_outputs = self.run(self.stripped)
        self.vary("narrow", self.narrow_outputs)
        self.see("stripped", self.stripped, groups, self.narrow_outputs)

    def cut(self):
        """What `strip` does, without comparing its result."""
        graph = read_channels(self.wrapped)
        active = keras_chex.active_channels(self.wrapped)
        return narrow_model(self.wrapped, Selection(graph, active))

    def zeroed(self):
        """The plain model, its dormant channels zeroed by other means.

        More pictures, because channels that are zero on all of them count as
        dormant; an active one that a ReLU switches off must show somewhere.
        """
        graph, plain = self.graph, self.plain
        del self.graph, self.plain
        if self.entry.zeros_end:
            self.record["skipped"]["zeroed"] = self.entry.zeros_end
            return
        flat = narrow_model(plain, Selection(graph, {}))
        x = pictures(flat, MORE * self.entry.batch, self.seed)
        whole = self.run(flat, x)
        dormant = self.dormant(graph, flat)
        outputs = checks.as_numpy(checks.zero_dormant(flat, dormant, x))
        changed = checks.largest_difference(outputs, whole)
        self.record["variation"]["zeroing"] = float(changed)
        self.compare("zeroed", self.run(self.stripped, x), outputs)

    def dormant(self, graph, flat):
        """`{producer in the flat model: its dormant output channels}`."""
        dormant = {}
        for group in graph.groups:
            if group.name not in self.active:
                continue
            unit_is_dormant = ~self.active[group.name]
            # A layer may make channels of several groups.
            for producer in group.producers:
                channels = graph.producer_channels(group, producer)
                name = checks.find_layer(flat, producer).name
                dormant.setdefault(name, []).extend(
                    channels[unit_is_dormant].reshape(-1).tolist()
                )
        return dormant

    def inference(self):
        self.compare("inference", self.run(self.wrapped), self.narrow_outputs)

    def costs(self):
        """Predicted costs against those of the model that is really small."""
        gc.collect()
        predicted = keras_chex.summary(self.wrapped)
        real = keras_chex.flops(self.stripped)
        self.record["flops"] = predicted.dense_flops
        self.record["kept_flops"] = real / predicted.dense_flops
        self.record["costs_agree"] = {
            "flops": keras_chex.flops(self.wrapped) == real,
            "params": predicted.params == self.stripped.count_params(),
        }

    def reloaded(self):
        """Outputs of the wrapped model after saving and loading."""
        try:
            loaded = self.through_file(self.wrapped)
        except (TypeError, ValueError):
            if self.plain_can_be_loaded():
                raise
            reason = "Keras cannot load the plain model from its file either"
            self.record["skipped"]["reloaded"] = reason
            return
        self.compare("reloaded", self.run(loaded), self.narrow_outputs)

    def through_file(self, model):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.keras"
            self.timed("save", model.save, path)
            return self.timed("load", keras.saving.load_model, path)

    def plain_can_be_loaded(self):
        try:
            self.through_file(self.entry.build())
        except (TypeError, ValueError):
            return False
        return True

    def trained(self):
        """One compiled step of both models; what it changed is compared.

        A difference is a share of the largest change of its array, or of a
        hundredth of the array's largest entry where the change is smaller.
        """
        if type(self.wrapped).compile is not keras.Model.compile:
            reason = "its class has a `compile` and losses of its own"
            self.record["skipped"]["trained"] = reason
            return
        y = keras.tree.map_structure(np.sin, self.narrow_outputs)
        before = self.stripped.get_weights()
        self.timed("training_step", train_once, self.wrapped, self.x, y)
        train_once(self.stripped, self.x, y)
        after, others = self.stripped.get_weights(), self.cut().get_weights()
        differences, moves = zip(
            *map(compare_changes, before, after, others), strict=True
        )
        self.record["differences"]["trained"] = max(differences)
        self.record["moved"] = statistics.median(moves)


def train_once(model, x, y):
    """One step of plain SGD, without dropout and compiled without XLA.

    XLA and eager execution round differently, which deep networks amplify.
    """
    disable_dropout(model)
    model.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss=keras.tree.map_structure(lambda _: "mse", y),
        jit_compile=False,
    )
    model.train_on_batch(x, y)


def compare_changes(before, after, other):
    """Compares what training made of one array in two models.

    Returns:
        `(difference, change)`: the largest difference as a share of the
        largest change or of 1 % of the array, and the largest change as a
        share of the array.

    Raises:
        ValueError: If an entry is not finite.
    """
    before, after, other = (
        np.asarray(array, "float64") for array in (before, after, other)
    )
    if not (np.isfinite(after).all() and np.isfinite(other).all()):
        raise ValueError("training gave weights that are not finite")
    size = max(np.abs(before).max(initial=0.0), 1e-12)
    change = np.abs(after - before).max(initial=0.0)
    difference = np.abs(after - other).max(initial=0.0)
    return float(difference / max(change, 0.01 * size)), float(change / size)
