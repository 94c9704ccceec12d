"""Batches of photographs: crops, flips, mixtures, for one or many workers.

What an image looks like depends on seed, epoch and its place in the epoch, so
that an interrupted run goes on with the batches it would have seen. Only the
part of a JPEG that is needed gets decoded.
"""

import dataclasses
import math

import tensorflow as tf

# Evaluation looks at the middle of an image whose shorter side is this much
# longer than the crop: 256 pixels for a crop of 224.
EVALUATION_MARGIN = 256 / 224
# Random crops: share of the image's area, and width over height.
AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
ATTEMPTS = 10
# Stands where the epoch stands in the keys of images.
MIXTURES = -1


@dataclasses.dataclass(frozen=True)
class PhotoBatches:
    """Makes the batches of a run, as many on each worker as it takes part in.

    Attributes:
        photos: `Photos`.
        strategy: a `tf.distribute.Strategy`.
        image_size: int, height and width of the images.
        batch_size: int, images in a batch of all workers together.
        seed: int.
        mixup: float, parameter of the Beta distribution; 0 mixes nothing.
        deterministic: bool; without it, images come in the order in which
            they get ready.

    Raises:
        ValueError: If the batch cannot be divided by the number of replicas.
    """

    photos: object
    strategy: object
    image_size: int
    batch_size: int
    seed: int = 0
    mixup: float = 0.0
    deterministic: bool = True

    def __post_init__(self):
        replicas = self.strategy.num_replicas_in_sync
        if self.batch_size < 1 or self.batch_size % replicas:
            raise ValueError(
                "Argument `batch_size` must be a multiple of the number of "
                f"replicas. Received: batch_size={self.batch_size} for "
                f"{replicas} replicas"
            )

    @property
    def evaluation_steps(self):
        """Batches of an evaluation."""
        return math.ceil(self.photos.evaluation.count / self.batch_size)

    def train(self, steps_per_epoch, first_epoch=0):
        """Endless training batches.

        Args:
            steps_per_epoch: int. If these are more than one pass over the
                images takes, the pass is repeated.
            first_epoch: int, the epoch in which they begin.

        Returns:
            A dataset of `(images, labels)`: float32 pixels from 0 to 255, and
            shares of the classes.
        """
        return self._distribute(
            lambda part: self._train_part(part, steps_per_epoch, first_epoch)
        )

    def evaluation(self):
        """All images for the evaluation, again and again.

        It is endless because Keras, under a strategy, looks at one more batch
        before every evaluation.

        Returns:
            A dataset of `(images, labels, weights)`. `evaluation_steps` batches
            are one evaluation; the last one is filled with black images of
            weight 0.
        """
        return self._distribute(self._evaluation_part)

    def evaluation_examples(self, count):
        """The first images of the evaluation, an array."""
        records = self.photos.evaluation.ordered().take(count)
        pixels = records.map(lambda record: self._evaluation_image(record)[0])
        return next(iter(pixels.batch(count))).numpy()

    def _distribute(self, make):
        replicas = self.strategy.num_replicas_in_sync

        def make_part(context):
            workers = context.num_input_pipelines
            return make(
                _Part(
                    worker=context.input_pipeline_id,
                    workers=workers,
                    batch_size=self.batch_size // replicas,
                    batches_per_step=replicas // workers,
                )
            )

        return self.strategy.distribute_datasets_from_function(make_part)

    def _train_part(self, part, steps_per_epoch, first_epoch):
        source = self.photos.train
        batches = steps_per_epoch * part.batches_per_step
        seed = tf.constant(self.seed, tf.int64)

        def epoch_records(epoch):
            key = tf.stack([seed, epoch])
            records = source.shuffled(key, part.worker, part.workers)
            records = records.repeat().take(batches * part.batch_size)
            return records.enumerate().map(
                lambda place, record: (key, place, record)
            )

        def example(key, place, record):
            encoded, label = source.read(record)
            place = place * part.workers + part.worker
            key = tf.random.fold_in(key, place)
            image = random_photo(encoded, self.image_size, key)
            return image, tf.one_hot(label, self.photos.classes)

        def mixed(number, values):
            place = number * part.workers + part.worker
            key = tf.random.fold_in(tf.stack([seed, MIXTURES]), place)
            return mix(*values, self.mixup, key)

        epochs = tf.data.Dataset.range(first_epoch, 2**31)
        examples = epochs.flat_map(epoch_records).map(
            example, tf.data.AUTOTUNE, deterministic=self.deterministic
        )
        dataset = examples.batch(part.batch_size, drop_remainder=True)
        if self.mixup:
            dataset = dataset.enumerate(first_epoch * batches)
            dataset = dataset.map(mixed, tf.data.AUTOTUNE)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _evaluation_part(self, part):
        source = self.photos.evaluation
        size, classes = self.image_size, self.photos.classes
        count = self.evaluation_steps * part.batches_per_step * part.batch_size
        filling = tf.data.Dataset.from_tensors(
            (tf.zeros([size, size, 3]), tf.zeros([classes]), tf.zeros([]))
        )
        records = source.ordered(part.worker, part.workers)
        images = records.map(self._evaluation_image, tf.data.AUTOTUNE)
        dataset = images.concatenate(filling.repeat()).take(count)
        dataset = dataset.batch(part.batch_size, drop_remainder=True)
        return dataset.repeat().prefetch(2)

    def _evaluation_image(self, record):
        encoded, label = self.photos.evaluation.read(record)
        image = centre_photo(encoded, self.image_size)
        return image, tf.one_hot(label, self.photos.classes), tf.ones([])


@dataclasses.dataclass(frozen=True)
class _Part:
    """The share of one worker in every batch."""

    worker: int
    workers: int
    batch_size: int  # of one replica
    batches_per_step: int


def steps_per_epoch(examples, batch_size):
    """Full batches in one pass over the training images, at least one.

    >>> steps_per_epoch(1_281_167, 1024)
    1251
    """
    return max(1, examples // batch_size)


def random_photo(encoded, size, key):
    """Decodes a random part of an image and mirrors it half of the time.

    Args:
        encoded: string tensor, an image in any usual format.
        size: int, height and width of the result.
        key: int tensor of shape `(2,)`, the seed.

    Returns:
        Float tensor of shape `(size, size, 3)`, values from 0 to 255.
    """
    keys = tf.random.split(key, 2)
    image = decode_window(
        encoded, lambda h, w: random_window(h, w, keys[0]), size
    )
    mirrored = tf.random.stateless_uniform([], keys[1]) < 0.5
    return tf.cond(mirrored, lambda: image[:, ::-1], lambda: image)


def centre_photo(encoded, size):
    """Decodes the middle of an image, as `random_photo` does a random part."""
    return decode_window(encoded, centre_window, size)


def decode_window(encoded, choose, size):
    """Decodes a part of an image and resizes it.

    Args:
        encoded: string tensor, an image in any usual format.
        choose: function from height and width to a window.
        size: int, height and width of the result.

    Returns:
        Float tensor of shape `(size, size, 3)`, values from 0 to 255.
    """

    def jpeg():
        shape = tf.image.extract_jpeg_shape(encoded)
        window = choose(shape[0], shape[1])
        return tf.image.decode_and_crop_jpeg(encoded, window, channels=3)

    def other():
        image = tf.io.decode_image(encoded, 3, expand_animations=False)
        shape = tf.shape(image)
        top, left, height, width = tf.unstack(choose(shape[0], shape[1]))
        return image[top : top + height, left : left + width]

    image = tf.cond(tf.io.is_jpeg(encoded), jpeg, other)
    return _resize(image, size)


def _resize(image, size):
    """Bilinear; smooth where more than two pixels become one, for its cost."""
    shorter = tf.reduce_min(tf.shape(image)[:2])
    image = tf.cond(
        shorter > 2 * size,
        lambda: tf.image.resize(image, [size, size], antialias=True),
        lambda: tf.image.resize(image, [size, size]),
    )
    return tf.ensure_shape(image, [size, size, 3])


def random_window(height, width, key):
    """Draws area and aspect of a crop until it fits, then its place.

    Args:
        height: int tensor, of the image.
        width: int tensor.
        key: int tensor of shape `(2,)`, the seed.

    Returns:
        Int tensor `(top, left, height, width)`. If no attempt fits, it is the
        largest window in the middle whose aspect is allowed.
    """
    keys = tf.random.split(key, 4)
    full_h, full_w = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    area = full_h * full_w
    area *= tf.random.stateless_uniform([ATTEMPTS], keys[0], *AREA)
    aspect = tf.exp(
        tf.random.stateless_uniform(
            [ATTEMPTS], keys[1], *(math.log(bound) for bound in ASPECT)
        )
    )
    heights, widths = tf.sqrt(area / aspect), tf.sqrt(area * aspect)
    fits = (heights <= full_h) & (widths <= full_w)
    first = tf.argmax(fits)
    h = tf.where(
        fits[first], heights[first], tf.minimum(full_h, full_w / ASPECT[0])
    )
    w = tf.where(
        fits[first], widths[first], tf.minimum(full_w, full_h * ASPECT[1])
    )
    h, w = (tf.maximum(1, tf.cast(tf.round(x), tf.int32)) for x in (h, w))
    room = tf.stack([height - h, width - w])
    drawn = tf.random.stateless_uniform([2], keys[2])
    drawn = tf.where(fits[first], drawn, 0.5)
    # Up to and with the last place: a float just below 1 may round to it.
    place = tf.cast(drawn * tf.cast(room + 1, tf.float32), tf.int32)
    place = tf.minimum(place, room)
    return tf.stack([place[0], place[1], h, w])


def centre_window(height, width):
    """The square in the middle that evaluation looks at.

    Resizing the shorter side to 256 and cutting out 224 pixels, or the same
    proportion for other sizes, in one step.

    >>> centre_window(512, 640).numpy()
    array([ 32,  96, 448, 448], dtype=int32)

    Args:
        height: int tensor, of the image.
        width: int tensor.

    Returns:
        Int tensor `(top, left, height, width)`.
    """
    shorter = tf.cast(tf.minimum(height, width), tf.float32)
    side = tf.cast(tf.round(shorter / EVALUATION_MARGIN), tf.int32)
    side = tf.maximum(1, side)
    return tf.stack([(height - side) // 2, (width - side) // 2, side, side])


def mix(images, labels, alpha, key):
    """Mixes every image of a batch with another one, and their labels alike.

    The partner is the image in the mirrored place: batches are in random order.

    Args:
        images: float tensor of shape `(batch, height, width, 3)`.
        labels: float tensor of shape `(batch, classes)`.
        alpha: float; shares are drawn from Beta(alpha, alpha).
        key: int tensor of shape `(2,)`, the seed.

    Returns:
        `(images, labels)`.

    Reference:

    - [Zhang et al., 2018](https://arxiv.org/abs/1710.09412)
    """
    count = tf.shape(images)[0]
    draws = tf.random.stateless_gamma([2, count], key, alpha)
    share = tf.math.divide_no_nan(draws[0], draws[0] + draws[1])
    across = share[:, tf.newaxis, tf.newaxis, tf.newaxis]
    images = across * images + (1 - across) * images[::-1]
    share = share[:, tf.newaxis]
    return images, share * labels + (1 - share) * labels[::-1]
