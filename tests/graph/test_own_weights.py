"""Layers with weights of their own and no rule, which are tried out."""

import random

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from keras_chex.graph.experiment import Finding, study
from tests import checks
from tests import zoo_own as own
from tests.zoo_custom import ChannelGain
from tests.zoo_layers import between

SHAPE = (None, 5, 4, 6)
MIXES = "mixes channels, tells them apart or draws at random"


def built(layer, shape=SHAPE):
    layer.build(shape)
    return layer


@pytest.mark.parametrize(
    "layer, expected",
    [
        (ChannelGain(), Finding({"gain": (0,)}, (), 3)),
        (own.SizedScale(6), Finding({"factor": (3,)}, ("channels",), 3)),
        (own.RunningSize(), Finding({"size": (0,)}, (), 3)),
        (own.OwnConvolution(4), Finding({"kernel": (2,)}, (), None)),
        # As many channels as come in, and yet others.
        (own.OwnConvolution(6), Finding({"kernel": (2,)}, (), None)),
        (own.NeighbourGate(), MIXES),
        (own.Noisy(), MIXES),
        (own.Unlisted(), "keeps weights in other places than its attributes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_found_out(layer, expected):
    assert study(built(layer)) == expected


def test_one_channel_cannot_be_left_out():
    found = study(built(ChannelGain(), (None, 1)))
    assert found == "was not built for one tensor of two channels or more"


def test_a_fixed_size_is_no_channel():
    class Fixed(layers.Layer):
        def build(self, input_shape):
            self.table = self.add_weight(shape=(6,))

        def call(self, inputs):
            return inputs * self.table

    assert study(built(Fixed())) == "has weights of a fixed size"


def test_code_that_fails_is_named():
    class Picky(ChannelGain):
        def call(self, inputs):
            if inputs.shape[-1] % 2:
                raise KeyError("odd")
            return super().call(inputs)

    assert study(built(Picky())) == "cannot be tried out: KeyError"


def test_trying_out_draws_no_random_number():
    layer = built(own.OwnConvolution(4))
    keras.utils.set_random_seed(0)
    expected = np.array(keras.random.normal((3,)))
    keras.utils.set_random_seed(0)
    python, numpy_ = random.getstate(), np.random.get_state()[1].tolist()
    study(layer)
    assert random.getstate() == python
    assert np.random.get_state()[1].tolist() == numpy_
    np.testing.assert_array_equal(keras.random.normal((3,)), expected)


def test_the_layer_is_left_as_it_is():
    class Costly(own.RunningSize):
        def call(self, inputs, training=False):
            self.add_loss(keras.ops.sum(inputs))
            return super().call(inputs, training)

    layer = built(Costly())
    layer.size.assign(np.arange(6.0))
    assert study(layer) == Finding({"size": (0,)}, (), 3)
    np.testing.assert_array_equal(np.array(layer.size), np.arange(6.0))
    assert layer.losses == []


def test_channels_that_an_own_layer_makes_stay_and_costs_say_so():
    model = between(own.OwnConvolution(4, name="own"))
    groups = {g.name: g.frozen for g in keras_chex.channel_groups(model)}
    assert set(groups) == {"c1", "c2", "logits"} and groups["c1"] is None
    costs = {cost.name: cost for cost in keras_chex.summary(model).layers}
    assert costs["own"].note == "FLOPs not counted: no channel rule"
    assert costs["own"].params == 3 * 3 * 7 * 4
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"c1": [0, 2, 6]})
    small = keras_chex.strip(wrapped)
    assert tuple(small.get_layer("own").kernel.shape) == (3, 3, 3, 4)


def test_two_tensors_are_not_tried():
    class Mean(layers.Layer):
        def build(self, shapes):
            self.share = self.add_weight(shape=())

        def call(self, inputs):
            return self.share * inputs[0] + (1 - self.share) * inputs[1]

    x = keras.Input((4, 4, 5))
    for pair in (
        [layers.Conv2D(5, 1, name=name)(x) for name in "ab"],
        [x, layers.Conv2D(5, 1, name="a")(x)],
    ):
        y = layers.GlobalAveragePooling2D()(Mean(name="mean")(pair))
        model = keras.Model(x, layers.Dense(2)(y))
        groups = {g.name: g.frozen for g in keras_chex.channel_groups(model)}
        reason = "no channel rule for Mean, which is called on more than one"
        assert reason in groups["a"]


def test_a_layer_that_must_stay_whole_cannot_be_wrapped():
    with pytest.raises(ValueError, match="must have weights that its rule"):
        keras_chex.ChexWrapper(own.NeighbourGate()).build(SHAPE)


def test_a_loaded_model_is_narrow_again(tmp_path):
    model, x = checks.prepare(own.layers_with_own_weights)
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"middle": [0, 3, 4]})
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    small = keras_chex.strip(loaded)
    assert small.get_layer("scale").channels == 3
    expected = wrapped(x, training=False)
    assert checks.largest_difference(small(x), expected) <= 1e-5
