"""`ChexScheduler(streams=...)`: residual streams that stay wide."""

import keras
import pytest

import keras_chex
from tests.callbacks.small_run import fit, prepared, scheduler

layers = keras.layers


def streams(outputs_of):
    """Names of the groups that are residual streams."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = outputs_of(x)
    x = layers.Dense(4, name="logits")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    found = keras_chex.channel_groups(model)
    return [group.name for group in found if group.is_stream]


def conv(x, name):
    return layers.Conv2D(8, 3, padding="same", name=name)(x)


@pytest.mark.parametrize(
    "outputs_of, expected",
    [
        (lambda x: layers.Add()([x, conv(x, "back")]), ["stem"]),
        (lambda x: layers.Average()([x, conv(x, "back")]), ["stem"]),
        (lambda x: x - conv(x, "back"), ["stem"]),
        (lambda x: keras.ops.add(x, conv(x, "back")), ["stem"]),
        # A gate, and branches side by side, add nothing up.
        (lambda x: layers.Multiply()([x, conv(x, "gate")]), []),
        (lambda x: layers.Concatenate()([x, conv(x, "more")]), []),
        # One layer alone makes both.
        (lambda x: layers.Add()([x, layers.ReLU()(x)]), []),
        (lambda x: conv(x, "more") + 1.0, []),
    ],
)
def test_streams_are_where_layers_add_up(outputs_of, expected):
    assert streams(outputs_of) == expected


@pytest.mark.parametrize("share, stem, inner", [(1.0, 11, 16), (0.0, 16, 11)])
def test_streams_narrow_as_far_as_they_are_told(share, stem, inner):
    model = prepared()
    chosen = scheduler(streams=share, round_to=1, allocation="uniform")
    fit(model, chosen, epochs=4)
    widths = chosen.history[-1]["widths"]
    costs = keras_chex.summary(model)
    assert 0.45 * costs.dense_flops < costs.flops <= 0.5 * costs.dense_flops
    assert abs(widths["stem"] - stem) <= 1
    assert abs(widths["inner"] - inner) <= 1


@pytest.mark.parametrize("value", [-0.1, 1.5, "wide"])
def test_streams_are_a_share(value):
    with pytest.raises(ValueError, match=f"`streams`.*streams={value!r}"):
        keras_chex.ChexScheduler(flops=0.5, streams=value)
