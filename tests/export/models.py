"""Small models with the input and output structures that exports meet."""

import keras

layers = keras.layers


def with_statistics(model):
    """Gives BatchNormalization statistics that are neither 0 nor 1."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            for i, variable in enumerate(layer.weights):
                noise = keras.random.uniform(
                    variable.shape, 0.5, 1.5, seed=i + 1
                )
                variable.assign(noise)
    return model


def image_model():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return with_statistics(keras.Model(inputs, layers.Dense(3)(x)))


def sequence_model():
    return keras.Sequential(
        [
            keras.Input((16, 2)),
            layers.Conv1D(4, 3, activation="relu"),
            layers.MaxPooling1D(2),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


def volume_model():
    inputs = keras.Input((6, 6, 6, 2))
    x = layers.Conv3D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv3DTranspose(3, 2, strides=2)(x)
    return keras.Model(inputs, layers.GlobalAveragePooling3D()(x))


def two_inputs_two_outputs():
    image = keras.Input((8, 8, 3), name="image")
    extra = keras.Input((5,), name="extra")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    x = layers.Concatenate()([x, extra])
    outputs = [layers.Dense(3)(x), layers.Dense(1)(x)]
    return keras.Model([image, extra], outputs)


def dict_inputs_and_outputs():
    # Sorted by name the inputs swap places, and so do the outputs.
    zebra = keras.Input((4,), name="zebra")
    apple = keras.Input((4,), name="apple")
    difference = layers.Subtract()([zebra, apple])
    outputs = {
        "width": layers.Dense(2)(difference),
        "class": layers.Dense(2)(apple),
    }
    return keras.Model({"zebra": zebra, "apple": apple}, outputs)


def embedding_model():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 4)(inputs)
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(x))


def fixed_batch_model():
    inputs = keras.Input(batch_shape=(2, 8, 8, 3))
    return keras.Model(inputs, layers.Conv2D(4, 3)(inputs))


def free_size_model():
    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, layers.Conv2D(4, 3)(inputs))


class Subclassed(keras.Model):
    """A model that only its `call` describes."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(4, activation="relu")
        self.head = layers.Dense(2)

    def call(self, inputs, training=False):
        return self.head(self.hidden(inputs))


def subclassed_model():
    model = Subclassed()
    model(keras.ops.zeros((1, 5)))
    return model


MODELS = {
    builder.__name__: builder
    for builder in (
        image_model,
        sequence_model,
        volume_model,
        two_inputs_two_outputs,
        dict_inputs_and_outputs,
        embedding_model,
        fixed_batch_model,
        free_size_model,
        subclassed_model,
    )
}


@keras.saving.register_keras_serializable(package="keras_chex_tests")
class ChangesAfterTracing(layers.Layer):
    """Adds how often its Python code ran: a file cannot know."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs + float(self.calls)


def unfaithful_model():
    inputs = keras.Input((4,))
    return keras.Model(inputs, ChangesAfterTracing()(layers.Dense(2)(inputs)))
