"""Layers of the zoo with weights of their own, and a network of them."""

import keras
from keras import layers, ops

from tests.zoo_custom import PACKAGE, ChannelGain
from tests.zoo_layers import between

_registered = keras.saving.register_keras_serializable(package=PACKAGE)


@_registered
class SizedScale(layers.Layer):
    """One factor for each of as many channels as it is told of."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.factor = self.add_weight(
            shape=(1, 1, 1, channels), initializer="ones", name="factor"
        )

    def call(self, inputs):
        return inputs * self.factor

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


@_registered
class RunningSize(layers.Layer):
    """Divides by the mean size of every channel, which training moves."""

    def build(self, input_shape):
        self.size = self.add_weight(
            shape=(input_shape[-1],),
            initializer="ones",
            trainable=False,
            name="size",
        )

    def call(self, inputs, training=False):
        if not training:
            return inputs / (self.size + 0.1)
        size = ops.mean(ops.abs(inputs), axis=(0, 1, 2))
        self.size.assign(0.9 * self.size + 0.1 * size)
        return inputs / (size + 0.1)


@_registered
class OwnConvolution(layers.Layer):
    """Makes channels of others; those that it makes stay."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(3, 3, input_shape[-1], self.filters), name="kernel"
        )

    def call(self, inputs):
        return ops.conv(inputs, self.kernel, padding="same")

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@_registered
class NeighbourGate(layers.Layer):
    """Weighs a channel by those beside it, as ECA-Net does."""

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(3, 1, 1), name="kernel")

    def call(self, inputs):
        means = ops.expand_dims(ops.mean(inputs, axis=(1, 2)), -1)
        gates = ops.conv(means, self.kernel, padding="same")
        return inputs * ops.reshape(gates, (-1, 1, 1, inputs.shape[-1]))


@_registered
class Noisy(layers.Layer):
    """Draws a number for every element while it trains."""

    def build(self, input_shape):
        self.share = self.add_weight(shape=(input_shape[-1],), name="share")
        self.seed_generator = keras.random.SeedGenerator(3)

    def call(self, inputs, training=False):
        if not training:
            return inputs
        draws = keras.random.normal(inputs.shape[1:], seed=self.seed_generator)
        return inputs + self.share * draws


@_registered
class Unlisted(layers.Layer):
    """Holds its weight where no attribute names it."""

    def build(self, input_shape):
        weight = self.add_weight(shape=(input_shape[-1],), name="factor")
        self.held = {"factor": weight}

    def call(self, inputs):
        return inputs * self.held["factor"]


@_registered
class ScaledBlock(layers.Layer):
    """Two convolutions, with weights of the block's own among them."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.first = layers.Conv2D(
            filters, 3, padding="same", activation="relu", name="first"
        )

    def build(self, input_shape):
        channels = input_shape[-1]
        self.second = layers.Conv2D(channels, 1, name="second")
        self.gamma = self.add_weight(
            shape=(channels,), initializer="ones", name="gamma"
        )
        self.offset = self.add_weight(
            shape=(1, 1, 1, self.filters), name="offset"
        )
        self.shares = self.add_weight(
            shape=(2,), initializer="ones", name="shares"
        )

    def call(self, inputs):
        x = self.second(self.first(inputs) + self.offset)
        x = ops.reshape(self.gamma, (1, 1, 1, -1)) * x
        shares = ops.softplus(self.shares)
        shares = shares / ops.sum(shares)
        return shares[0] * inputs + shares[1] * x

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@_registered
class PositionBlock(layers.Layer):
    """Adds to every column of a picture what a table says of its place."""

    def __init__(self, filters, columns, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.columns = filters, columns
        self.project = layers.Conv2D(filters, 3, padding="same", name="project")
        self.table = layers.Embedding(columns, filters, name="table")

    def build(self, input_shape):
        self.project.build(input_shape)
        self.table.build((self.columns,))

    def call(self, inputs):
        places = self.table(ops.arange(self.columns))
        return ops.relu(self.project(inputs) + places)

    def get_config(self):
        config = {"filters": self.filters, "columns": self.columns}
        return {**super().get_config(), **config}


def layers_with_own_weights():
    return between(
        layers.Conv2D(6, 3, name="middle"),
        ChannelGain(name="gain"),
        SizedScale(6, name="scale"),
        RunningSize(name="size"),
        layers.ReLU(name="relu"),
        OwnConvolution(4, name="own"),
    )


def blocks_with_own_weights():
    return between(ScaledBlock(6, name="scaled"))


def positions():
    return between(PositionBlock(5, 6, name="positions"))


@_registered
class TokenBlock(layers.Layer):
    """Puts a row of its own before those of a picture, as a class token."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.project = layers.Conv2D(filters, 3, padding="same", name="project")

    def build(self, input_shape):
        self.project.build(input_shape)
        self.token = self.add_weight(
            shape=(1, 1, 1, self.filters), name="token"
        )

    def call(self, inputs):
        x = self.project(inputs)
        batch, _, columns, _ = ops.shape(x)
        tokens = ops.tile(self.token, (batch, 1, 1, 1))
        tokens = ops.repeat(tokens, columns, axis=2)
        return ops.relu(ops.concatenate([tokens, x], axis=1))

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def class_token():
    return between(TokenBlock(5, name="block"))
