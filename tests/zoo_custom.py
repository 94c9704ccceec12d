"""Layers, functions and model classes of the zoo that users would write."""

import keras
from keras import layers, ops

PACKAGE = "zoo"


@keras.saving.register_keras_serializable(package=PACKAGE)
class ChannelShift(layers.Layer):
    """Rolls the channels by one: no rule can be guessed for it."""

    def call(self, inputs):
        return ops.concatenate([inputs[..., 1:], inputs[..., :1]], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package=PACKAGE)
class ChannelGain(layers.Layer):
    """Multiplies by one own weight per channel."""

    def build(self, input_shape):
        self.gain = self.add_weight(
            shape=(input_shape[-1],), initializer="ones", name="gain"
        )

    def call(self, inputs):
        return inputs * self.gain


@keras.saving.register_keras_serializable(package=PACKAGE)
class CountedTraces(layers.Layer):
    """Returns its input and counts how often its Python code has run.

    What reads channels runs it on Keras' own symbolic tensors, uncounted.
    """

    traces = 0

    def call(self, inputs):
        self.traces += not isinstance(inputs, keras.KerasTensor)
        return inputs


@keras.saving.register_keras_serializable(package=PACKAGE)
def reverse_channels(inputs):
    return ops.flip(inputs, axis=-1)


@keras.saving.register_keras_serializable(package=PACKAGE)
class ScaledLossModel(keras.Model):
    """Functional subclass with its own `train_step`, as in Keras' guides.

    The training loss is multiplied by `scale`, an attribute that a model of
    another class would not have.
    """

    scale = 1.0
    scaling = False

    def train_step(self, *args):
        if keras.backend.backend() == "tensorflow":
            return self._tensorflow_step(*args)
        self.scaling = True
        try:
            return super().train_step(*args)
        finally:
            self.scaling = False

    def compute_loss(self, *args, **kwargs):
        loss = super().compute_loss(*args, **kwargs)
        return self.scale * loss if self.scaling else loss

    def _tensorflow_step(self, data):
        import tensorflow as tf

        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            predicted = self(x, training=True)
            loss = self.scale * self.compute_loss(x, y, predicted)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        scale = config.pop("scale")
        model = super().from_config(config, custom_objects)
        model.scale = scale
        return model


@keras.saving.register_keras_serializable(package=PACKAGE)
class SmallClassifier(keras.Model):
    """Functional subclass that builds its own graph, as KerasHub's models do.

    Its configuration holds the arguments only, its attributes hold layers,
    alone, in a list and in a dict.
    """

    def __init__(self, width=7, depth=2, name=None, **kwargs):
        inputs = keras.Input((8, 6, 3), name="image")
        stem = layers.Conv2D(width, 3, padding="same", name="stem")
        blocks = [
            layers.Conv2D(5 + i, 3, padding="same", name=f"block{i}")
            for i in range(depth)
        ]
        norms = {
            f"block{i}": layers.BatchNormalization(name=f"block{i}_bn")
            for i in range(depth)
        }
        head = layers.Dense(4, name="logits")
        x = ops.relu(stem(inputs))
        for block in blocks:
            x = ops.relu(norms[block.name](block(x)))
        outputs = head(layers.GlobalAveragePooling2D(name="pool")(x))
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)
        self.width = width
        self.depth = depth
        self.stem = stem
        self.blocks = blocks
        self.norms = norms
        self.head = head

    def features(self, images):
        return ops.relu(self.stem(images))

    def get_config(self):
        return {
            "width": self.width,
            "depth": self.depth,
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
