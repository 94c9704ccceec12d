"""Layers with weights of their own and no rule, which are tried out."""

import random

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from keras_chex.graph.channels import read_channels
from keras_chex.graph.experiment import Finding, study
from keras_chex.layers.active import read_active, write_active
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


class Mean(layers.Layer):
    """Weighs two tensors, by a number of its own and one for each channel."""

    def build(self, shapes):
        self.share = self.add_weight(shape=(), name="share")
        self.shift = self.add_weight(shape=shapes[0][-1:], name="shift")

    def call(self, inputs):
        first, second = inputs
        return self.share * first + (1 - self.share) * second + self.shift


def fused(layer, *tensors):
    y = layers.GlobalAveragePooling2D()(layer(list(tensors)))
    return layers.Dense(2, name="logits")(y)


def test_layers_that_take_two_tensors_are_read():
    x = keras.Input((4, 4, 5))
    pair = [layers.Conv2D(5, 1, name=name)(x) for name in "ab"]
    model = keras.Model(x, fused(Mean(name="mean"), *pair))
    checks.randomize(model)
    wrapped = keras_chex.wrap(model)
    (group,) = [g for g in keras_chex.channel_groups(wrapped) if not g.frozen]
    assert group.producers == ("a", "b")
    assert group.followers == ("mean/shift",)
    keras_chex.set_active(wrapped, {"a": [1, 2, 4]})
    assert type(wrapped.get_layer("mean")).__name__ == "Mean"
    assert tuple(wrapped.get_layer("mean").shift.shape) == (3,)
    small = keras_chex.strip(wrapped)
    np.testing.assert_array_equal(
        small.get_layer("shift").embeddings[0],
        keras.ops.take(model.get_layer("mean").shift, [1, 2, 4]),
    )


def test_an_input_among_two_tensors_keeps_the_channels():
    x = keras.Input((4, 4, 5))
    other = layers.Conv2D(5, 1, name="a")(x)
    model = keras.Model(x, fused(Mean(name="mean"), x, other))
    groups = {g.name: g.frozen for g in keras_chex.channel_groups(model)}
    assert "joins it with others: model input" in groups["a"]


def test_two_tensors_in_code_that_cannot_be_read_are_a_barrier():
    class Picky(Mean):
        def call(self, inputs):
            float(self.share)
            return super().call(inputs)

    x = keras.Input((4, 4, 5))
    pair = [layers.Conv2D(5, 1, name=name)(x) for name in "ab"]
    layer = Picky(name="mean")
    layer.compute_output_shape = lambda shapes: shapes[0]
    layer.compute_output_spec = lambda tensors: keras.KerasTensor(
        tensors[0].shape
    )
    layer.build([tensor.shape for tensor in pair])
    model = keras.Model(x, fused(layer, *pair))
    groups = {g.name: g.frozen for g in keras_chex.channel_groups(model)}
    reason = "no channel rule for Picky, which is called on more than one"
    assert reason in groups["a"]


def around(layer):
    """A network with a layer of six channels between two convolutions."""
    return between(layers.Conv2D(6, 3, name="middle"), layer)


class OwnBlock(layers.Layer):
    """Has a convolution and a factor; `scaled` is what a test says."""

    def build(self, input_shape):
        self.inner = layers.Conv2D(6, 1, name="inner")
        self.factor = self.add_weight(
            shape=(6,), initializer="ones", name="factor"
        )

    def call(self, inputs):
        return inputs + self.scaled(self.inner(inputs))


BLOCK = type("Block", (OwnBlock,), {"scaled": lambda self, x: x * self.factor})


@pytest.mark.parametrize(
    "scaled",
    [
        lambda self, x: x * self.factor[None, None, None],
        lambda self, x: x * ops.expand_dims(self.factor, 0),
        lambda self, x: x * ops.reshape(self.factor, (1, 1, 1, -1)),
        lambda self, x: x * ops.exp(ops.cast(self.factor, "float32")),
        lambda self, x: ops.einsum("bxyc,c->bxyc", x, self.factor),
    ],
)
def test_ways_to_take_a_factor(scaled):
    block = type("Block", (OwnBlock,), {"scaled": scaled})(name="block")
    groups = keras_chex.channel_groups(around(block))
    (group,) = [g for g in groups if g.name == "middle"]
    assert group.frozen is None
    assert group.followers == ("block/factor",)


@pytest.mark.parametrize(
    "scaled, reason",
    [
        (
            lambda self, x: x * ops.reshape(self.factor, (1, 1, 1, 6)),
            "'block' fixes a size in 'reshape'",
        ),
        (
            lambda self, x: x * ops.broadcast_to(self.factor, ops.shape(x)),
            "has operations that need the batch size",
        ),
        (
            lambda self, x: [self.factor.assign(0.9 * self.factor), x][1],
            "cannot be called on symbolic tensors: AttributeError",
        ),
        (
            lambda self, x: x * ops.reshape(self.factor, (1, 6, 1, 1)),
            "joins different axes",
        ),
    ],
)
def test_what_keeps_the_channels(scaled, reason):
    block = type("Block", (OwnBlock,), {"scaled": scaled})(name="block")
    groups = {g.name: g for g in keras_chex.channel_groups(around(block))}
    assert reason in groups["middle"].frozen


def test_products_with_a_matrix_of_its_own_are_not_counted():
    class Mixing(OwnBlock):
        def build(self, input_shape):
            super().build(input_shape)
            self.matrix = self.add_weight(shape=(6, 6), name="matrix")

        def scaled(self, x):
            return ops.matmul(x, self.matrix) + self.factor

    model = around(Mixing(name="block"))
    groups = {g.name: g for g in keras_chex.channel_groups(model)}
    # It loses columns with the stream that they are added to, not rows.
    assert groups["middle"].frozen is None
    assert "multiplies it with what has no channels" in (
        groups["block/inner"].frozen
    )
    notes = {c.name: c.note for c in keras_chex.summary(model).layers}
    assert notes["block/matrix"] == "FLOPs not counted: no channel rule"
    assert notes["block/factor"] == ""
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"middle": [0, 2, 5]})
    assert keras_chex.strip(wrapped).get_layer("matrix").count_params() == 18


def test_a_model_of_the_users_may_hold_weights_too(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Net(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = layers.Conv2D(6, 3, name="first")
            self.head = layers.Dense(4, name="head")
            self.scale = self.add_weight(
                shape=(6,), initializer="ones", name="scale"
            )
            self.temperature = self.add_weight(
                shape=(), initializer="ones", name="temperature"
            )
            # That a `train_step` counts, and no call reads.
            self.steps = self.add_weight(
                shape=(), dtype="int32", trainable=False, name="steps"
            )

        def call(self, inputs):
            x = ops.mean(self.first(inputs) * self.scale, axis=(1, 2))
            return self.head(x) / self.temperature

    model = Net()
    x = np.random.default_rng(0).normal(size=(4, 7, 6, 3)).astype("float32")
    model(x)
    checks.randomize(model)
    costs = {c.name: c for c in keras_chex.summary(model).layers}
    assert (costs["temperature"].params, costs["temperature"].note) == (1, "")
    wrapped = keras_chex.wrap(model)
    assert isinstance(wrapped, Net)
    keras_chex.set_active(wrapped, {"first": [0, 2, 3]})
    wrapped.compile("adam", "mse")
    wrapped.fit(x, np.ones((4, 4)), verbose=0)
    expected = checks.as_numpy(wrapped(x))
    small = keras_chex.strip(wrapped)
    assert checks.largest_difference(small(x), expected) <= 1e-5
    assert small.get_layer("scale").count_params() == 3
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert checks.largest_difference(loaded(x), expected) <= 1e-6


def test_a_weight_that_a_subclass_replaces_is_no_obstacle():
    class Replacing(BLOCK):
        def build(self, input_shape):
            super().build(input_shape)
            self.factor = self.add_weight(shape=(1, 1, 1, 6), name="other")

    block = Replacing(name="block")
    groups = keras_chex.channel_groups(around(block))
    assert len(block.weights) == 4
    (group,) = [g for g in groups if g.name == "middle"]
    assert group.frozen is None


def test_terms_of_a_weight_are_those_of_what_is_left():
    class Regular(OwnBlock):
        def build(self, input_shape):
            super().build(input_shape)
            self.offset = self.add_weight(
                shape=(6,), regularizer="l2", constraint="non_neg"
            )

        def scaled(self, x):
            return x + self.offset

    wrapped = keras_chex.wrap(around(Regular(name="block")))
    vars(wrapped.get_layer("block"))["offset"].assign(np.arange(6.0))
    keras_chex.set_active(wrapped, {"middle": [1, 3]})
    small = keras_chex.strip(wrapped)
    assert float(sum(small.losses)) == pytest.approx(0.01 * (1 + 9))
    assert float(sum(wrapped.losses)) == pytest.approx(0.01 * (1 + 9))
    table = small.get_layer("offset")
    assert type(table.embeddings_constraint).__name__ == "NonNeg"


@pytest.mark.parametrize("restore", ["zeros", "random"])
def test_weights_of_unknown_beginnings_come_back_as_they_were(restore):
    wrapped = keras_chex.wrap(around(BLOCK(name="block")))
    graph = read_channels(wrapped)
    everything = read_active(graph)
    few = {**everything, "middle": np.arange(6) < 3}
    weight = vars(wrapped.get_layer("block"))["factor"]
    weight.assign(np.arange(1.0, 7.0))
    write_active(wrapped, graph, few)
    assert np.array(weight).tolist() == [1, 2, 3, 0, 0, 0]
    write_active(wrapped, graph, everything, restore)
    assert np.array(weight).tolist() == [1, 2, 3, 4, 5, 6]


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
