"""Builders of the zoo around layers and functions that are code alone."""

import keras
from keras import layers, ops

from tests.zoo_custom import PACKAGE
from tests.zoo_operations import conv, model_of
from tests.zoo_topologies import conv_bn

_registered = keras.saving.register_keras_serializable(package=PACKAGE)


@_registered
class Mish(layers.Layer):
    """Works on each element alone."""

    def call(self, inputs):
        return inputs * ops.tanh(ops.softplus(inputs))


@_registered
class WeightedSum(layers.Layer):
    """Adds two tensors, the second with another weight in training.

    As stochastic depth does, but nothing is drawn.
    """

    def __init__(self, share=0.5, **kwargs):
        super().__init__(**kwargs)
        self.share = share

    def call(self, inputs, training=False):
        stream, branch = inputs
        return stream + branch if training else stream + self.share * branch

    def get_config(self):
        return {**super().get_config(), "share": self.share}


@_registered
class DropPath(layers.Layer):
    """Drops whole examples while training, and asks for the batch size."""

    def __init__(self, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.seed_generator = keras.random.SeedGenerator(3)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        shape = (ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        draws = keras.random.uniform(shape, seed=self.seed_generator)
        return inputs * ops.floor(1 - self.rate + draws) / (1 - self.rate)

    def get_config(self):
        return {**super().get_config(), "rate": self.rate}


@_registered
class SplitGate(layers.Layer):
    """One half of the channels gates the other."""

    def call(self, inputs):
        value, gate = ops.split(inputs, 2, axis=-1)
        return value * ops.sigmoid(gate)


@_registered
class PixelShuffle(layers.Layer):
    """Turns blocks of channels into pixels."""

    def call(self, inputs):
        _, height, width, channels = inputs.shape
        x = ops.reshape(inputs, (-1, height, width, 2, 2, channels // 4))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, 2 * height, 2 * width, channels // 4))


@_registered
def smooth(inputs):
    return inputs * ops.sigmoid(1.7 * inputs)


@_registered
def pooled(inputs):
    return ops.mean(inputs, axis=(1, 2), keepdims=True)


def code_by_element():
    def body(image):
        x = Mish(name="mish")(conv_bn(image, 8, "c1"))
        y = conv(x, 7, "a", activation=smooth)
        y = layers.Activation(smooth, name="smooth")(y)
        y = conv_bn(y, 8, "b")
        return layers.ReLU(name="relu")(WeightedSum(name="sum")([x, y]))

    return model_of(body)


def code_takes_channels_apart():
    def body(image):
        x = SplitGate(name="gate")(conv(image, 12, "c1"))
        x = PixelShuffle(name="shuffle")(conv(x, 20, "c2"))
        scale = layers.Lambda(pooled, name="pooled")(x)
        return x * ops.tanh(conv(scale, 5, "c3"))

    return model_of(body)


def code_fixes_sizes():
    def body(image):
        x = conv(image, 12, "c1")
        x = layers.Lambda(first_six, name="six")(x)
        x = layers.Lambda(reverse_if_training, name="mood")(conv(x, 7, "c2"))
        return x

    return model_of(body)


@_registered
def first_six(inputs):
    return 2.0 * inputs[..., :6]


@_registered
def first_half(inputs):
    return inputs[..., :6]


@_registered
def second_six(inputs):
    return inputs[..., 6:]


@_registered
def reverse_if_training(inputs, training=False):
    return ops.flip(inputs, axis=-1) if training else inputs


def lambdas_take_parts():
    def body(image):
        x = conv(image, 12, "c1")
        first = layers.Lambda(first_half, name="first")(x)
        second = layers.Lambda(second_six, name="second")(x)
        return conv(first, 5, "c2") + conv(second, 5, "c3")

    return model_of(body)


def comparisons_and_shifts():
    def body(image):
        x = conv(image, 7, "c1")
        x = ops.where(ops.greater(x, 0.1), x, 0.3 * x)
        x = ops.roll(ops.cumsum(x, axis=1), 1, axis=2)
        mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
        x = x + ops.tile(mean, (1, 8, 6, 1)) * ops.cbrt(variance)
        x = conv(ops.tile(x, (1, 1, 1, 2)), 5, "c2")
        strongest = ops.logsumexp(x, axis=(1, 2), keepdims=True)
        x = ops.repeat(x, 2, axis=1) * ops.arctan(strongest)
        return ops.where(ops.logical_and(x > 0.0, x < 2.0), x, ops.sort(x, 2))

    return model_of(body)
