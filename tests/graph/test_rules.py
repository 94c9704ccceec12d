"""What single rules say about channels, checked by hand."""

import keras
import numpy as np
import pytest

from keras_chex.graph.channels import read_channels
from keras_chex.graph.rule import IN, Axis, Rule, register_rule, rule_for
from keras_chex.graph.rules.shape import merged

layers = keras.layers


def groups_of(outputs, inputs):
    graph = read_channels(keras.Model(inputs, outputs))
    return {group.name: group for group in graph.groups}


@pytest.mark.parametrize(
    "axis,channels,expected",
    [
        (Axis("in"), [1, 3], [1, 3]),
        (Axis("in", repeat=3), [0, 2], [0, 1, 2, 6, 7, 8]),
        (Axis("in", blocks=2), [0, 2, 4, 6], [0, 2]),
    ],
)
def test_axis_maps_channels_to_positions(axis, channels, expected):
    assert axis.positions(np.array(channels)).tolist() == expected


@pytest.mark.parametrize(
    "axis,shape,target,expected",
    [
        (0, (3,), (1, 1, 3), ([0, 1, 2], 2)),
        (2, (2, 2, 3), (4, 3), ([0, 1, 2], 1)),
        (2, (1, 2, 3), (6,), ([0, 1, 2, 0, 1, 2], 0)),
        (0, (3, 2), (6,), ([0, 0, 1, 1, 2, 2], 0)),
        (0, (4,), (2, 2), None),
        (1, (None, 3), (None,), None),
    ],
)
def test_reshape_follows_channels_or_gives_up(axis, shape, target, expected):
    ids = np.arange(shape[axis])
    found = merged(ids, axis, shape, target)
    if expected is None:
        assert found is None
    else:
        assert (found[0].tolist(), found[1]) == expected


def test_residual_branches_are_one_group():
    x = keras.Input((4, 4, 3))
    a = layers.Conv2D(5, 3, padding="same", name="a")(x)
    b = layers.Conv2D(5, 3, padding="same", name="b")(a)
    y = layers.GlobalAveragePooling2D()(layers.Add()([a, b]))
    groups = groups_of(layers.Dense(2, name="head")(y), x)
    assert groups["a"].producers == ("a", "b")
    assert groups["a"].consumers == ("b", "head")
    assert groups["a"].size == 5 and groups["a"].frozen is None


def test_depthwise_follows_and_splits_no_group():
    x = keras.Input((4, 4, 3))
    y = layers.Conv2D(5, 1, name="a")(x)
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, name="dw")(y)
    y = layers.Conv2D(4, 1, name="b")(y)
    groups = groups_of(layers.Flatten()(y), x)
    assert groups["a"].followers == ("dw",)
    assert groups["a"].size == 5


def test_grouped_convolution_ties_channels_across_its_groups():
    x = keras.Input((4, 4, 3))
    y = layers.Conv2D(6, 1, name="a")(x)
    y = layers.Conv2D(8, 3, groups=2, name="grouped")(y)
    y = layers.GlobalAveragePooling2D()(y)
    groups = groups_of(layers.Dense(2)(y), x)
    assert (groups["a"].size, groups["grouped"].size) == (3, 4)


def test_operand_of_one_channel_is_kept_and_ties_nothing():
    x = keras.Input((4, 4, 3))
    a = layers.Conv2D(5, 1, name="a")(x)
    gate = layers.Conv2D(1, 1, activation="sigmoid", name="gate")(x)
    y = layers.GlobalAveragePooling2D()(layers.Multiply()([a, gate]))
    groups = groups_of(layers.Dense(2)(y), x)
    assert groups["a"].frozen is None
    assert "shares it between all channels" in groups["gate"].frozen


def test_unknown_layer_freezes_by_name():
    class Mystery(layers.Layer):
        def build(self, input_shape):
            self.shift = self.add_weight(shape=())

        def call(self, inputs):
            return self.shift * keras.ops.flip(inputs, axis=-1)

    x = keras.Input((4, 4, 3))
    y = Mystery(name="odd")(layers.Conv2D(5, 1, name="a")(x))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1, name="b")(y))
    groups = groups_of(layers.Dense(2)(y), x)
    assert groups["a"].frozen == (
        "'odd' has no channel rule for Mystery, which mixes channels, tells "
        "them apart or draws at random"
    )
    assert groups["b"].frozen is None


def test_subclass_that_overrides_call_loses_the_rule():
    class Twice(layers.Conv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    class Inverse(layers.ReLU):
        def call(self, inputs):
            return -super().call(inputs)

    assert rule_for(Twice(3, 1)) is not rule_for(layers.Conv2D(3, 1))
    x = keras.Input((4, 4, 3))
    y = Twice(4, 1, name="twice")(layers.Conv2D(5, 1, name="a")(x))
    groups = groups_of(layers.Dense(2)(layers.GlobalAveragePooling2D()(y)), x)
    assert groups["a"].frozen is None
    assert "twice" not in groups
    layer = Inverse()
    layer.build((None, 3))
    assert "overrides `call` of ReLU" in rule_for(layer).reason


def test_subclass_without_own_call_keeps_the_rule():
    class Named(layers.Conv2D):
        pass

    assert rule_for(Named(3, 1)) is rule_for(layers.Conv2D(3, 1))


def test_activation_of_the_user_may_mix_channels():
    def mixing(x):
        return x - keras.ops.mean(x, axis=-1, keepdims=True)

    x = keras.Input((4, 4, 3))
    y = layers.Conv2D(5, 1, activation=mixing, name="a")(x)
    groups = groups_of(layers.Dense(2)(layers.Flatten()(y)), x)
    assert "may mix channels (mixing)" in groups["a"].frozen


def test_constant_array_freezes_but_a_scalar_does_not():
    x = keras.Input((4, 4, 3))
    a = layers.Conv2D(5, 1, name="a")(x) * 2.0
    b = layers.Conv2D(5, 1, name="b")(a) + np.arange(5.0, dtype="float32")
    groups = groups_of(layers.Dense(2)(layers.Flatten()(b)), x)
    assert groups["a"].frozen is None
    assert "holds a constant array" in groups["b"].frozen


def test_registered_rule_makes_a_layer_transparent():
    class Gain(layers.Layer):
        def build(self, input_shape):
            self.gain = self.add_weight(shape=(input_shape[-1],))

        def call(self, inputs):
            return inputs * self.gain

    @register_rule(Gain)
    class GainRule(Rule):
        def flow(self, call):
            call.consume(-1)
            return call.inputs

        def weights(self, layer):
            return {"gain": {0: IN}}

    x = keras.Input((4, 4, 3))
    y = Gain(name="gain")(layers.Conv2D(5, 1, name="a")(x))
    groups = groups_of(layers.Dense(2)(layers.Flatten()(y)), x)
    assert groups["a"].frozen is None
    assert groups["a"].followers == ("gain",)


def test_register_rule_says_what_it_wants():
    with pytest.raises(TypeError, match="must be layer classes. Received: 'x'"):
        register_rule("x")
    with pytest.raises(TypeError, match="decorates a subclass of"):
        register_rule(layers.Conv2D)(object)


def test_weights_that_no_rule_knows_freeze_a_layer():
    class Extra(layers.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.extra = self.add_weight(shape=(3,), name="extra")

    x = keras.Input((4,))
    y = Extra(5, name="a")(layers.Dense(6, name="before")(x))
    groups = groups_of(layers.Dense(2)(y), x)
    assert "weights its rule does not know: ['extra']" in (
        groups["before"].frozen
    )


@pytest.mark.parametrize(
    "name", "mean max min sum prod var std logsumexp norm any".split()
)
@pytest.mark.parametrize("axis", [-1, (1, 2, 3)])
def test_reductions_over_channels_take_any_number(name, axis):
    if name == "norm" and axis != -1:
        pytest.skip("`ops.norm` takes one or two axes")
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(6, 3, padding="same", name="conv")(image)
    reduced = getattr(keras.ops, name)(x, axis=axis, keepdims=True)
    x = x * keras.ops.cast(reduced, "float32")
    groups = groups_of(layers.Conv2D(2, 1, name="last")(x), image)
    assert groups["conv"].frozen is None


def test_one_channel_of_a_product_leaves_the_others_free():
    pixels = keras.Input((16, 3))
    x = layers.Dense(6, name="wide")(pixels)
    weights = layers.Dense(1, name="weights")(x)
    pooled = keras.ops.matmul(keras.ops.transpose(x, (0, 2, 1)), weights)
    outputs = layers.Dense(2, name="last")(layers.Flatten()(pooled))
    groups = groups_of(outputs, pixels)
    assert groups["wide"].frozen is None
    assert "two channel axes" in groups["weights"].frozen
