"""Random graphs are read, narrowed, saved and stripped correctly.

`make test` takes 100 graphs, always the same. `KERAS_CHEX_FUZZ=2000` takes as
many others. What is printed on failure has the seed, for
`KERAS_CHEX_FUZZ_SEED`, and a plan, of which `tests.random_graphs.build` makes
a model.
"""

import collections
import os
import random
import tempfile

import hypothesis
import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model
from tests import checks
from tests.random_graphs import build, plans

TOLERANCE = 1e-4
# Of weights after a step, whose gradients are sums over many positions.
TRAINED_TOLERANCE = 5e-4
BATCH = 6
PARTS = 4
GRAPHS = int(os.environ.get("KERAS_CHEX_FUZZ", 0))
SEED = os.environ.get("KERAS_CHEX_FUZZ_SEED")
MOST_REJECTED = 0.1

counts = collections.Counter()


class Case:
    """One random graph with random weights, and what is made of it."""

    def __init__(self, plan):
        self.plan, seed = plan, plan["seed"]
        self.rng = np.random.default_rng(seed)
        self.x = self.inputs()
        self.plain = build(plan)
        checks.randomize(self.plain, seed)
        checks.calibrate(self.plain, self.x, seed)
        self.expected = self.plain(self.x, training=False)
        self.graph = read_channels(self.plain)
        self.groups = [g for g in self.graph.groups if g.frozen is None]

    def inputs(self):
        arrays = [self.examples(shape) for shape in self.plan["inputs"]]
        return arrays if len(arrays) > 1 else arrays[0]

    def examples(self, shape):
        """Noise around colours, which tell examples apart after pooling."""
        noise = self.rng.normal(size=(BATCH, *shape))
        colours = self.rng.normal(
            size=(BATCH, *(1 for _ in shape[1:]), shape[-1])
        )
        return (noise + colours).astype("float32")

    def random_active(self):
        active = {}
        for group in self.groups:
            kept = round(self.rng.uniform(0.2, 0.9) * group.size)
            chosen = self.rng.permutation(group.size)[: max(1, kept)]
            active[group.name] = np.zeros(group.size, bool)
            active[group.name][chosen] = True
        return active

    def permuted(self):
        order = {g.name: self.rng.permutation(g.size) for g in self.groups}
        return narrow_model(self.plain, Selection(self.graph, order))

    def zeroed(self, active):
        """Outputs of the plain model without what makes dormant channels."""
        state = self.plain.get_weights()
        dormant = {}
        for group in self.groups:
            for producer in group.producers:
                channels = self.graph.producer_channels(group, producer)
                dormant.setdefault(producer, []).append(
                    channels[~active[group.name]].reshape(-1)
                )
        dormant = {k: np.concatenate(v) for k, v in dormant.items()}
        outputs = checks.zero_dormant(self.plain, dormant, self.x)
        self.plain.set_weights(state)
        return outputs


class Void(Exception):
    """The outputs of a graph hardly depend on the example."""


def require(outputs, expected, what):
    difference = checks.largest_difference(outputs, expected)
    assert difference <= TOLERANCE, f"{what}: differ by {difference:.1e}"


def reject_void(outputs):
    if not checks.smallest_variation(outputs) > 0.01:
        raise Void


def check_graph(plan):
    """Runs all checks on the graph of a plan."""
    counts["graphs"] += 1
    keras.utils.set_random_seed(plan["seed"])
    if counts["graphs"] % 20 == 0:
        keras.utils.clear_session()
    case = Case(plan)
    reject_void(case.expected)
    if not case.groups:
        counts["read"] += 1
        with pytest.raises(ValueError, match="every channel is kept"):
            keras_chex.wrap(case.plain)
        return
    permuted = case.permuted()(case.x, training=False)
    require(permuted, case.expected, "permuted")
    check_narrow(case)


def check_narrow(case):
    wrapped = keras_chex.wrap(case.plain)
    active = case.random_active()
    require(wrapped(case.x, training=False), case.expected, "wrapped")
    keras_chex.set_active(wrapped, active)
    stripped = keras_chex.strip(wrapped)
    outputs = stripped(case.x, training=False)
    reject_void(outputs)
    require(wrapped(case.x, training=False), outputs, "stripped")
    assert keras_chex.flops(wrapped) == keras_chex.flops(stripped)
    summary = keras_chex.summary(wrapped)
    assert summary.params == stripped.count_params()
    if case.plan["safe"]:
        check_zeroed(case, active, stripped, outputs)
    extra = case.plan["extra"]
    counts[extra] += 1
    if extra == "regrown":
        check_regrown(case, wrapped)
    elif extra == "saved":
        check_saved(case, wrapped, outputs)
    else:
        check_training(case, wrapped, stripped, outputs)


def check_zeroed(case, active, stripped, outputs):
    if has_silent_channel(stripped, case.x):
        return
    counts["zeroed"] += 1
    require(outputs, case.zeroed(active), "zeroed")


def has_silent_channel(model, x):
    """Whether an active channel happens to be zero, as a dormant one is."""
    found = []

    def watch(layer):
        call = layer.call

        def seen(inputs, **kwargs):
            values = np.moveaxis(checks.as_numpy(inputs), layer_axis(layer), -1)
            values = values.reshape(-1, values.shape[-1])
            found.append(not values.any(axis=0).all())
            return call(inputs, **kwargs)

        layer.call = seen

    kinds = layers.BatchNormalization, layers.Conv2D, layers.DepthwiseConv2D
    watched = [
        layer for layer in model._flatten_layers() if isinstance(layer, kinds)
    ]
    for layer in watched:
        watch(layer)
    model(x, training=False)
    for layer in watched:
        del layer.call
    return any(found)


def layer_axis(layer):
    first = getattr(layer, "data_format", None) == "channels_first"
    return getattr(layer, "axis", 1 if first else -1)


def check_regrown(case, wrapped):
    """With all channels back, it computes what it did at first."""
    everything = {g.name: np.arange(g.size) for g in case.groups}
    keras_chex.set_active(wrapped, everything)
    require(wrapped(case.x, training=False), case.expected, "regrown")


def check_saved(case, wrapped, outputs):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "wrapped.keras")
        wrapped.save(path)
        loaded = keras.saving.load_model(path, safe_mode=False)
    require(loaded(case.x, training=False), outputs, "loaded")


def check_training(case, wrapped, stripped, outputs):
    """One step and `predict`, compiled for a few of the graphs."""
    eager = case.plan["extra"] == "step"
    y = keras.tree.map_structure(np.sin, checks.as_numpy(outputs))
    losses = [
        checks.training_step(model, case.x, y, run_eagerly=way)
        for model, way in ((wrapped, eager), (stripped, True))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=TOLERANCE), "loss"
    graph = read_channels(wrapped)
    active = keras_chex.active_channels(wrapped)
    trained = narrow_model(wrapped, Selection(graph, active))
    weights = trained.get_weights(), stripped.get_weights()
    difference = checks.largest_difference(*weights)
    assert difference <= TRAINED_TOLERANCE, f"trained: {difference:.1e}"
    # Not those of `stripped`: a step can leave a network in which the rounding
    # of the weights shows.
    outputs = trained(case.x, training=False)
    require(wrapped.predict(case.x, verbose=0), outputs, "predicted")


def settings(examples):
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


@pytest.mark.filterwarnings(
    "ignore:The structure of `inputs`:UserWarning",
)
# The first quarter always; all of them with `make slow` and `make fuzz`.
@pytest.mark.parametrize(
    "part",
    [
        pytest.param(
            part, marks=pytest.mark.slow if part and not GRAPHS else ()
        )
        for part in range(PARTS)
    ],
)
def test_random_graph(part):
    seed = part
    if GRAPHS:
        seed = int(SEED or random.SystemRandom().randrange(2**32)) + part

    @hypothesis.seed(seed)
    @settings((GRAPHS or 100) // PARTS)
    @hypothesis.given(plans())
    def run(plan):
        try:
            check_graph(plan)
        except Void:
            counts["rejected"] += 1
            hypothesis.reject()

    counts.clear()
    try:
        run()
    except BaseException:
        print(f"KERAS_CHEX_FUZZ_SEED={seed - part}")  # noqa: T201
        raise
    most = 3 + MOST_REJECTED * counts["graphs"]
    assert counts["rejected"] <= most, f"too many say nothing: {counts}"
