"""Mask R-CNN: wrapped, trained, saved, stripped, taken apart."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_chex
from experiments.common import imagenet_models, mask_files, mask_recipe
from experiments.common.mask_model import LOSSES, MaskRCNN
from experiments.common.mask_pipeline import CELLS
from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model
from tests import checks

pytest.importorskip("keras_hub")

KEPT = {
    "rpn/rpn_score",
    "rpn/rpn_place",
    "box_head/class_conv",
    "box_head/box_conv",
    "mask_head/mask_logits",
}
RAW = ("rpn_logits", "rpn_deltas")
# One of the layers that make what the heads see.
SHARED = "features/fpn_smooth2"


def build(backbone="resnet18"):
    return MaskRCNN(
        ("64", "64"),
        classes=2,
        backbone=backbone,
        width=8,
        channels=12,
        dense=16,
        anchor_size=4.0,
        proposals=10,
        detections=6,
        sampled=12,
        sampled_anchors=16,
    )


def batch():
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    boxes = np.zeros((2, 3, 4), "float32")
    boxes[:, 0], boxes[:, 1] = [4, 6, 30, 44], [30, 10, 60, 30]
    labels = np.array([[1, 0, -1], [0, -1, -1]], "int32")
    masks = np.full((2, 3, CELLS, CELLS), 255, "uint8")
    return pictures, {"boxes": boxes, "labels": labels, "masks": masks}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = build()
    # Predictions that differ from place to place.
    for name in ("rpn", "box_head", "mask_head"):
        checks.randomize(model.get_layer(name))
    return model


@pytest.fixture(scope="module")
def wrapped(model):
    wrapped = keras_chex.wrap(model)
    groups = keras_chex.channel_groups(wrapped)
    keras_chex.set_active(wrapped, checks.random_active(groups))
    return wrapped


@pytest.fixture(scope="module")
def stripped(wrapped):
    return keras_chex.strip(wrapped)


@pytest.fixture(scope="module")
def pictures():
    return batch()[0]


def assert_same(outputs, expected, names=None):
    for name in names or expected:
        gap = checks.largest_difference(outputs[name], expected[name])
        assert gap <= checks.TOLERANCE, name


def test_everything_but_the_answers_can_shrink(model):
    groups = keras_chex.channel_groups(model)
    assert {g.name for g in groups if g.frozen} == KEPT
    by_producer = {p: g for g in groups for p in g.producers}
    for kind in ("lateral", "smooth"):
        found = {
            by_producer[f"features/fpn_{kind}{n}"].name for n in (2, 3, 4, 5)
        }
        assert len(found) == 1
    (shared,) = [g for g in groups if SHARED in g.producers]
    assert {"rpn/rpn_conv", "box_head/box_dense1", "mask_head/mask_conv1"} <= (
        set(shared.consumers)
    )


def test_regions_count_in_the_flops(model):
    costs = {c.name: c.flops for c in keras_chex.summary(model).layers}
    assert costs["box_head/box_dense1"] == 10 * 49 * 12 * 16
    assert costs["mask_head/mask_conv1"] == 6 * 14 * 14 * 9 * 12 * 12


def test_permuted_channels_compute_the_same(model, pictures):
    graph = read_channels(model)
    rng = np.random.default_rng(1)
    order = {
        g.name: rng.permutation(g.size)
        for g in graph.groups
        if g.frozen is None
    }
    (features,) = [g for g in graph.groups if SHARED in g.producers]
    permuted = narrow_model(model, Selection(graph, order))
    expected = model(pictures, training=False)
    assert_same(permuted(pictures, training=False), expected, RAW)
    heads = zip(
        mask_files.parts(permuted)[1:], mask_files.parts(model)[1:], strict=True
    )
    for head, other in heads:
        # What comes in is permuted too.
        x = rng.normal(size=(2, *other.input_shape[1:])).astype("float32")
        found = head(x[..., order[features.name]], training=False)
        expected_of_head = other(x, training=False)
        assert checks.largest_difference(found, expected_of_head) < 1e-5
    checks.roll_input_slices(permuted.get_layer("fpn_lateral3"))
    wrong = permuted(pictures, training=False)
    gap = checks.largest_difference(wrong["rpn_logits"], expected["rpn_logits"])
    assert gap > 1e-3


def test_stripped_equals_wrapped_and_is_smaller(wrapped, stripped, pictures):
    expected = wrapped(pictures, training=False)
    assert_same(stripped(pictures, training=False), expected)
    assert (np.array(expected["scores"]) > 0).any()
    assert keras_chex.flops(stripped) == keras_chex.flops(wrapped)
    assert type(stripped).__name__ == "Functional"


def test_wrapped_model_is_saved_narrow_and_loaded(wrapped, pictures, tmp_path):
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, MaskRCNN)
    expected = wrapped(pictures, training=False)
    assert_same(loaded(pictures, training=False), expected)


def test_parts_compute_what_the_whole_computes(stripped, pictures):
    expected = stripped(pictures, training=False)
    backbone, box_head, mask_head = mask_files.parts(stripped)
    *levels, logits, deltas = backbone(pictures, training=False)
    assert_same({"rpn_logits": logits, "rpn_deltas": deltas}, expected, RAW)
    propose, detect = map(stripped.get_layer, ("propose", "detect"))
    proposals = propose(logits, deltas)
    found = box_head(stripped.get_layer("box_roi")(proposals, levels))
    for name, values in zip(("class_logits", "box_deltas"), found, strict=True):
        assert_same({name: values}, expected, [name])
    boxes, _, labels = detect(proposals, *found)
    masks = mask_head(stripped.get_layer("mask_roi")(boxes, levels))
    masks = stripped.get_layer("mask_of_label")(masks, labels)
    assert_same({"mask_logits": masks}, expected, ["mask_logits"])


def test_wrapped_model_has_the_losses_of_the_plain_one(model):
    wrapped = keras_chex.wrap(model)
    expected = model.compute_losses(*batch(), False, 3)
    found = wrapped.compute_losses(*batch(), False, 3)
    assert tuple(found) == LOSSES
    for name, value in expected.items():
        assert float(value) > 0, name
        assert float(found[name]) == pytest.approx(float(value), rel=1e-4)


def test_every_trainable_weight_gets_a_gradient(model):
    with tf.GradientTape() as tape:
        total = sum(model.compute_losses(*batch(), True, 0).values())
    gradients = tape.gradient(total, model.trainable_variables)
    assert all(gradient is not None for gradient in gradients)
    reached = [float(tf.reduce_max(tf.abs(g))) > 0 for g in gradients]
    missed = [
        v.path
        for v, is_reached in zip(
            model.trainable_variables, reached, strict=True
        )
        if not is_reached
    ]
    # Small boxes are looked at in the finest level alone.
    assert sum(reached) > 0.9 * len(reached), missed


def test_samples_depend_on_the_step_alone(model):
    first, again, other = (
        model._noise(step, 0, (2, 5)).numpy() for step in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_steps_train_the_wrapped_model(model):
    wrapped = keras_chex.wrap(model)
    recipe = mask_recipe.MaskRecipe(epochs=2, batch_size=2, base_lr=0.01)
    mask_recipe.compile_model(wrapped, recipe, 10)
    wrapped.run_eagerly = True
    dataset = tf.data.Dataset.from_tensors(batch())
    before = wrapped.get_weights()
    # The rate rises from zero: the first step changes nothing.
    history = wrapped.fit(dataset, epochs=2, shuffle=False, verbose=0).history
    assert {f"{name}_loss" for name in LOSSES} | {"loss"} == set(history)
    assert checks.largest_difference(before, wrapped.get_weights()) > 0
    parts = sum(history[f"{name}_loss"][0] for name in LOSSES)
    assert history["loss"][0] == pytest.approx(parts, rel=1e-5)


def test_backbone_begins_with_the_weights_of_a_classifier(model):
    classifier = imagenet_models.imagenet_resnet(
        18, (64, 64, 3), 10, (8, 16, 32, 64)
    )
    fresh = build()
    fresh.load_backbone(classifier)
    for name in ("stem_conv", "stage4_block2_bn2"):
        found = fresh.features.get_layer(name).get_weights()
        expected = classifier.get_layer(name).get_weights()
        assert checks.largest_difference(found, expected) == 0
    wider = imagenet_models.imagenet_resnet(
        18, (64, 64, 3), 10, (9, 16, 32, 64)
    )
    match = "must have the layers of this one. Received: .* for 'stem_conv'"
    with pytest.raises(ValueError, match=match):
        fresh.load_backbone(wider)


def test_unknown_backbone_is_refused():
    with pytest.raises(ValueError, match="Received: backbone='vgg'"):
        build("vgg")
