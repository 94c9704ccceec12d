"""Sampling, grouping and gathering against loops in NumPy that say what is
meant; the channel rules by the checks of `tests/checks.py`."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from experiments.common import point_models
from experiments.common.point_layers import (
    BallQuery,
    FarthestPoints,
    GatherNeighbours,
)
from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model
from tests import checks


def clouds(batch=3, points=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, points, 3)).astype("float32")


def farthest_points(cloud, count):
    chosen = [0]
    while len(chosen) < count:
        distances = [
            min(((point - cloud[c]) ** 2).sum() for c in chosen)
            for point in cloud
        ]
        chosen.append(int(np.argmax(distances)))
    return chosen


def ball_query(cloud, centre, radius, count):
    distances = ((cloud - centre) ** 2).sum(axis=-1)
    inside = [i for i, d in enumerate(distances) if d <= radius**2][:count]
    if not inside:
        inside = [int(np.argmin(distances))]
    return inside + [inside[0]] * (count - len(inside))


def as_array(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("count", [1, 2, 17, 40])
def test_farthest_points_are_those_of_the_definition(count):
    x = clouds()
    expected = [farthest_points(cloud, count) for cloud in x]
    np.testing.assert_array_equal(as_array(FarthestPoints(count)(x)), expected)


def test_repeated_points_are_chosen_last():
    x = np.repeat(clouds(points=5), 4, axis=1)
    chosen = as_array(FarthestPoints(8)(x))
    for cloud, row in zip(x, chosen, strict=True):
        assert len(np.unique(cloud[row[:5]], axis=0)) == 5
        np.testing.assert_array_equal(row[5:], 0)


@pytest.mark.parametrize("radius", [0.05, 0.7, 1.5, 50.0])
def test_ball_query_is_that_of_the_definition(radius):
    x, centres = clouds(), clouds(points=7, seed=1)
    expected = [
        [ball_query(cloud, centre, radius, 6) for centre in row]
        for cloud, row in zip(x, centres, strict=True)
    ]
    found = as_array(BallQuery(radius, 6)(x, centres))
    np.testing.assert_array_equal(found, expected)


def test_some_balls_are_empty_others_full():
    x, centres = clouds(), clouds(points=7, seed=1)
    distances = np.linalg.norm(centres[:, :, None] - x[:, None], axis=-1)
    assert (distances > 0.05).all()
    inside = (distances <= 1.5).sum(axis=-1)
    assert inside.min() < 6 < inside.max()


def test_a_point_on_the_sphere_belongs_to_the_ball():
    x = np.array([[[0, 0, 0], [2, 0, 0], [0, 2.001, 0]]], "float32")
    found = as_array(BallQuery(2.0, 3)(x, x[:, :1]))
    np.testing.assert_array_equal(found, [[[0, 1, 0]]])


@pytest.mark.parametrize("shape", [(5,), (5, 4), (2, 3, 4)])
def test_gathered_features_are_those_of_the_same_cloud(shape):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 10, 6)).astype("float32")
    indices = rng.integers(0, 10, (3, *shape)).astype("int32")
    gathered = as_array(GatherNeighbours()(features, indices))
    assert gathered.shape == (3, *shape, 6)
    for example in np.ndindex(indices.shape):
        expected = features[example[0], indices[example]]
        np.testing.assert_array_equal(gathered[example], expected)


def test_layers_know_their_output_shapes_without_data():
    x = keras.Input((40, 3))
    features = keras.Input((40, 6))
    chosen = FarthestPoints(8)(x)
    centres = GatherNeighbours()(x, chosen)
    found = BallQuery(0.5, 4)(x, centres)
    grouped = GatherNeighbours()(features, found)
    assert chosen.shape == (None, 8)
    assert chosen.dtype == found.dtype == "int32"
    assert centres.shape == (None, 8, 3)
    assert found.shape == (None, 8, 4)
    assert grouped.shape == (None, 8, 4, 6)


@pytest.mark.parametrize("count", [0, 41])
def test_more_points_than_there_are_cannot_be_chosen(count):
    match = "between 1 and the number of points. Received: count="
    with pytest.raises(ValueError, match=match):
        FarthestPoints(count)(clouds())
    with pytest.raises(ValueError, match=match):
        BallQuery(1.0, count)(clouds(), clouds())


def test_radius_must_be_positive():
    with pytest.raises(ValueError, match="must be positive. Received: radius"):
        BallQuery(0.0, 4)


def test_coordinates_stay_float32_in_a_half_precision_model():
    # In half precision these are one point.
    x = np.array([[[0, 0, 0], [100, 0, 0], [100.01, 0, 0]]], "float32")
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        chosen = as_array(FarthestPoints(2)(x))
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(chosen, [[0, 2]])


# Channel rules


def small_pointnet2():
    groupings = point_models.make_groupings((6, 3), (1.5, 3.0), (4, 3), 0.1)
    return point_models.pointnet2(12, 5, groupings, (11, 7))


def small_pointnet():
    return point_models.pointnet(12, 5, (5, 6, 9), (8, 7), (4, 6))


MODELS = {"pointnet2": small_pointnet2, "pointnet": small_pointnet}
# Coordinates that a network multiplies are no channels that can go.
KEPT = {"pointnet2": {"logits"}, "pointnet": {"logits", "transform_values"}}


class Case:
    def __init__(self, name):
        self.name = name
        self.plain, self.x = checks.prepare(MODELS[name])
        self.expected = self.plain(self.x, training=False)
        self.groups = keras_chex.channel_groups(self.plain)
        self.active = checks.random_active(self.groups)

    def plain_copy(self):
        copy = MODELS[self.name]()
        copy.set_weights(self.plain.get_weights())
        return copy

    def permuted(self):
        graph = read_channels(self.plain)
        rng = np.random.default_rng(1)
        order = {
            g.name: rng.permutation(g.size)
            for g in graph.groups
            if g.name in self.active
        }
        return narrow_model(self.plain, Selection(graph, order))

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
        return self.stripped(self.x, training=False)


@pytest.fixture(scope="module", params=list(MODELS))
def case(request):
    return Case(request.param)


def assert_same(outputs, expected):
    assert checks.largest_difference(outputs, expected) <= checks.TOLERANCE


def test_all_shared_layers_can_shrink(case):
    kept = {g.name for g in case.groups if g.frozen is not None}
    assert kept == KEPT[case.name]
    dense = {
        layer.name
        for layer in case.plain.layers
        if isinstance(layer, layers.Dense)
    }
    assert {g.name for g in case.groups} == dense


def test_permuted_channels_compute_the_same(case):
    assert_same(case.permuted()(case.x, training=False), case.expected)


def test_stripped_equals_the_plain_model_with_zeroed_channels(case):
    dormant = {n: np.flatnonzero(~a) for n, a in case.active.items()}
    zeroed = checks.zero_dormant(case.plain_copy(), dormant, case.x)
    assert checks.largest_difference(zeroed, case.expected) > 0.01
    assert_same(case.narrow_outputs, zeroed)


def test_stripped_equals_wrapped(case):
    assert_same(case.wrapped(case.x, training=False), case.narrow_outputs)
    assert_same(case.wrapped.predict(case.x, verbose=0), case.narrow_outputs)


def test_stripped_equals_wrapped_after_a_training_step(case):
    stripped = keras.models.clone_model(case.stripped)
    stripped.set_weights(case.stripped.get_weights())
    wrapped = keras_chex.wrap(case.plain)
    keras_chex.set_active(wrapped, case.active)
    for model in (wrapped, stripped):
        for layer in model._flatten_layers():
            if isinstance(layer, layers.Dropout):
                layer.rate = 0.0
    y = np.sin(as_array(case.narrow_outputs))
    losses = [
        checks.training_step(model, case.x, y, run_eagerly=True)
        for model in (wrapped, stripped)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=checks.TOLERANCE)
    trained = keras_chex.strip(wrapped).get_weights()
    moved = checks.largest_difference(
        case.stripped.get_weights(), stripped.get_weights()
    )
    assert moved > 1e-4
    assert_same(trained, stripped.get_weights())


def test_rolled_input_slices_of_every_consumer_are_seen(case):
    consumers = {c for g in case.groups for c in g.consumers}
    dense = {c for c in consumers if "dense" in c}
    assert len(dense) >= 6
    for right, expected in (
        (case.stripped, case.narrow_outputs),
        (case.permuted(), case.expected),
    ):
        for name in sorted(dense):
            weights = right.get_weights()
            checks.roll_input_slices(right.get_layer(name))
            wrong = right(case.x, training=False)
            right.set_weights(weights)
            assert checks.largest_difference(wrong, expected) > 1e-3, name


def test_wrapped_model_is_saved_narrow_and_loaded(case, tmp_path):
    path = tmp_path / "model.keras"
    case.wrapped.save(path)
    loaded = keras.models.load_model(path)
    assert_same(loaded(case.x, training=False), case.narrow_outputs)
    case.stripped.save(path)
    loaded = keras.models.load_model(path)
    assert_same(loaded(case.x, training=False), case.narrow_outputs)


def test_features_that_are_used_as_coordinates_stay():
    inputs = keras.Input((12, 3))
    moved = layers.Dense(3, name="moved")(inputs)
    chosen = FarthestPoints(4, name="sample")(moved)
    x = GatherNeighbours()(layers.Dense(8, name="feature")(inputs), chosen)
    outputs = layers.Dense(2, name="logits")(ops.max(x, axis=1))
    groups = keras_chex.channel_groups(keras.Model(inputs, outputs))
    frozen = {g.name: g.frozen for g in groups}
    assert frozen["moved"] == "'sample' measures distances"
    assert frozen["feature"] is None


def test_channels_before_the_points_stay():
    inputs = keras.Input((12, 3))
    x = layers.Permute((2, 1))(layers.Dense(8, name="feature")(inputs))
    chosen = FarthestPoints(4)(inputs)
    x = GatherNeighbours(name="gather")(x, chosen)
    outputs = layers.Dense(2, name="logits")(ops.max(x, axis=1))
    groups = keras_chex.channel_groups(keras.Model(inputs, outputs))
    frozen = {g.name: g.frozen for g in groups}
    assert frozen["feature"] == "'gather' works along another axis"


def test_channels_that_are_used_as_indices_stay():
    inputs = keras.Input((12, 3))
    places = layers.Dense(4, name="places")(ops.max(inputs, axis=1))
    places = ops.cast(ops.clip(places, 0, 11), "int32")
    x = layers.Dense(8, name="feature")(inputs)
    x = GatherNeighbours(name="gather")(x, places)
    outputs = layers.Dense(2, name="logits")(ops.max(x, axis=1))
    groups = keras_chex.channel_groups(keras.Model(inputs, outputs))
    frozen = {g.name: g.frozen for g in groups}
    assert frozen["places"] == "'gather' uses it as indices"
    assert frozen["feature"] is None
