"""PointNet and PointNet++: shapes, costs, what they do not depend on."""

import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from experiments.common import point_models


def small_pointnet2(points=12):
    groupings = (
        point_models.Grouping(6, 1.5, 4, (5, 7)),
        point_models.Grouping(3, 3.0, 2, (8,)),
        point_models.Grouping(0, 0.0, 0, (9, 10)),
    )
    return point_models.pointnet2(points, 4, groupings, (11,))


def clouds(batch=2, points=12):
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, points, 3)).astype("float32")


def test_multiply_adds_are_those_counted_by_hand():
    # Centres x neighbours x weights of the shared layers, level by level; a
    # level reads three coordinates beside the features of the one before.
    first = 6 * 4 * (3 * 5 + 5 * 7)
    second = 3 * 2 * ((3 + 7) * 8)
    third = 3 * ((3 + 8) * 9 + 9 * 10)
    head = 10 * 11 + 11 * 4
    total = first + second + third + head
    assert keras_chex.flops(small_pointnet2()) == total == 2401


def test_narrow_levels_cost_what_is_counted_by_hand():
    model = keras_chex.wrap(small_pointnet2())
    active = {"level1_dense2": [0, 3], "level2_dense1": range(4)}
    keras_chex.set_active(model, active)
    first = 6 * 4 * (3 * 5 + 5 * 2)
    second = 3 * 2 * ((3 + 2) * 4)
    third = 3 * ((3 + 4) * 9 + 9 * 10)
    expected = first + second + third + 10 * 11 + 11 * 4
    assert keras_chex.flops(model) == expected
    assert keras_chex.flops(keras_chex.strip(model)) == expected


def test_published_network_has_its_published_size():
    model = point_models.pointnet2(1024, 40)
    kernels = {
        layer.name: tuple(layer.kernel.shape)
        for layer in model.layers
        if isinstance(layer, layers.Dense)
    }
    assert list(kernels.values()) == [
        (3, 64), (64, 64), (64, 128),
        (131, 128), (128, 128), (128, 256),
        (259, 256), (256, 512), (512, 1024),
        (1024, 512), (512, 256), (256, 40),
    ]  # fmt: skip
    assert model.output_shape == (None, 40)


def test_level_with_one_region_sees_all_points():
    model = small_pointnet2()
    x = clouds()
    before = ops.convert_to_numpy(model(x))
    for point in range(x.shape[1]):
        moved = x.copy()
        moved[0, point] += 5.0
        after = ops.convert_to_numpy(model(moved))
        assert np.abs(after[0] - before[0]).max() > 1e-4
        np.testing.assert_allclose(after[1], before[1], atol=1e-6)


def test_pointnet_does_not_depend_on_the_order_of_points():
    model = point_models.pointnet(12, 4, (5, 6), (7,), (4, 6))
    x = clouds()
    order = np.random.default_rng(1).permutation(12)
    np.testing.assert_allclose(model(x[:, order]), model(x), atol=1e-5)


def test_transform_of_pointnet_begins_as_the_identity():
    model = point_models.pointnet(12, 4, (5, 6), (7,), (4, 6))
    without = point_models.pointnet(12, 4, (5, 6), (7,), ())
    for layer in without.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    np.testing.assert_allclose(model(clouds()), without(clouds()), atol=1e-6)
    assert "transform_values" not in {layer.name for layer in without.layers}


@pytest.mark.parametrize(
    "values, match",
    [
        (([8], [1, 2], [4, 4]), r"Argument `centres`.*Received: centres=\[8\]"),
        (([8, 4], ["1", "x"], [4, 4]), r"Argument `radii`.*\['1', 'x'\]"),
        (([8, 4], [1, 0], [4, 4]), "Argument `radii` must have 2 positive"),
        (([8, 4], [1, 2], [4, "2.5"]), "Argument `neighbours`"),
    ],
)
def test_levels_need_a_positive_number_each(values, match):
    with pytest.raises(ValueError, match=match):
        point_models.make_groupings(*values)


def test_default_levels_are_those_of_modelnet():
    made = point_models.make_groupings(("512", "128"), (0.2, 0.4), (32, 64))
    assert made == point_models.MODELNET
