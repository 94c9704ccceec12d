"""Builders of the zoo around operations that take channels apart."""

import keras
from keras import layers, ops

from keras_chex.graph.keras_nodes import application_layer
from tests.zoo_topologies import IMAGE, conv_bn, conv_bn_relu, pooled_logits

LayerScale = application_layer("convnext", "LayerScale")
StochasticDepth = application_layer("convnext", "StochasticDepth")
CustomScaleLayer = application_layer("inception_resnet_v2", "CustomScaleLayer")


def conv(x, filters, name, **kwargs):
    return layers.Conv2D(filters, 3, padding="same", name=name, **kwargs)(x)


def model_of(body):
    """Builds `image -> body -> last -> logits`."""
    image = keras.Input(IMAGE, name="image")
    return keras.Model(image, pooled_logits(conv(body(image), 6, "last")))


def channel_slices():
    def body(image):
        x = conv_bn(image, 12, "c1")
        left = conv(x[..., :4], 8, "left", activation="relu")
        x = left + conv(x[..., 4:], 8, "right")
        even, odd = x[:, :-1, ..., ::2], x[:, 1:, :, 1::2]
        return layers.Concatenate(name="join")([even, odd])

    return model_of(body)


def uneven_slice():
    def body(image):
        x = conv(image, 10, "c1")
        return conv(x[..., 3:8], 7, "c2", activation="relu")

    return model_of(body)


def channel_splits():
    def body(image):
        x = conv(image, 12, "c1")
        gate, value, rest = ops.split(x, 3, axis=-1)
        x = conv(gate * value + ops.silu(rest), 12, "c2")
        left, right = ops.split(x, [4], axis=-1)
        left = conv(left, 3, "left")
        top, bottom = ops.split(right, 2, axis=1)
        right = layers.Concatenate(axis=1, name="stack")([bottom, top])
        return layers.Concatenate(name="join")([left, right])

    return model_of(body)


def channel_shuffle():
    def body(image):
        x = conv_bn_relu(image, 12, "c1")
        height, width = x.shape[1:3]
        x = ops.reshape(x, (-1, height, width, 3, 4))
        x = ops.transpose(x, (0, 1, 2, 4, 3))
        return conv(ops.reshape(x, (-1, height, width, 12)), 7, "c2")

    return model_of(body)


def windows():
    """Convolves windows of a picture on their own: they join the batch."""

    def body(image):
        x = conv_bn_relu(image, 12, "c1")
        height, width = x.shape[1:3]
        x = ops.reshape(x, (-1, height // 2, 2, width // 2, 2, 12))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = conv(ops.reshape(x, (-1, 2, 2, 12)), 7, "c2")
        # Rows of positions with their channels.
        x = ops.reshape(ops.tanh(x), (-1, height // 2 * width // 2, 2, 2 * 7))
        x = ops.reshape(x, (-1, height // 2, width // 2, 2, 2, 7))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (-1, height, width, 7))

    return model_of(body)


def patches():
    """Convolves patches, whose places are channels beside each other."""

    def body(image):
        x = conv_bn_relu(image, 5, "c1")
        x = ops.image.extract_patches(x, 2, padding="valid")
        return conv(ops.relu(x), 7, "c2", strides=2)

    return model_of(body)


def pixel_shuffle():
    def body(image):
        x = conv(image, 24, "c1")
        height, width = x.shape[1:3]
        x = ops.reshape(x, (-1, height, width, 2, 2, 6))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
        x = ops.relu(ops.reshape(x, (-1, 2 * height, 2 * width, 6)))
        x = conv(x, 20, "c2", strides=2)
        x = layers.Reshape((height, width, 5, 2, 2), name="apart")(x)
        x = layers.Permute((1, 4, 2, 5, 3), name="place")(x)
        return layers.Reshape((2 * height, 2 * width, 5), name="up")(x)

    return model_of(body)


def padded_space_and_channels():
    def body(image):
        x = conv(image, 5, "c1")
        wide = conv(x, 7, "c2")
        x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])[:, 1:-1, 1:-1]
        return ops.relu(wide + ops.pad(x, [[0, 0], [0, 0], [0, 0], [0, 2]]))

    return model_of(body)


def axes_moved():
    def body(image):
        x = conv(image, 7, "c1")
        pooled = ops.max(ops.mean(x, axis=1), axis=1, keepdims=True)
        gate = conv(ops.expand_dims(pooled, 1), 7, "gate")
        x = ops.swapaxes(x * ops.sigmoid(gate), 1, 2)
        x = ops.moveaxis(ops.moveaxis(x, 3, 1), 1, -1)
        x = ops.flip(ops.cast(x, "float32"), axis=1)
        return ops.image.resize(x, (5, 6))

    return model_of(body)


def group_normalization():
    def body(image):
        x = conv(image, 12, "c1")
        x = layers.GroupNormalization(3, name="three")(x)
        x = conv(layers.ReLU(name="relu")(x), 8, "c2")
        x = layers.GroupNormalization(-1, name="instance")(x)
        x = conv(x, 9, "c3")
        x = layers.GroupNormalization(1, name="one")(x)
        x = conv(x, 8, "c4")
        bare = {"scale": False, "center": False}
        x = layers.GroupNormalization(2, **bare, name="bare")(x)
        x = conv(layers.ReLU(name="relu2")(x), 6, "c5")
        x = layers.GroupNormalization(1, **bare, name="bare_one")(x)
        x = conv(x, 7, "c6")
        if hasattr(layers, "RMSNormalization"):  # From Keras 3.9 on.
            x = layers.RMSNormalization(name="rms")(x)
        return layers.UnitNormalization(name="unit")(x)

    return model_of(body)


def convnext_block():
    def body(image):
        x = conv(image, 7, "c1")
        y = conv(x, 7, "depthwise", groups=7)
        y = layers.LayerNormalization(name="norm")(y)
        y = layers.Dense(15, activation="gelu", name="expand")(y)
        y = layers.Dense(7, name="project")(y)
        y = StochasticDepth(0.0, name="drop")(LayerScale(1, 7, name="scale")(y))
        return x + y

    return model_of(body)


def scaled_residual():
    def body(image):
        x = conv_bn_relu(image, 7, "c1")
        y = conv_bn_relu(x, 5, "a")
        y = layers.Conv2D(7, 1, name="b")(y)
        return layers.ReLU(name="out")(CustomScaleLayer(0.3)([x, y]))

    return model_of(body)


def time_distributed():
    def body(image):
        x = conv(image, 7, "c1")
        rows = layers.Conv1D(6, 3, padding="same", name="rows_conv")
        x = layers.TimeDistributed(rows, name="rows")(x)
        norm = layers.BatchNormalization(name="each_bn")
        x = layers.TimeDistributed(norm, name="each")(x)
        dense = layers.Dense(9, activation="relu", name="cells_dense")
        return layers.TimeDistributed(dense, name="cells")(x)

    return model_of(body)


def recurrent():
    """Text recognition: columns of a map are the steps of a sequence."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 5, "c1")
    x = layers.Permute((2, 1, 3), name="columns")(x)
    x = layers.Reshape((6, 8 * 5), name="sequence")(x)
    x = layers.Dense(9, activation="relu", name="embed")(x)
    both = layers.Bidirectional(
        layers.GRU(4, return_sequences=True), name="both"
    )
    x = layers.Dense(7, name="between")(both(x))
    x = layers.LSTM(5, return_sequences=True, name="lstm")(x)
    x = layers.Dense(6, activation="relu", name="last")(x)
    return keras.Model(image, pooled_logits(x))


def recurrent_video():
    video = keras.Input((4, *IMAGE), name="video")
    x = layers.TimeDistributed(
        layers.Conv2D(6, 3, padding="same"), name="frames"
    )(video)
    x = layers.ConvLSTM2D(
        5, 3, padding="same", return_sequences=True, name="every"
    )(x)
    x = layers.TimeDistributed(
        layers.Conv2D(7, 3, activation="relu"), name="again"
    )(x)
    x = layers.ConvLSTM2D(4, 3, name="end")(x)
    return keras.Model(video, pooled_logits(conv(x, 6, "last")))


def einsum_dense():
    def body(image):
        x = conv(image, 7, "c1")
        x = layers.EinsumDense(
            "abcd,de->abce", (None, None, 9), bias_axes="e", name="e1"
        )(x)
        # Keras 3.8 computes something else with an ellipsis.
        is_right = hasattr(layers, "RMSNormalization")
        x = layers.EinsumDense(
            "...d,de->...e" if is_right else "abcd,de->abce",
            8 if is_right else (None, None, 8),
            activation="relu",
            bias_axes="e",
            name="e2",
        )(x)
        y = layers.EinsumDense(
            "abcd,def->abcef", (None, None, 2, 5), bias_axes="ef", name="heads"
        )(x)
        y = layers.EinsumDense(
            "abcef,efd->abcd", (None, None, 8), bias_axes="d", name="join"
        )(ops.relu(y))
        return x + y

    return model_of(body)


def attention():
    image = keras.Input(IMAGE, name="image")
    x = layers.Reshape((48, 6), name="tokens")(conv(image, 6, "c1"))
    y = layers.LayerNormalization(name="norm1")(x)
    x = x + layers.MultiHeadAttention(2, 4, value_dim=3, name="heads")(y, y)
    y = layers.LayerNormalization(name="norm2")(x)
    y = layers.Dense(13, activation="gelu", name="expand")(y)
    x = x + layers.Dense(6, name="project")(y)
    return keras.Model(image, pooled_logits(x))


def attention_layers():
    image = keras.Input(IMAGE, name="image")
    x = layers.Reshape((48, 6), name="tokens")(conv(image, 6, "c1"))
    query, key = (layers.Dense(5, name=name)(x) for name in ("query", "key"))
    x = layers.Dense(7, name="value")(x)
    x = layers.Attention(use_scale=True, name="look")([query, x, key])
    x = layers.Attention(name="again")([x, x])
    x = layers.Dense(6, activation="relu", name="last")(x)
    return keras.Model(image, pooled_logits(x))


def embedded_input():
    """What a table makes of numbers are channels as any."""
    words = keras.Input((7,), dtype="int32", name="words")
    x = layers.Embedding(5, 6, name="table")(words)
    x = layers.Conv1D(8, 3, activation="relu", name="c1")(x)
    return keras.Model(words, pooled_logits(x))


def masked_words():
    """Padding is masked, from the table to what sums up."""
    words = keras.Input((7,), dtype="int32", name="words")
    x = layers.Embedding(5, 6, mask_zero=True, name="table")(words)
    x = layers.Dropout(0.5)(x)
    x = layers.GRU(5, return_sequences=True, name="gru")(x)
    x = layers.Dense(7, activation="relu", name="between")(x)
    both = layers.Bidirectional(layers.LSTM(3), name="both")(x)
    mean = layers.GlobalAveragePooling1D()(x)
    x = layers.Concatenate()([both, mean])
    x = layers.Dense(6, activation="relu", name="last")(x)
    return keras.Model(words, layers.Dense(3, name="logits")(x))


def masked_attention():
    """Attention finds the mask itself, so that its channels stay."""
    words = keras.Input((7,), dtype="int32", name="words")
    x = layers.Embedding(5, 6, mask_zero=True, name="table")(words)
    x = layers.MultiHeadAttention(2, 3, name="heads")(x, x)
    x = layers.Dense(7, activation="relu", name="last")(x)
    return keras.Model(words, pooled_logits(x))


def repeated_model():
    """A network for every picture of a video, and one for what it finds."""
    picture = keras.Input((6, 5, 4))
    x = layers.ReLU()(conv(picture, 7, "inner"))
    y = layers.Add()([x, conv(x, 7, "back")])
    frames = keras.Model(picture, layers.Flatten()(y), name="frames")
    video = keras.Input((3, 8, 7, 3), name="video")
    x = layers.TimeDistributed(layers.Conv2D(4, 3), name="before")(video)
    x = layers.TimeDistributed(frames, name="every")(x)
    x = layers.Dense(5, "relu", name="each")(x)
    x = layers.LSTM(4, name="sum")(x)
    return keras.Model(video, layers.Dense(3, name="logits")(x))


def channel_statistics():
    """Spatial attention as in CBAM, and a normalisation spelled out."""

    def body(image):
        x = conv_bn(image, 12, "c1")
        # Without optimisations, XLA has NaN in the gradients of `ops.max`.
        maps = [ops.mean, ops.logsumexp]
        maps = [statistic(x, axis=-1, keepdims=True) for statistic in maps]
        maps = layers.Concatenate(name="maps")(maps)
        x = x * ops.sigmoid(conv(maps, 1, "attention"))
        x = conv(x, 10, "c2")
        mean, variance = ops.moments(x, axes=(1, 2, 3), keepdims=True)
        x = (x - mean) * ops.rsqrt(variance + 1e-3)
        squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
        return x / ops.sqrt(squares + 1e-3)

    return model_of(body)


def dot_layers():
    """Attention between all pixels, and the likeness of two vectors."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 8, "c1")
    height, width = x.shape[1:3]
    query, key, value = (
        layers.Reshape((height * width, 6))(layers.Conv2D(6, 1, name=name)(x))
        for name in ("query", "key", "value")
    )
    scores = layers.Softmax()(layers.Dot(axes=2, name="scores")([query, key]))
    x = layers.Dot(axes=(2, 1), name="weighted")([scores, value])
    # As in GCNet: one weight for every pixel.
    weights = layers.Softmax(axis=1)(layers.Dense(1, name="weights")(x))
    x = ops.matmul(ops.transpose(x, (0, 2, 1)), weights)
    x = layers.Flatten(name="pooled")(x)
    left = layers.Dense(7, name="left")(x)
    right = layers.Dense(7, name="right")(x)
    alike = layers.Dot(axes=-1, normalize=True, name="alike")([left, right])
    product = ops.sum(left * right, axis=-1, keepdims=True)
    return keras.Model(image, layers.Concatenate()([alike, product]))
