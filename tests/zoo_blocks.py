"""Builders of the zoo whose layers are hidden in the user's own code."""

import keras
from keras import layers, ops

from tests.zoo_custom import PACKAGE
from tests.zoo_topologies import IMAGE, conv_bn_relu, pooled_logits

registered = keras.saving.register_keras_serializable(package=PACKAGE)


def around(block, filters=7):
    """Builds `c1 -> block -> c2 -> logits`."""
    image = keras.Input(IMAGE, name="image")
    x = block(conv_bn_relu(image, filters, "c1"))
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 5, "c2")))


class Block(layers.Layer):
    """A layer with sub-layers, made from its arguments."""

    def __init__(self, filters=7, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def conv(self, filters, name, **kwargs):
        return layers.Conv2D(filters, 3, padding="same", name=name, **kwargs)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@registered
class ResidualBlock(Block):
    """Layers in a list, a dict and a tuple; a branch on an attribute."""

    def __init__(self, filters=7, project=False, **kwargs):
        super().__init__(filters, **kwargs)
        self.project = project
        self.convs = [self.conv(5, "a"), self.conv(filters, "b")]
        self.norms = {
            "a": layers.BatchNormalization(name="a_bn"),
            "b": layers.BatchNormalization(name="b_bn"),
        }
        self.extras = (layers.Dropout(0.0, name="drop"),)
        if project:
            self.shortcut = self.conv(filters, "shortcut")

    def call(self, inputs, training=None):
        x = ops.relu(self.norms["a"](self.convs[0](inputs), training=training))
        x = self.norms["b"](self.convs[1](x), training=training)
        if self.project:
            inputs = self.shortcut(inputs)
        return ops.relu(inputs + self.extras[0](x, training=training))

    def get_config(self):
        return {**super().get_config(), "project": self.project}


@registered
class GateBlock(Block):
    """Reshapes to what it finds, or to what it was made for."""

    def __init__(self, filters=7, fixed=False, **kwargs):
        super().__init__(filters, **kwargs)
        self.fixed = fixed
        self.reduce = layers.Dense(4, activation="relu", name="reduce")
        self.expand = layers.Dense(filters, name="expand")

    def call(self, inputs):
        gate = self.expand(self.reduce(ops.mean(inputs, axis=(1, 2))))
        count = self.filters if self.fixed else inputs.shape[-1]
        gate = ops.reshape(gate, (-1, 1, 1, count))
        return inputs * layers.Activation("sigmoid")(gate)

    def get_config(self):
        return {**super().get_config(), "fixed": self.fixed}


@registered
class ShuffleBlock(Block):
    """Asks for all sizes, the batch included, as code for TensorFlow does."""

    def __init__(self, filters=12, **kwargs):
        super().__init__(filters, **kwargs)
        self.first = self.conv(filters, "first")
        self.second = self.conv(filters // 2, "second")

    def call(self, inputs):
        x = self.first(inputs)
        batch, height, width, count = ops.shape(x)
        x = ops.reshape(x, (batch, height, width, 2, count // 2))
        x = ops.transpose(x, (0, 1, 2, 4, 3))
        x = ops.reshape(x, (batch, height, width, count))
        left, right = x[..., : count // 2], x[..., count // 2 :]
        return ops.concatenate([left, self.second(right)], axis=-1)


@registered
class FixedSliceBlock(Block):
    """Takes the first four channels, however many there are."""

    def __init__(self, filters=8, **kwargs):
        super().__init__(filters, **kwargs)
        self.first = self.conv(filters, "first")
        self.second = self.conv(6, "second")

    def call(self, inputs):
        return self.second(self.first(inputs)[..., :4])


def _relu_of_the_library(x):
    """ReLU without Keras, which takes no symbolic tensor."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.relu(tf.convert_to_tensor(x))
    if keras.backend.backend() == "jax":
        import jax

        return jax.nn.relu(x)
    import torch

    return torch.nn.functional.relu(x)


@registered
class UnreadableBlock(Block):
    """Leaves Keras for the library below it."""

    def __init__(self, filters=7, **kwargs):
        super().__init__(filters, **kwargs)
        self.first = self.conv(filters, "first")

    def call(self, inputs):
        return _relu_of_the_library(self.first(inputs))


@registered
class MoodyBlock(Block):
    """Does more in training than in inference."""

    def __init__(self, filters=7, **kwargs):
        super().__init__(filters, **kwargs)
        self.first = self.conv(filters, "first")
        self.second = self.conv(filters, "second")

    def build(self, input_shape):
        self.first.build(input_shape)
        self.second.build((*input_shape[:-1], self.filters))

    def call(self, inputs, training=False):
        x = self.first(inputs)
        return x + self.second(x) if training else x


@registered
class WeightedBlock(Block):
    """Has a weight of its own beside those of its sub-layer."""

    def __init__(self, filters=7, **kwargs):
        super().__init__(filters, **kwargs)
        self.first = self.conv(filters, "first")

    def build(self, input_shape):
        self.gain = self.add_weight(shape=(self.filters,), name="gain")
        self.first.build(input_shape)

    def call(self, inputs):
        return self.first(inputs) * self.gain


@registered
class HidingBlock(WeightedBlock):
    """Has its weight in a list."""

    def build(self, input_shape):
        self.gains = [self.add_weight(shape=(self.filters,), name="gain")]
        self.first.build(input_shape)

    def call(self, inputs):
        return self.first(inputs) * self.gains[0]


@registered
class ModelBlock(Block):
    """Holds a functional and a sequential model, and itself is nested."""

    def __init__(self, filters=7, **kwargs):
        super().__init__(filters, **kwargs)
        self.steps = keras.Sequential(
            [self.conv(6, "a"), layers.BatchNormalization(name="a_bn")],
            name="steps",
        )
        inner = keras.Input((None, None, 6), name="inner")
        x = ops.relu(self.conv(filters, "b")(inner))
        self.tail = keras.Model(inner, x, name="tail")
        self.deeper = ResidualBlock(filters, name="deeper")

    def call(self, inputs, training=None):
        x = self.tail(self.steps(inputs, training=training))
        return self.deeper(inputs + x)


@registered
class OwnCode(keras.Model):
    """A whole model whose `call` hides its layers, and a step that follows."""

    def __init__(self, width=6, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.stem = layers.Conv2D(width, 3, padding="same", name="stem")
        self.stages = [
            ResidualBlock(width, name="stage0"),
            GateBlock(width, name="gate"),
            ResidualBlock(8, project=True, name="stage1"),
        ]
        self.pool = layers.GlobalAveragePooling2D(name="pool")
        self.head = layers.Dense(4, name="logits")

    def call(self, inputs, training=None):
        x = self.stem(inputs)
        for stage in self.stages:
            # Keras on JAX hands it on by itself only to the model.
            asks = isinstance(stage, ResidualBlock)
            x = stage(x, **({"training": training} if asks else {}))
        return self.head(self.pool(x))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@registered
class OwnCodeOverGraph(keras.Model):
    """Functional subclass with a `call` that adds to what its graph does."""

    def __init__(self, filters=7, **kwargs):
        image = keras.Input(IMAGE, name="image")
        x = layers.Conv2D(filters, 3, padding="same", name="c1")(image)
        super().__init__(image, layers.ReLU(name="relu")(x), **kwargs)
        self.filters = filters
        self.head = layers.Dense(4, name="logits")
        self.head.build((None, filters))

    def call(self, inputs, training=None, mask=None):
        maps = super().call(inputs, training=training, mask=mask)
        return self.head(ops.mean(maps, axis=(1, 2)))

    def get_config(self):
        return {"filters": self.filters, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def residual_blocks():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    x = ResidualBlock(7, name="first")(x)
    x = ResidualBlock(6, project=True, name="second")(x)
    return keras.Model(image, pooled_logits(x))


def block_called_twice():
    block = ResidualBlock(7, name="block")
    return around(lambda x: block(block(x)))


def subclassed():
    model = OwnCode(name="own_code")
    model(ops.zeros((2, *IMAGE)))
    return model


def subclassed_over_graph():
    return OwnCodeOverGraph(name="over_graph")
