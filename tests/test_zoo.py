"""Every model of the zoo is read, narrowed, saved and exported correctly.

The checks are those of `tests/checks.py`; half of the units of each group are
active, drawn at random.
"""

import functools

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.channels import read_channels
from keras_chex.graph.rule import rule_for
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model
from tests import checks
from tests.zoo import ROWS

pytestmark = [
    # Keras warns that a model's inputs are not named as its dict says.
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),
    # Keras loads a block that has sub-layers and no `build` with a warning.
    pytest.mark.filterwarnings("ignore:`build..` was called on:UserWarning"),
]


class Case:
    """One row of the zoo, with what is made of it, each made once."""

    def __init__(self, name):
        self.name = name
        self.row = ROWS[name]
        self.plain, self.x = checks.prepare(self.row.build, self.row.seed)
        self.expected = self.plain(self.x, training=False)
        self.graph = read_channels(self.plain)
        self.groups = keras_chex.channel_groups(self.plain)
        self.active = checks.random_active(self.groups)

    def plain_copy(self):
        copy = self.row.build()
        copy.set_weights(self.plain.get_weights())
        return copy

    def stripped_copy(self):
        copy = keras.models.clone_model(self.stripped)
        copy.set_weights(self.stripped.get_weights())
        return copy

    def permuted(self):
        rng = np.random.default_rng(1)
        order = {g.name: rng.permutation(g.size) for g in self.groups}
        prunable = {name: order[name] for name in self.active}
        return narrow_model(self.plain, Selection(self.graph, prunable))

    @functools.cached_property
    def wrapped(self):
        wrapped = keras_chex.wrap(self.plain)
        keras_chex.set_active(wrapped, self.active)
        return wrapped

    @functools.cached_property
    def stripped(self):
        return keras_chex.strip(self.wrapped)

    @functools.cached_property
    def narrow_outputs(self):
        outputs = self.stripped(self.x, training=False)
        variation = checks.smallest_variation(outputs)
        assert variation > 0.01, f"void: outputs vary by {variation} only"
        return outputs


# What JAX runs by default: one row for each way in which models are built.
FEW = {
    "sequential",
    "bottleneck",
    "flatten_after_concat",
    "depthwise_separable",
    "nested_functional",
    "raw_operations",
    "functional_subclass",
    "subclassed",
}


# Converting takes seconds; what LiteRT runs by default.
CONVERTED = {
    *("bottleneck", "dense_concat", "depthwise_separable", "nested_functional"),
    *("activations", "transposed_convolution", "one_dimensional", "merges"),
    *("raw_operations", "grouped_convolution", "channel_shuffle", "attention"),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=() if name in FEW else pytest.mark.slow_on_jax)
        for name in ROWS
    ],
)
def case(request):
    return Case(request.param)


def assert_same(outputs, expected):
    assert checks.largest_difference(outputs, expected) <= checks.TOLERANCE


def test_channel_groups_are_those_of_the_table(case):
    prunable = {
        frozenset(group.producers)
        for group in case.groups
        if group.frozen is None
    }
    assert prunable == {frozenset(text.split("+")) for text in case.row.groups}
    reasons = {
        producer: group.frozen
        for group in case.groups
        if group.frozen is not None
        for producer in group.producers
    }
    assert set(reasons) - {"logits"} == set(case.row.frozen)
    for producer, part in case.row.frozen.items():
        assert part in reasons[producer]


def test_permuted_channels_compute_the_same(case):
    assert_same(case.permuted()(case.x, training=False), case.expected)


def test_stripped_equals_the_plain_model_with_zeroed_channels(case):
    if not case.row.zero_preserving:
        pytest.skip("an activation of this model maps 0 to something else")
    dormant = {}
    for group in case.graph.groups:
        if group.name in case.active:
            # A layer may make channels of several groups.
            for producer in group.producers:
                channels = case.graph.producer_channels(group, producer)
                dormant.setdefault(producer, []).extend(
                    channels[~case.active[group.name]].reshape(-1)
                )
    zeroed = checks.zero_dormant(case.plain_copy(), dormant, case.x)
    assert checks.largest_difference(zeroed, case.expected) > 0.01
    assert_same(case.narrow_outputs, zeroed)


def test_stripped_equals_wrapped_in_inference(case):
    assert_same(case.wrapped(case.x, training=False), case.narrow_outputs)
    predicted = case.wrapped.predict(case.x, verbose=0)
    assert_same(predicted, case.narrow_outputs)
    assert not any(
        isinstance(layer, keras_chex.ChexWrapper)
        for layer in checks.layers_by_path(case.stripped).values()
    )


def test_stripped_equals_wrapped_after_a_training_step(case):
    wrapped, stripped = case.wrapped, case.row.as_trained(case.stripped_copy())
    state, before = wrapped.get_weights(), stripped.get_weights()
    y = keras.tree.map_structure(np.sin, checks.as_numpy(case.narrow_outputs))
    losses = [
        checks.training_step(model, case.x, y, run_eagerly=eager)
        for model, eager in ((wrapped, False), (stripped, True))
    ]
    trained = keras_chex.strip(wrapped).get_weights()
    wrapped.set_weights(state)
    assert losses[0] == pytest.approx(losses[1], rel=checks.TOLERANCE)
    assert checks.largest_difference(before, stripped.get_weights()) > 1e-4
    assert_same(trained, stripped.get_weights())


def test_rolled_input_slices_of_a_consumer_are_seen(case):
    consumer = next(
        name
        for group in case.groups
        if group.name in case.active and case.active[group.name].sum() > 1
        for name in group.consumers
    )
    for right, expected in (
        (case.stripped, case.wrapped(case.x, training=False)),
        (case.permuted(), case.expected),
    ):
        wrong = keras.models.clone_model(right)
        wrong.set_weights(right.get_weights())
        checks.roll_input_slices(checks.find_layer(wrong, consumer))
        outputs = wrong(case.x, training=False)
        assert checks.largest_difference(outputs, expected) > 1e-3


def wrong_flatten(call):
    """Repeats each channel in place, as if positions varied slowest."""
    ids, positions = call.inputs[0].ids, call.output_shapes[0][1]
    return [Channels(np.repeat(ids, positions // len(ids)), 1)]


def wrong_concatenation(call):
    """Puts the first input last."""
    parts = [tensor.ids for tensor in call.inputs[1:] + call.inputs[:1]]
    return [Channels(np.concatenate(parts), call.inputs[0].axis)]


@pytest.mark.parametrize(
    ("layer_class", "flow"),
    [
        (keras.layers.Flatten, wrong_flatten),
        (keras.layers.Concatenate, wrong_concatenation),
    ],
)
def test_a_wrong_rule_is_seen(monkeypatch, layer_class, flow):
    rule = rule_for(layer_class())
    monkeypatch.setattr(rule, "flow", flow, raising=False)
    case = Case("flatten_after_concat")
    permuted = case.permuted()(case.x, training=False)
    assert checks.largest_difference(permuted, case.expected) > 1e-2
    # The two sides read the same wrong ids: this check alone is blind.
    assert_same(case.wrapped(case.x, training=False), case.narrow_outputs)


def test_predicted_cost_is_that_of_the_stripped_model(case):
    assert keras_chex.flops(case.wrapped) == keras_chex.flops(case.stripped)
    assert keras_chex.flops(case.wrapped) < keras_chex.flops(case.plain)
    predicted = keras_chex.summary(case.wrapped)
    assert predicted.params == case.stripped.count_params()


def test_saved_wrapped_model_is_narrow_again(case, tmp_path):
    path = tmp_path / "wrapped.keras"
    case.wrapped.save(path)
    loaded = keras.saving.load_model(path)
    assert_same(loaded(case.x, training=False), case.narrow_outputs)
    active = keras_chex.active_channels(loaded)
    for name, units in case.active.items():
        np.testing.assert_array_equal(active[name], units)
    assert keras_chex.flops(loaded) == keras_chex.flops(case.stripped)


@pytest.mark.tensorflow
def test_litert_computes_the_same(case, tmp_path, request):
    large = request.config.getoption("--run_large")
    if case.name not in CONVERTED and not large:
        pytest.skip("all rows are converted with --run_large")
    if not case.row.runs_in_litert:
        pytest.skip("LiteRT lacks an operation of this model")
    path = tmp_path / "stripped.tflite"
    keras_chex.export_tflite(case.stripped, path)
    outputs = checks.run_litert(path, case.x, case.narrow_outputs)
    assert checks.largest_difference(outputs, case.narrow_outputs) <= 1e-4
