"""RoIAlign against a reference written for clarity, and its channel rule."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_chex
from experiments.common import mask_roi
from experiments.common.mask_roi import RoIAlign
from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model
from tests import checks
from tests.experiments.test_mask_boxes import random_boxes

STRIDES = (4, 8, 16, 32)


def pyramid(size=(64, 128), channels=3, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return [
        rng.normal(size=(batch, size[0] // s, size[1] // s, channels)).astype(
            "float32"
        )
        for s in STRIDES
    ]


def interpolated(feature, y, x):
    """Value between the centres of four pixels; the outermost go on."""
    y = np.clip(y, 0, feature.shape[0] - 1)
    x = np.clip(x, 0, feature.shape[1] - 1)
    top, left = int(np.floor(y)), int(np.floor(x))
    bottom = min(top + 1, feature.shape[0] - 1)
    right = min(left + 1, feature.shape[1] - 1)
    above = (1 - x + left) * feature[top, left] + (x - left) * feature[
        top, right
    ]
    below = (1 - x + left) * feature[bottom, left] + (x - left) * feature[
        bottom, right
    ]
    return (1 - y + top) * above + (y - top) * below


def level_of(box):
    area = (box[2] - box[0]) * (box[3] - box[1])
    level = np.floor(4 + np.log2(np.sqrt(area) / 224))
    return int(np.clip(level, 2, 5)) - 2


def reference(box, features, size, samples):
    stride, feature = STRIDES[level_of(box)], features[level_of(box)]
    left, top, right, bottom = box / stride
    cell_h, cell_w = (bottom - top) / size, (right - left) / size
    result = np.zeros((size, size, feature.shape[-1]))
    for row in range(size):
        for column in range(size):
            for down in range(samples):
                for across in range(samples):
                    y = top + cell_h * (row + (down + 0.5) / samples)
                    x = left + cell_w * (column + (across + 0.5) / samples)
                    # The centre of the first pixel is at 0.5.
                    result[row, column] += interpolated(
                        feature, y - 0.5, x - 0.5
                    )
    return result / samples**2


@pytest.mark.parametrize("size, samples", [(7, 2), (2, 1), (3, 3)])
def test_features_are_those_of_the_reference(size, samples):
    canvas = (256, 512)
    features = pyramid(canvas)
    boxes = np.stack([random_boxes(20, canvas, seed=s) for s in (3, 4)])
    boxes = boxes.clip(0, [512, 256, 512, 256]).astype("float32")
    boxes[:, 0] = [0, 0, 512, 256]
    boxes[:, 1] = [0, 0, 9, 9]
    assert {level_of(box) for box in boxes.reshape(-1, 4)} >= {0, 1, 2}
    found = np.array(RoIAlign(size, STRIDES, samples)(boxes, features))
    for example in range(2):
        for place, box in enumerate(boxes[example]):
            expected = reference(
                box, [f[example] for f in features], size, samples
            )
            np.testing.assert_allclose(
                found[example, place], expected, atol=1e-4
            )


def test_boxes_of_all_levels_are_found():
    boxes = np.array([[0, 0, s, s] for s in (50, 112, 224, 448, 2000)])
    levels = mask_roi.levels_of(ops.cast(boxes, "float32"), STRIDES)
    assert np.array(levels).tolist() == [0, 1, 2, 3, 3]


def test_boxes_are_cut_at_the_edges():
    features = pyramid()
    layer = RoIAlign(4, STRIDES)
    outside = np.array([[[-30.0, -5, 20, 900]]] * 2, "float32")
    inside = np.array([[[0.0, 0, 20, 64]]] * 2, "float32")
    np.testing.assert_array_equal(
        layer(outside, features), layer(inside, features)
    )


def test_gradients_reach_features_and_no_boxes():
    features = [tf.constant(f) for f in pyramid()]
    boxes = tf.constant(np.stack([random_boxes(6)] * 2))
    with tf.GradientTape() as tape:
        tape.watch([boxes, *features])
        total = tf.reduce_sum(RoIAlign(7, STRIDES)(boxes, features))
    to_boxes, *to_features = tape.gradient(total, [boxes, *features])
    assert to_boxes is None
    # Each of 6 x 49 cells is a mean of the three channels of some features.
    total = sum(float(tf.reduce_sum(g)) for g in to_features if g is not None)
    assert total == pytest.approx(2 * 6 * 49 * 3, rel=1e-4)


def test_number_of_levels_must_be_that_of_strides():
    with pytest.raises(ValueError, match="Received: 4 feature maps for stride"):
        RoIAlign(7, (4, 8))(np.zeros((2, 1, 4), "float32"), pyramid())


def test_layer_knows_its_shape_and_is_made_anew_from_its_config():
    boxes, x = keras.Input((None, 4)), keras.Input((16, 16, 5))
    layer = RoIAlign(7, [4], samples=3, name="roi")
    assert layer(boxes, [x]).shape == (None, None, 7, 7, 5)
    again = RoIAlign.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


# Channel rule


def build():
    images = keras.Input((32, 32, 3))
    boxes = keras.Input((4, 4))
    fine = layers.Conv2D(6, 3, 4, padding="same", name="fine")(images)
    coarse = layers.Conv2D(6, 3, 8, padding="same", name="coarse")(images)
    x = RoIAlign(3, (4, 8), name="roi")(boxes, [fine, coarse])
    x = layers.Conv3D(5, (1, 3, 3), activation="relu", name="head")(x)
    return keras.Model([images, boxes], layers.Conv3D(2, 1, name="logits")(x))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build()


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 32, 32, 3)).astype("float32")
    return [images, np.stack([random_boxes(4, (32, 32), s) for s in (1, 2)])]


def test_levels_lose_the_same_channels(model):
    groups = {g.name: g for g in keras_chex.channel_groups(model)}
    (features,) = [g for g in groups.values() if "coarse" in g.producers]
    assert set(features.producers) == {"fine", "coarse"}
    assert features.frozen is None and features.size == 6
    assert features.consumers == ("head",)


def test_permuted_channels_compute_the_same(model, inputs):
    graph = read_channels(model)
    rng = np.random.default_rng(1)
    order = {
        g.name: rng.permutation(g.size)
        for g in graph.groups
        if g.frozen is None
    }
    permuted = narrow_model(model, Selection(graph, order))
    expected = model(inputs)
    assert checks.largest_difference(permuted(inputs), expected) < 1e-5
    weights = permuted.get_weights()
    checks.roll_input_slices(permuted.get_layer("head"))
    assert checks.largest_difference(permuted(inputs), expected) > 1e-2
    permuted.set_weights(weights)


def test_removed_channels_are_those_that_were_zero(model, inputs):
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for name in ("fine", "coarse"):
        kernel, bias = copy.get_layer(name).get_weights()
        kernel[..., [1, 4]], bias[[1, 4]] = 0, 0
        copy.get_layer(name).set_weights([kernel, bias])
    smaller = keras_chex.remove_channels(model, {"fine": [1, 4]})
    assert smaller.get_layer("coarse").filters == 4
    difference = checks.largest_difference(smaller(inputs), copy(inputs))
    assert difference < 1e-5


def test_channels_that_become_boxes_stay():
    images = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, 4, padding="same", name="place")(images)
    boxes = layers.Reshape((-1, 4))(x)
    x = layers.Conv2D(6, 3, 4, padding="same", name="feature")(images)
    x = RoIAlign(3, (4,), name="roi")(boxes, [x])
    outputs = layers.Conv3D(2, 1, name="logits")(x)
    groups = keras_chex.channel_groups(keras.Model(images, outputs))
    frozen = {g.name: g.frozen for g in groups}
    assert frozen["place"] is not None
    assert frozen["feature"] is None
