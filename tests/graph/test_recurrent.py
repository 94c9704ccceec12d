"""What the rules of recurrent layers say, checked by hand."""

import keras
import numpy as np
import pytest

import keras_chex

layers = keras.layers


def model_of(recurrent, calls=lambda layer, x: layer(x)):
    inputs = keras.Input((6, 3))
    x = layers.Conv1D(8, 1, use_bias=False, name="before")(inputs)
    x = calls(recurrent, x)
    return keras.Model(inputs, layers.Dense(2, name="logits")(x))


def frozen(model):
    groups = keras_chex.channel_groups(model)
    return {group.name: group.frozen for group in groups}


REFUSED = [
    (layers.LSTM(4, dropout=0.1, name="r"), "'r' has `dropout` of its own"),
    (layers.GRU(4, recurrent_dropout=0.1, name="r"), "has `dropout` of its"),
    (
        layers.Bidirectional(layers.LSTM(4, dropout=0.1), name="r"),
        "'r' has `dropout` of its own; put a layer `Dropout` before it",
    ),
    (
        layers.RNN(layers.LSTMCell(4), name="r"),
        "'r' runs a cell; take LSTM, GRU or SimpleRNN",
    ),
]


@pytest.mark.parametrize(("layer", "reason"), REFUSED)
def test_some_keep_what_they_take(layer, reason):
    found = frozen(model_of(layer))
    assert reason in found["before"]


def test_a_given_state_keeps_what_is_taken():
    def calls(layer, x):
        return layer(x, initial_state=[x[:, 0, :4], x[:, 0, 4:]])

    found = frozen(model_of(layers.LSTM(4, name="r"), calls))
    assert found["before"] == "'r' is given a state to begin with"


def test_stateful_layers_keep_what_they_take():
    inputs = keras.Input((6, 3), batch_size=2)
    x = layers.Conv1D(8, 1, name="before")(inputs)
    x = layers.LSTM(4, stateful=True, name="r")(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    assert frozen(model)["before"] == "'r' keeps its state from batch to batch"


def test_what_a_recurrent_layer_makes_stays():
    def calls(layer, x):
        x = layers.Add()([layer(x), layers.Dense(5, name="beside")(x)])
        return layers.Dense(7, name="after")(x)

    layer = layers.GRU(5, return_sequences=True, name="r")
    found = frozen(model_of(layer, calls))
    assert set(found) == {"before", "r", "after", "logits"}
    assert found["before"] is None and found["after"] is None
    assert found["r"] == "'r' takes again what it makes"


@pytest.mark.parametrize(
    ("layer", "per_step"),
    [
        (layers.LSTM(4), 4 * (8 * 4 + 4 * 4)),
        (layers.GRU(4, return_sequences=True), 3 * (8 * 4 + 4 * 4)),
        (layers.SimpleRNN(4, return_sequences=True), 8 * 4 + 4 * 4),
        (layers.Bidirectional(layers.LSTM(4)), 2 * 4 * (8 * 4 + 4 * 4)),
    ],
)
def test_cost_of_all_steps(layer, per_step):
    model = model_of(layer)
    shape = model.get_layer("logits").kernel.shape
    steps = 6 if len(model.output.shape) == 3 else 1
    logits = steps * int(np.prod(shape))
    assert keras_chex.flops(model) == 6 * 3 * 8 + 6 * per_step + logits


@pytest.mark.parametrize("every", [False, True])
def test_cost_of_convolutions_over_time(every):
    inputs = keras.Input((3, 8, 7, 2))
    x = layers.ConvLSTM2D(4, 3, return_sequences=every)(inputs)
    model = keras.Model(inputs, x)
    assert keras_chex.flops(model) == 3 * 6 * 5 * 9 * (2 + 4) * 4 * 4
