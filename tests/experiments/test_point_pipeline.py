"""Batches of clouds: which points, how changed, the same after a restart."""

import numpy as np
import pytest
import tensorflow as tf

from experiments.common import point_pipeline
from experiments.common.point_files import Clouds, PointSet, synthetic_points
from experiments.common.point_pipeline import Augmentation, PointBatches

STILL = Augmentation(rotate=0.0, scale=1.0, shift=0.0, jitter=0.0)


def take(dataset, count):
    return [
        tuple(part.numpy() for part in batch) for batch in dataset.take(count)
    ]


def numbered(*sizes):
    """Clouds in which a coordinate tells cloud and point."""
    arrays = [
        np.stack([np.full(n, i), np.arange(n), np.zeros(n)], axis=1)
        for i, n in enumerate(sizes)
    ]
    clouds = Clouds.of(arrays, np.arange(len(sizes)) % 2)
    return PointSet("numbered", ("even", "odd"), clouds, clouds)


def test_points_of_large_clouds_are_chosen_without_repetition():
    batches = PointBatches(numbered(20, 9, 50, 10), 9, 2, STILL)
    seen = set()
    for x, y, _ in take(batches.train(), 20):
        for cloud, shares in zip(x, y, strict=True):
            assert len(np.unique(cloud[:, 0])) == 1
            assert shares.argmax() == cloud[0, 0] % 2
            assert len(np.unique(cloud[:, 1])) == 9
            seen |= {tuple(p[:2]) for p in cloud}
    # Ten epochs have seen most points of the largest cloud, of 50, too.
    assert len(seen) > 20 + 9 + 30 + 10


def test_points_of_small_clouds_are_repeated_equally():
    batches = PointBatches(numbered(3, 4), 10, 2, STILL)
    for x, _ in take(batches.evaluation(), 1):
        for cloud, size in zip(x, (3, 4), strict=True):
            counts = np.bincount(cloud[:, 1].astype(int))
            assert len(counts) == size
            assert np.ptp(counts) <= 1


def test_batches_after_a_restart_are_those_of_one_run():
    batches = PointBatches(synthetic_points(24, 8), 16, 8, seed=3)
    assert batches.steps == 3
    whole = take(batches.train(), 9)
    later = take(batches.train(first_epoch=2), 3)
    for one, other in zip(whole[6:], later, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (whole[0][0] != whole[3][0]).any()


def test_evaluation_depends_on_the_draw_alone():
    task = synthetic_points(24, 10)
    first = take(PointBatches(task, 16, 4, seed=0).evaluation(), 9)
    again = take(PointBatches(task, 16, 5, seed=1).evaluation(), 9)
    x, y = (np.concatenate(part) for part in zip(*first, strict=True))
    np.testing.assert_array_equal(
        x, np.concatenate([batch[0] for batch in again])
    )
    np.testing.assert_array_equal(y.argmax(axis=-1), task.test.labels)
    (other, _), *_ = take(PointBatches(task, 16, 10).evaluation(1, 2), 1)
    assert (np.abs(other - x) > 0.01).any()


def test_draws_turn_within_what_training_turns_by():
    task = numbered(5)
    changes = Augmentation(rotate=90.0)
    angles = []
    for draw in range(4):
        batches = PointBatches(task, 5, 1, changes)
        ((x, _),) = take(batches.evaluation(draw, 4), 1)
        farthest = x[0][np.linalg.norm(x[0], axis=1).argmax()]
        angles.append(np.degrees(np.arctan2(farthest[1], farthest[0])) - 90)
    np.testing.assert_allclose(angles, [0, 45, -90, -45], atol=1e-4)


@pytest.mark.parametrize("vertical", [0, 1, 2])
def test_clouds_turn_about_the_vertical(vertical):
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    angles = tf.constant([np.pi / 2, 0.3], tf.float32)
    turned = point_pipeline.rotated(x, angles, vertical).numpy()
    np.testing.assert_array_equal(turned[..., vertical], x[..., vertical])
    np.testing.assert_allclose(
        np.linalg.norm(turned, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5
    )
    first, second = (vertical + 1) % 3, (vertical + 2) % 3
    np.testing.assert_allclose(turned[0, :, second], x[0, :, first], atol=1e-6)
    np.testing.assert_allclose(turned[0, :, first], -x[0, :, second], atol=1e-6)


def change(**values):
    changes = Augmentation(**{**vars(STILL), **values})
    x = np.random.default_rng(0).normal(size=(64, 6, 3)).astype("float32")
    key = tf.constant([1, 2])
    return x, point_pipeline.augmented(tf.constant(x), changes, 2, key).numpy()


def test_nothing_changes_without_augmentation():
    x, changed = change()
    np.testing.assert_allclose(changed, x, atol=1e-6)


def test_scale_lies_between_factor_and_inverse():
    x, changed = change(scale=1.5)
    factors = (changed / x).reshape(64, -1)
    np.testing.assert_allclose(np.ptp(factors, axis=1), 0, atol=1e-4)
    assert 1 / 1.5 - 1e-4 < factors.min() < 0.75
    assert 1.3 < factors.max() < 1.5 + 1e-4


def test_shift_is_one_for_a_cloud():
    x, changed = change(shift=0.2)
    shifts = changed - x
    np.testing.assert_allclose(np.ptp(shifts, axis=1), 0, atol=1e-5)
    assert 0.15 < np.abs(shifts).max() <= 0.2 + 1e-5


def test_jitter_has_its_deviation():
    x, changed = change(jitter=0.1)
    assert (changed - x).std() == pytest.approx(0.1, rel=0.1)


def test_every_second_cloud_is_mirrored():
    x, changed = change(mirror=True)
    np.testing.assert_allclose(np.abs(changed), np.abs(x), atol=1e-6)
    np.testing.assert_allclose(changed[..., 1:], x[..., 1:], atol=1e-6)
    mirrored = (changed[..., 0] * x[..., 0] < 0).mean(axis=1)
    assert set(mirrored) == {0.0, 1.0}
    assert 0.3 < mirrored.mean() < 0.7


def test_turns_stay_within_their_limit():
    x, changed = change(rotate=30.0)
    before, after = (np.arctan2(a[..., 1], a[..., 0]) for a in (x, changed))
    turns = np.degrees((after - before + np.pi) % (2 * np.pi) - np.pi)
    np.testing.assert_allclose(np.ptp(turns, axis=1), 0, atol=1e-2)
    assert 25 < np.abs(turns).max() < 30.001


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_weights_of_classes_average_to_one(balance):
    labels = np.array([0] * 8 + [2] * 2)
    weights = point_pipeline.class_weights(labels, balance)
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[1] == 0
    assert weights[2] / weights[0] == pytest.approx(4**balance)


def test_a_batch_is_not_larger_than_the_set():
    batches = PointBatches(numbered(5, 5), 4, 3)
    with pytest.raises(ValueError, match="Received: batch_size=3 for 2"):
        batches.train()
