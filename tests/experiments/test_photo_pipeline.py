"""Photographs: crops, mixtures, sources, the same batches after a restart."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from experiments.common import photo_pipeline
from experiments.common.photo_pipeline import PhotoBatches
from experiments.common.photographs import (
    ListedImages,
    Photos,
    RecordFiles,
    load_folder,
    load_photos,
    synthetic_photos,
)

ONE = tf.distribute.get_strategy()


def numbered_images(count, size=8):
    """PNG images whose pixels are all their number, which is their label."""
    images = [
        tf.io.encode_png(tf.fill([size, size, 3], tf.cast(n, tf.uint8))).numpy()
        for n in range(count)
    ]
    return ListedImages(images, list(range(count)), in_memory=True)


def record_files(directory, count, files):
    """`numbered_images` in TFRecord files; a record is number and image."""
    images = numbered_images(count)
    places = []
    for file, numbers in enumerate(np.array_split(range(count), files)):
        path = str(directory / f"part{file}.tfrecord")
        with tf.io.TFRecordWriter(path) as writer:
            for number in numbers:
                encoded, _ = images.read(int(number))
                writer.write(bytes([number]) + encoded.numpy())
        places.append((path, 0, -1))

    def read(record):
        label = tf.io.decode_raw(tf.strings.substr(record, 0, 1), tf.uint8)[0]
        return tf.strings.substr(record, 1, -1), tf.cast(label, tf.int32)

    return RecordFiles(places, count, read)


@pytest.fixture(params=["list", "records"])
def source(request, tmp_path):
    if request.param == "list":
        return numbered_images(12)
    return record_files(tmp_path, 12, files=3)


def batches(source, **options):
    options = {"image_size": 4, "batch_size": 4, "seed": 3, **options}
    return PhotoBatches(Photos("toy", 12, source, source), ONE, **options)


def take(dataset, count):
    return [
        [np.array(value) for value in values]
        for values in itertools.islice(dataset, count)
    ]


def labels_of(values):
    return [int(n) for v in values for n in v[1].argmax(axis=-1)]


def test_an_epoch_shows_every_image_once_with_its_label(source):
    values = take(batches(source).train(steps_per_epoch=3), 6)
    first, second = labels_of(values[:3]), labels_of(values[3:])
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    for images, labels in values:
        assert images.shape == (4, 4, 4, 3)
        np.testing.assert_allclose(
            images[:, 0, 0, 0], labels.argmax(-1), atol=1e-4
        )


@pytest.mark.parametrize("mixup", [0.0, 0.2])
def test_a_later_start_continues_the_same_batches(source, mixup):
    made = batches(source, mixup=mixup)
    whole = take(made.train(steps_per_epoch=2), 6)
    later = take(made.train(steps_per_epoch=2, first_epoch=2), 2)
    for expected, got in zip(whole[4:], later, strict=True):
        for one, other in zip(expected, got, strict=True):
            np.testing.assert_array_equal(one, other)


def test_crops_are_drawn_anew_in_every_epoch_and_again_after_a_restart():
    photos = synthetic_photos(4, 2, size=24)
    made = PhotoBatches(photos, ONE, image_size=8, batch_size=4, seed=1)
    first, second = take(made.train(1), 2)
    again = take(made.train(1, first_epoch=1), 1)[0]
    order = [np.argsort(values[1].argmax(-1)) for values in (first, second)]
    assert not np.allclose(first[0][order[0]], second[0][order[1]])
    np.testing.assert_array_equal(second[0], again[0])


def test_another_seed_gives_another_order(source):
    orders = [
        labels_of(take(batches(source, seed=seed).train(3), 3))
        for seed in (0, 1)
    ]
    assert orders[0] != orders[1]


def test_long_epochs_repeat_the_images(source):
    seen = labels_of(take(batches(source).train(steps_per_epoch=6), 6))
    assert sorted(seen) == sorted([*range(12), *range(12)])


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_share_the_images(source, workers):
    for make in (source.ordered, lambda *w: source.shuffled([0, 1], *w)):
        seen = [
            int(source.read(record)[1])
            for worker in range(workers)
            for record in make(worker, workers)
        ]
        assert sorted(seen) == list(range(12))


def test_workers_get_their_own_files_where_there_are_many(tmp_path):
    source = record_files(tmp_path, 40, files=33)
    seen = [
        [int(source.read(r)[1]) for r in source.shuffled([0, 1], worker, 2)]
        for worker in (0, 1)
    ]
    assert sorted(seen[0] + seen[1]) == list(range(40))
    assert not set(seen[0]) & set(seen[1])
    # An evaluation has equal parts, of which none is cut off.
    for worker in (0, 1):
        assert len(list(source.ordered(worker, 2))) == 20


def test_evaluation_shows_everything_and_fills_up_with_weight_zero(source):
    made = batches(source, batch_size=5)
    assert made.evaluation_steps == 3
    values = take(made.evaluation(), 3)
    weights = np.concatenate([weight for _, _, weight in values])
    labels = np.concatenate([label for _, label, _ in values]).argmax(-1)
    np.testing.assert_array_equal(weights, [1] * 12 + [0] * 3)
    np.testing.assert_array_equal(labels[:12], range(12))
    assert made.evaluation_examples(2).shape == (2, 4, 4, 3)


def test_batch_must_be_a_multiple_of_the_replicas():
    class Three:
        num_replicas_in_sync = 3

    with pytest.raises(ValueError, match="Received: batch_size=8 for 3"):
        PhotoBatches(None, Three(), image_size=4, batch_size=8)


def test_random_windows_fit_and_have_area_and_aspect_as_asked():
    height, width = 300, 400

    @tf.function
    def draw(number):
        key = tf.stack([0, number])
        return photo_pipeline.random_window(height, width, key)

    windows = np.array([draw(number) for number in tf.range(300)])
    top, left, h, w = windows.T
    assert (top >= 0).all() and (top + h <= height).all()
    assert (left >= 0).all() and (left + w <= width).all()
    aspect = w / h
    assert aspect.min() > 0.73 and aspect.max() < 1.37
    area = h * w / (height * width)
    assert 0.07 < area.min() < 0.12 and 0.8 < area.max() <= 1.0
    # Uniform between 0.08 and 1, but for those that do not fit.
    assert 0.4 < area.mean() < 0.55
    assert len({tuple(window) for window in windows}) > 290


@pytest.mark.parametrize(
    "shape, expected",
    [((5, 5001), (0, 2497, 5, 7)), ((5001, 5), (2497, 0, 7, 5))],
)
def test_window_of_a_very_long_image_lies_in_the_middle(shape, expected):
    window = photo_pipeline.random_window(*shape, [0, 5])
    np.testing.assert_array_equal(window, expected)


def test_one_pixel_has_a_window():
    for window in (
        photo_pipeline.random_window(1, 1, [0, 0]),
        photo_pipeline.centre_window(1, 1),
    ):
        np.testing.assert_array_equal(window, [0, 0, 1, 1])


def test_centre_is_that_of_resizing_to_256_and_cutting_out_224():
    window = photo_pipeline.centre_window(512, 1024)
    np.testing.assert_array_equal(window, [32, 288, 448, 448])
    pixels = np.tile(np.arange(64, dtype="uint8")[:, None, None], (1, 96, 3))
    encoded = tf.io.encode_png(pixels)
    image = photo_pipeline.centre_photo(encoded, 56).numpy()
    # 56 of 64 rows: without resizing, the middle ones.
    np.testing.assert_allclose(image[:, 0, 0], np.arange(4, 60), atol=1e-4)


def test_only_a_part_of_a_jpeg_is_decoded_and_it_is_the_right_one():
    rows = np.repeat(np.linspace(0, 255, 64)[:, None, None], 64, axis=1)
    pixels = np.repeat(rows, 3, axis=2).astype("uint8")
    jpeg = tf.io.encode_jpeg(pixels, quality=100)
    png = tf.io.encode_png(pixels)

    def window(height, width):
        return tf.stack([16, 8, 32, 40])

    cut = photo_pipeline.decode_window(jpeg, window, 32).numpy()
    same = photo_pipeline.decode_window(png, window, 32).numpy()
    assert cut.shape == (32, 32, 3)
    np.testing.assert_allclose(cut, same, atol=4)
    np.testing.assert_allclose(same[:, 0, 0], pixels[16:48, 0, 0], atol=1)


def test_half_of_the_images_are_mirrored():
    pixels = np.zeros((8, 8, 3), "uint8")
    pixels[:, :4] = 255
    encoded = tf.io.encode_png(pixels)
    sides = [
        photo_pipeline.random_photo(encoded, 8, [0, n]).numpy()[0, :, 0]
        for n in range(40)
    ]
    # A crop may lie in one half.
    left = sum(row[0] > row[-1] for row in sides)
    right = sum(row[0] < row[-1] for row in sides)
    assert left >= 8 and right >= 8


def test_mixtures_add_up():
    images = np.random.default_rng(0).uniform(0, 255, (6, 2, 2, 3))
    images = images.astype("float32")
    labels = np.eye(6, dtype="float32")
    mixed, shares = photo_pipeline.mix(images, labels, 0.2, [1, 2])
    shares = shares.numpy()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-6)
    assert ((shares > 0) | (shares == 0)).all()
    np.testing.assert_allclose(
        mixed, np.tensordot(shares, images, axes=1), atol=1e-3
    )
    assert (np.count_nonzero(shares, axis=1) <= 2).all()


def test_shares_of_mixtures_are_beta_distributed():
    labels = np.tile(np.eye(2, dtype="float32"), (5000, 1))
    images = np.zeros((10_000, 1, 1, 3), "float32")
    share = photo_pipeline.mix(images, labels, 0.2, [1, 2])[1].numpy().max(-1)
    # Variance of Beta(a, a): 1 / (4 * (2 * a + 1)).
    assert np.mean((share - 0.5) ** 2) == pytest.approx(0.1786, abs=0.005)


def test_folder_of_images(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for label, name in enumerate(["cat", "dog"]):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = tf.fill([9, 7, 3], tf.cast(100 * label, tf.uint8))
                tf.io.write_file(
                    str(folder / f"{number}.JPG"), tf.io.encode_jpeg(pixels)
                )
            (folder / "notes.txt").write_text("no image")
    photos = load_folder(tmp_path)
    assert (photos.classes, photos.train.count) == (2, 6)
    assert photos.evaluation.count == 4
    made = PhotoBatches(photos, ONE, image_size=4, batch_size=6)
    ((images, labels),) = take(made.train(1), 1)
    np.testing.assert_allclose(
        images[:, 0, 0, 0], 100 * labels.argmax(-1), atol=2
    )
    few = load_folder(tmp_path, train_examples=4, eval_examples=1)
    assert (few.train.count, few.evaluation.count) == (4, 1)


def test_folder_without_what_is_needed_is_refused(tmp_path):
    with pytest.raises(ValueError, match="must hold `train` and one of"):
        load_folder(tmp_path)
    for split, name in (("train", "cat"), ("val", "dog")):
        (tmp_path / split / name).mkdir(parents=True)
    with pytest.raises(ValueError, match="train, which has no images"):
        load_folder(tmp_path)
    for split, name in (("train", "cat"), ("val", "dog")):
        (tmp_path / split / name / "1.jpg").touch()
    with pytest.raises(ValueError, match=r"which has classes \['dog'\]"):
        load_folder(tmp_path)


def test_limit_of_a_list_is_drawn_over_all_of_it():
    source = numbered_images(20).first(5)
    labels = [int(source.read(record)[1]) for record in source.ordered()]
    assert labels == sorted(labels) and max(labels) > 5
    again = numbered_images(20).first(5)
    assert labels == [int(again.read(r)[1]) for r in again.ordered()]


def test_synthetic_images_can_be_told_apart():
    photos = load_photos("synthetic", train_examples=20, eval_examples=10)
    assert (photos.train.count, photos.evaluation.count) == (20, 10)
    made = PhotoBatches(photos, ONE, image_size=16, batch_size=10)
    images, labels, _ = next(iter(made.evaluation()))
    colours = keras.ops.convert_to_numpy(images).mean(axis=(1, 2))
    assert np.ptp(colours, axis=0).min() > 50
    assert sorted(labels.numpy().argmax(-1)) == list(range(10))
