"""Builders of the zoo that differ in the kind of layer or operation."""

import keras
import numpy as np
from keras import layers, ops

from tests.zoo_custom import (
    ChannelShift,
    ScaledLossModel,
    SmallClassifier,
    reverse_channels,
)
from tests.zoo_topologies import (
    IMAGE,
    conv_bn,
    conv_bn_relu,
    pooled_logits,
)


def between(*steps):
    """Builds `c1 -> steps -> c2 -> logits`, each step a layer or function."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    for step in steps:
        x = step(x)
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 5, "c2")))


def sigmoid_before_convolution():
    return between(
        layers.Conv2D(6, 3, name="middle"),
        layers.Activation("sigmoid", name="sigmoid"),
    )


def softplus_before_convolution():
    return between(
        layers.Conv2D(6, 3, activation="softplus", name="middle"),
        layers.Activation("exponential", name="exponential"),
    )


def softmax_inside():
    return between(layers.Softmax(name="softmax"))


def activations():
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(7, 3, activation="gelu", name="c1")(image)
    for i, name in enumerate(("silu", "tanh", "hard_silu", "selu")):
        x = layers.Conv2D(
            5 + i, 3, padding="same", activation=name, name=f"c{i + 2}"
        )(x)
    x = layers.ELU(name="elu")(x)
    x = layers.Activation("softsign", name="softsign")(x)
    return keras.Model(image, pooled_logits(x))


def prelu():
    return between(
        layers.Conv2D(6, 3, name="middle"),
        layers.PReLU(shared_axes=[1, 2], name="prelu"),
        layers.Conv2D(9, 3, name="last"),
        layers.PReLU(name="prelu_everywhere"),
    )


def transposed_convolution():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1", strides=2)
    x = layers.Conv2DTranspose(
        5, 3, strides=2, padding="same", use_bias=False, name="up"
    )(x)
    x = layers.BatchNormalization(name="up_bn")(x)
    x = layers.ReLU(name="up_relu")(x)
    x = layers.Conv2DTranspose(6, 2, activation="relu", name="up2")(x)
    return keras.Model(image, pooled_logits(x))


def no_batch_normalization():
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(5, 3, padding="same", activation="relu", name="c1")(image)
    x = layers.Conv2D(7, 3, padding="same", activation="relu", name="c2")(x)
    x = layers.MaxPooling2D(name="halve")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="c3")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(11, activation="relu", name="d1")(x)
    x = layers.Dense(9, activation="relu", name="d2")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x))


def one_dimensional():
    signal = keras.Input((24, 3), name="signal")
    x = layers.Conv1D(5, 3, use_bias=False, name="c1")(signal)
    x = layers.BatchNormalization(name="c1_bn")(x)
    x = layers.ReLU(name="c1_relu")(x)
    x = layers.MaxPooling1D(name="halve")(x)
    x = layers.ZeroPadding1D(2, name="pad")(x)
    x = layers.SeparableConv1D(7, 3, name="sep")(x)
    x = layers.DepthwiseConv1D(3, depth_multiplier=2, name="dw")(x)
    x = layers.Conv1D(6, 3, padding="causal", name="causal")(x)
    x = layers.UpSampling1D(2, name="up")(x)
    x = layers.Cropping1D((1, 2), name="crop")(x)
    x = layers.Conv1DTranspose(9, 3, strides=2, name="transposed")(x)
    x = layers.AveragePooling1D(2, name="smooth")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(signal, layers.Dense(4, name="logits")(x))


def three_dimensional():
    volume = keras.Input((6, 4, 5, 2), name="volume")
    x = conv = layers.Conv3D(5, 3, padding="same", name="c1")(volume)
    x = layers.BatchNormalization(name="c1_bn")(x)
    x = layers.ReLU(name="c1_relu")(x)
    x = layers.Conv3D(5, 3, padding="same", name="c2")(x)
    x = layers.Add(name="add")([x, conv])
    x = layers.ZeroPadding3D(1, name="pad")(x)
    x = layers.Cropping3D(((1, 1), (0, 1), (1, 0)), name="crop")(x)
    x = layers.MaxPooling3D((2, 2, 2), name="halve")(x)
    x = layers.Conv3DTranspose(7, 2, strides=2, name="transposed")(x)
    x = layers.UpSampling3D((1, 2, 1), name="up")(x)
    x = layers.AveragePooling3D((2, 2, 2), name="smooth")(x)
    return keras.Model(volume, pooled_logits(x))


def spatial_layers():
    return between(
        layers.ZeroPadding2D(((1, 2), (0, 3)), name="pad"),
        layers.AveragePooling2D((2, 3), padding="same", name="smooth"),
        layers.UpSampling2D((3, 2), interpolation="bilinear", name="up"),
        layers.Conv2D(6, 3, name="middle"),
        layers.Cropping2D(((1, 0), (2, 1)), name="crop"),
        layers.MaxPooling2D((3, 2), strides=1, padding="same", name="max"),
    )


def merges():
    image = keras.Input(IMAGE, name="image")
    a, b, c = (conv_bn_relu(image, 7, name) for name in "abc")
    d, e = (conv_bn(image, 5, name) for name in "de")
    x = layers.Average(name="average")([a, b, c])
    y = layers.Subtract(name="subtract")([d, e])
    f = layers.Conv2D(5, 3, padding="same", name="f")(x)
    y = layers.Minimum(name="minimum")([y, f])
    y = layers.Maximum(name="maximum")([y, d])
    x = layers.Concatenate(name="concat")([y, x])
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 6, "last")))


def raw_operations():
    image = keras.Input(IMAGE, name="image")
    stem = conv_bn(image, 7, "stem")
    x = ops.relu(stem)
    y = ops.multiply(conv_bn(ops.relu6(x), 7, "a"), 0.5)
    x = x + y - stem
    z = conv_bn(x, 5, "b")
    x = ops.concatenate([ops.silu(z), ops.maximum(x, 0.0)], axis=-1)
    x = ops.leaky_relu(conv_bn(x, 6, "c"), negative_slope=0.1)
    # Keras on JAX does not find the strides by itself.
    x = ops.max_pool(x, 2, strides=2)
    x = ops.mean(x, axis=(1, 2))
    return keras.Model(image, layers.Dense(4, name="logits")(x))


def raw_hard_sigmoid_gate():
    """MobileNetV3 writes its gates with raw arithmetic."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn(image, 7, "c1")
    x = x * (ops.relu6(x + 3.0) * (1.0 / 6.0))
    gate = ops.mean(x, axis=(1, 2), keepdims=True)
    gate = ops.relu(layers.Conv2D(5, 1, name="reduce")(gate))
    gate = layers.Conv2D(7, 1, name="expand")(gate)
    x = ops.multiply(x, ops.hard_sigmoid(gate))
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 6, "c2")))


def reshapes():
    """One merges channels with positions, one splits them: a barrier."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    x = ops.reshape(x, (-1, 8, 42))
    x = layers.Conv1D(10, 3, name="c2")(x)
    x = ops.reshape(x, (-1, 12, 5))
    x = layers.Conv1D(6, 3, name="c3")(x)
    x = layers.Reshape((20, 3), name="shuffle")(x)
    return keras.Model(image, pooled_logits(layers.Conv1D(5, 3, name="c4")(x)))


def raw_array_constant():
    """A constant with one value per channel is narrowed or freezes."""
    gain = np.linspace(0.5, 2.0, 7).astype("float32")
    return between(lambda x: ops.multiply(x, gain))


def reshaped_head():
    """The head of MobileNet: the classifier is a convolution."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Reshape((1, 1, 7), name="as_map")(x)
    x = layers.Conv2D(9, 1, activation="relu", name="hidden")(x)
    x = layers.Conv2D(4, 1, name="logits")(x)
    return keras.Model(image, layers.Reshape((4,), name="as_vector")(x))


def preprocessing():
    image = keras.Input(IMAGE, name="image")
    x = layers.Rescaling(0.5, offset=-1.0, name="rescale")(image)
    x = layers.Normalization(
        mean=[0.1, -0.2, 0.3], variance=[1.5, 0.5, 2.0], name="normalize"
    )(x)
    x = conv_bn_relu(x, 7, "c1")
    x = layers.Rescaling(0.5, name="halve")(x)
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 5, "c2")))


def noise():
    return between(
        layers.Dropout(0.3, seed=1, name="dropout"),
        layers.GaussianNoise(0.1, seed=2, name="gaussian"),
        layers.SpatialDropout2D(0.2, seed=3, name="spatial"),
        layers.Dropout(0.2, noise_shape=(None, 1, 1, 1), seed=4, name="depth"),
    )


def batch_normalization_options():
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(7, 3, use_bias=False, name="c1")(image)
    x = layers.BatchNormalization(scale=False, name="no_gamma")(x)
    x = layers.ReLU(name="relu1")(x)
    x = layers.Conv2D(5, 3, name="c2")(x)
    x = layers.BatchNormalization(center=False, name="no_beta")(x)
    x = layers.ReLU(name="relu2")(x)
    x = layers.Conv2D(6, 3, padding="same", name="c3")(x)
    x = layers.BatchNormalization(
        scale=False, center=False, momentum=0.9, epsilon=1e-2, name="neither"
    )(x)
    return keras.Model(image, pooled_logits(layers.ReLU(name="relu3")(x)))


def frozen_layers():
    """`trainable=False` holds values, not widths."""
    model = between(
        layers.Conv2D(6, 3, name="held", trainable=False),
        layers.BatchNormalization(name="held_bn"),
        layers.ReLU(name="held_relu"),
    )
    model.get_layer("held_bn").trainable = False
    return model


def layer_without_rule():
    return between(
        layers.Conv2D(6, 3, name="middle"), ChannelShift(name="shift")
    )


def lambda_layer():
    return between(
        layers.Conv2D(6, 3, name="middle"),
        layers.Lambda(reverse_channels, name="reverse"),
    )


def layer_normalization():
    return between(
        layers.Conv2D(6, 3, name="middle"),
        layers.LayerNormalization(name="norm"),
    )


def channels_first():
    # Keras adds a bias along the last axis where that is as long as the bias
    # (`keras.ops.add` takes it for the channel axis): maps are kept wider.
    image = keras.Input((3, 4, 18), name="image")
    options = {"data_format": "channels_first", "padding": "same"}
    x = layers.Conv2D(7, 3, name="c1", **options)(image)
    x = layers.BatchNormalization(axis=1, name="c1_bn")(x)
    x = layers.ReLU(name="c1_relu")(x)
    y = layers.DepthwiseConv2D(3, name="dw", **options)(x)
    y = layers.Conv2D(5, 1, name="c2", **options)(y)
    x = layers.Concatenate(axis=1, name="concat")([x, y])
    x = layers.MaxPooling2D(data_format="channels_first", name="halve")(x)
    x = layers.Conv2DTranspose(6, 3, name="up", **options)(x)
    x = layers.Flatten(data_format="channels_first", name="flatten")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x))


def regularized():
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(
        7,
        3,
        kernel_regularizer=keras.regularizers.L2(1e-2),
        bias_regularizer=keras.regularizers.L1(1e-2),
        name="c1",
    )(image)
    x = layers.BatchNormalization(
        gamma_regularizer=keras.regularizers.L1L2(1e-2, 1e-2), name="c1_bn"
    )(x)
    x = layers.Conv2D(
        5,
        3,
        activation="relu",
        activity_regularizer=keras.regularizers.L2(1e-2),
        name="c2",
    )(x)
    x = layers.ActivityRegularization(l1=1e-2, name="activity")(x)
    return keras.Model(image, pooled_logits(x))


def grouped_convolution():
    return between(
        layers.Conv2D(6, 3, activation="relu", name="before"),
        layers.Conv2D(10, 3, groups=2, name="grouped"),
        layers.ReLU(name="grouped_relu"),
    )


def grouped_as_depthwise():
    """`groups` equal to the channels: ConvNeXt's depthwise convolution."""
    return between(
        layers.Conv2D(14, 3, groups=7, padding="same", name="dw"),
        layers.ReLU(name="dw_relu"),
        layers.Conv2D(6, 3, groups=1, name="middle"),
        layers.Conv2D(6, 3, groups=6, padding="same", name="dw2"),
    )


def dense_on_maps():
    return between(
        layers.Dense(11, activation="gelu", name="expand"),
        layers.Dense(6, name="project"),
    )


def functional_subclass():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    y = conv_bn_relu(conv_bn_relu(x, 5, "a"), 7, "b")
    x = layers.Add(name="add")([x, y])
    model = ScaledLossModel(image, pooled_logits(x))
    model.scale = 0.25
    return model


def subclass_with_own_graph():
    return SmallClassifier(width=7, depth=2, name="small")
