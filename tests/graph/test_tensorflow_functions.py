"""Code that calls TensorFlow is read where Keras has the same operation."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from keras_chex.graph.tensorflow_functions import on_symbols
from tests import checks
from tests.zoo_layers import between

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")

PADDING = [[0, 0], [1, 1], [2, 2], [0, 0]]
X = np.random.default_rng(0).normal(size=(2, 4, 6, 8)).astype("float32")
FUNCTIONS = {
    "abs": lambda x: tf.math.abs(x),
    "add_n": lambda x: tf.add_n([x, x]),
    "arithmetic": lambda x: tf.subtract(tf.multiply(x, 2.0), tf.divide(x, 3.0)),
    "average pool": lambda x: tf.nn.avg_pool2d(x, 2, 2, padding="VALID"),
    "bias": lambda x: tf.nn.bias_add(x, X[0, 0, 0]),
    "broadcast": lambda x: x + tf.broadcast_to(x[:, :1, :1], (2, 4, 6, 8)),
    "cast": lambda x: tf.cast(x > 0, tf.float32),
    "clip": lambda x: tf.clip_by_value(x, clip_value_min=0.0, clip_value_max=1),
    "concatenate": lambda x: tf.concat(values=[x, -x], axis=-1),
    "depth to space": lambda x: tf.nn.depth_to_space(x, 2),
    "einsum": lambda x: tf.einsum("bhwc,bhwd->bcd", x, x),
    "elu": lambda x: tf.nn.elu(x) + tf.nn.selu(x) + tf.nn.softplus(x),
    "exp": lambda x: tf.exp(x) + tf.sqrt(tf.square(x)) + tf.math.log1p(x * x),
    "flip": lambda x: tf.reverse(x, [1]),
    "gelu": lambda x: tf.nn.gelu(x) + tf.nn.gelu(x, approximate=True),
    "identity": lambda x: tf.identity(x) + tf.stop_gradient(x),
    "leaky relu": lambda x: tf.nn.leaky_relu(x) - tf.nn.leaky_relu(x, 0.1),
    "l2": lambda x: tf.nn.l2_normalize(x, axis=-1),
    "matmul": lambda x: tf.matmul(x, x, transpose_b=True),
    "matmul of the first turned": lambda x: tf.matmul(x, x, transpose_a=True),
    "max pool": lambda x: tf.nn.max_pool2d(
        x, ksize=2, strides=2, padding="SAME"
    ),
    "maximum": lambda x: tf.maximum(x, 0.5) + tf.minimum(x, 0.25),
    "mean": lambda x: tf.reduce_mean(x, [1, 2]),
    "mean kept": lambda x: tf.math.reduce_mean(x, axis=-1, keepdims=True),
    "moments": lambda x: tf.nn.moments(x, [1, 2])[1],
    "pad": lambda x: tf.pad(x, PADDING),
    "pad by reflection": lambda x: tf.pad(x, tf.constant(PADDING), "REFLECT"),
    "power": lambda x: tf.pow(tf.abs(x), 3.0),
    "relu": lambda x: tf.nn.relu(x) + tf.nn.relu6(x),
    "repeat": lambda x: tf.repeat(x, 2, axis=1),
    "reshape": lambda x: tf.reshape(x, [-1, 24, tf.shape(x)[-1]]),
    "resize": lambda x: tf.image.resize(x, (8, 9)),
    "resize to the nearest": lambda x: tf.image.resize(x, [8, 12], "nearest"),
    "roll": lambda x: tf.roll(x, shift=1, axis=2),
    "sigmoid": lambda x: tf.sigmoid(x) + tf.nn.tanh(x) + tf.nn.softsign(x),
    "signs": lambda x: tf.sign(x) + tf.floor(x) + tf.round(x) - tf.negative(x),
    "silu": lambda x: tf.nn.silu(x) + tf.nn.swish(x, beta=2.0),
    "softmax": lambda x: tf.nn.softmax(x) + tf.nn.log_softmax(x, axis=1),
    "space to depth": lambda x: tf.nn.space_to_depth(x, 2),
    "split": lambda x: tf.split(x, 2, axis=-1)[1],
    "split by sizes": lambda x: tf.split(x, [2, 3, 3], axis=-1)[1],
    "squared difference": lambda x: tf.math.squared_difference(x, 1.5),
    "squeeze": lambda x: tf.squeeze(tf.expand_dims(x[:, 0], 1), axis=1),
    "stack": lambda x: tf.stack([x, -x], axis=1),
    "std": lambda x: tf.math.reduce_std(x, 1) + tf.math.reduce_variance(x, 1),
    "sum": lambda x: tf.reduce_sum(x, 1) + tf.reduce_max(x, 1),
    "tile": lambda x: tf.tile(x, [1, 2, 1, 1]),
    "transpose": lambda x: tf.transpose(x, [0, 3, 1, 2]),
    "trigonometry": lambda x: tf.sin(x) * tf.cos(x),
    "where": lambda x: tf.where(x > 0, x, 0.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_operation_of_keras_does_the_same(name):
    function = FUNCTIONS[name]
    inputs = keras.KerasTensor((None, *X.shape[1:]))
    with on_symbols():
        outputs = function(inputs)
    expected = function(tf.constant(X)).numpy()
    assert tuple(outputs.shape[1:]) == expected.shape[1:]
    # As a network that Keras makes of what was recorded.
    model = keras.Input(X.shape[1:])
    with on_symbols():
        model = keras.Model(model, function(model))
    np.testing.assert_allclose(model(X), expected, rtol=1e-5, atol=1e-5)


def test_what_keras_lacks_is_refused_as_ever():
    inputs = keras.KerasTensor((None, 4))
    for refused in (lambda: tf.math.bessel_i0(inputs), lambda: tf.exp(inputs)):
        with pytest.raises(ValueError, match="KerasTensor cannot be used"):
            refused()
    with on_symbols(), pytest.raises(ValueError, match="KerasTensor cannot"):
        tf.math.bessel_i0(inputs)
    with on_symbols():
        assert tf.exp(tf.constant(0.0)).numpy() == 1.0


class Reflected(layers.Layer):
    def call(self, inputs):
        return tf.pad(inputs, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")


class Gated(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Conv2D(6, 1, name="first")
        self.second = layers.Conv2D(6, 1, name="second")

    def call(self, inputs):
        gate = tf.reduce_mean(self.second(inputs), axis=[1, 2], keepdims=True)
        return tf.concat([tf.sigmoid(gate) * self.first(inputs), inputs], -1)


@pytest.mark.parametrize(
    "steps, free",
    [
        ([Reflected], {"c1", "middle", "c2"}),
        (
            [lambda: layers.Lambda(lambda x: tf.nn.relu(x))],
            {"c1", "middle", "c2"},
        ),
        ([Gated], {"c1", "middle", "c2", "step/second"}),
        ([Reflected, Gated], {"c1", "middle", "c2", "step_1/second"}),
    ],
)
def test_networks_with_such_code_lose_channels(steps, free):
    made = [kind() for kind in steps]
    for number, layer in enumerate(made):
        layer.name = f"step_{number}" if number else "step"
    model = between(layers.Conv2D(6, 3, name="middle"), *made)
    checks.randomize(model)
    x = checks.example_inputs(model)
    groups = [g for g in keras_chex.channel_groups(model) if not g.frozen]
    assert {group.name for group in groups} == free
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {g.name: range(1, g.size) for g in groups})
    small = keras_chex.strip(wrapped)
    expected = wrapped(x, training=False)
    assert checks.largest_difference(small(x), expected) <= 1e-5


def test_activations_of_tensorflow_in_functions():
    def halved(x):
        return 0.5 * tf.nn.relu(x)

    def centred(x):
        return x - tf.reduce_mean(x, axis=-1, keepdims=True)

    for function, reason in ((halved, None), (centred, "may mix channels")):
        conv = layers.Conv2D(6, 3, activation=function, name="middle")
        groups = {g.name: g for g in keras_chex.channel_groups(between(conv))}
        frozen = groups["middle"].frozen
        assert frozen is None if reason is None else reason in frozen
