"""Models repeated over time, stacked tensors, and a batch axis that moves."""

import keras
import numpy as np
import pytest

import keras_chex
from tests import checks

layers, ops = keras.layers, keras.ops
X = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")


def network(body):
    """A convolution of 8 channels, what `body` makes of it, and an end."""
    inputs = keras.Input(X.shape[1:])
    x = layers.Conv2D(8, 1, name="first")(inputs)
    return keras.Model(inputs, body(x))


def end(x):
    return layers.Dense(2, name="logits")(x)


def reason(model):
    """Why the first convolution keeps its channels, or `None`."""
    groups = keras_chex.channel_groups(model)
    return next(g.frozen for g in groups if "first" in g.producers)


def twice(x, axis):
    return ops.stack([x, layers.ReLU()(x)], axis=axis)


@pytest.mark.parametrize("axis", [1, 2, 3, 4, -1])
def test_stacked_tensors_share_channels(axis):
    def body(x):
        x = ops.moveaxis(twice(x, axis), 4 if axis in (1, 2, 3) else 3, -1)
        return end(x)

    model = network(body)
    assert reason(model) is None
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"first": [0, 3, 4]})
    small = keras_chex.strip(wrapped)
    assert small.get_layer("first").filters == 3
    assert checks.largest_difference(small(X), wrapped(X)) < checks.TOLERANCE


def back_and_forth(x):
    x = twice(x, 0)
    x = ops.transpose(x, (1, 0, 2, 3, 4))
    return end(x)


def taken_apart(x):
    x = ops.moveaxis(x, 1, 0)
    return end(x[2] + x[4])


def mixed(x):
    return end(ops.moveaxis(x, 1, 0))


def takes_examples(x):
    return end(ops.moveaxis(x, 1, 0)[:, 0])


@pytest.mark.parametrize(
    "body, expected",
    [
        (back_and_forth, None),
        (taken_apart, None),
        (mixed, "the batch axis of 'logits' was moved"),
        (takes_examples, "slices the batch"),
    ],
)
def test_a_batch_axis_may_move_and_come_back(body, expected):
    model = network(body)
    found = reason(model)
    assert (found is None) if expected is None else (expected in found)


def video(steps):
    picture = keras.Input((6, 5, 3))
    x = layers.Conv2D(7, 3, name="inner")(picture)
    frames = keras.Model(picture, layers.GlobalMaxPooling2D()(x), name="one")
    inputs = keras.Input((steps, 6, 5, 3))
    x = layers.TimeDistributed(frames, name="every")(inputs=inputs)
    x = layers.LSTM(4, name="sum")(x)
    return keras.Model(inputs, end(x))


def test_a_repeated_model_is_counted_at_every_step():
    # 3 x 3 kernels at 4 x 3 places, gates of the LSTM, logits.
    step = 4 * 3 * 9 * 3 * 7 + 4 * 4 * (7 + 4)
    for steps in (1, 3):
        assert keras_chex.flops(video(steps)) == steps * step + 4 * 2


def test_a_model_repeated_as_often_as_the_data_say_is_kept():
    rule = "'every' repeats 'one' as often as the data say: give the number"
    with pytest.raises(ValueError, match=rule):
        keras_chex.wrap(video(None))
