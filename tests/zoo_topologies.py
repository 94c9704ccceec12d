"""Builders of the zoo that differ in how layers are connected.

Widths are small and differ wherever they may, and pictures are not square, so
that a swapped axis or a wrong order changes a shape or a value.
"""

import keras
from keras import layers

IMAGE = (8, 6, 3)


def conv_bn(x, filters, name, size=3, **kwargs):
    x = layers.Conv2D(
        filters, size, padding="same", use_bias=False, name=name, **kwargs
    )(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def conv_bn_relu(x, filters, name, **kwargs):
    return layers.ReLU(name=f"{name}_relu")(conv_bn(x, filters, name, **kwargs))


def bn_relu_conv(x, filters, name, size=3):
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    x = layers.ReLU(name=f"{name}_relu")(x)
    return layers.Conv2D(
        filters, size, padding="same", use_bias=False, name=name
    )(x)


def pooled_logits(x, classes=4):
    pool = {
        3: layers.GlobalAveragePooling1D,
        4: layers.GlobalAveragePooling2D,
        5: layers.GlobalAveragePooling3D,
    }[len(x.shape)]
    return layers.Dense(classes, name="logits")(pool(name="pool")(x))


def plain():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    x = layers.MaxPooling2D(name="halve")(x)
    x = conv_bn_relu(x, 11, "c2", strides=2)
    x = conv_bn_relu(x, 5, "c3")
    return keras.Model(image, pooled_logits(x))


def residual_identity():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "stem")
    y = conv_bn(conv_bn_relu(x, 5, "a"), 7, "b")
    x = layers.ReLU(name="out")(layers.Add(name="add")([x, y]))
    return keras.Model(image, pooled_logits(x))


def residual_projection():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 6, "stem")
    y = conv_bn(conv_bn_relu(x, 5, "a", strides=2), 11, "b")
    shortcut = conv_bn(x, 11, "shortcut", size=1, strides=2)
    x = layers.ReLU(name="out")(layers.Add(name="add")([shortcut, y]))
    return keras.Model(image, pooled_logits(x))


def bottleneck():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 13, "stem")
    for block, width in (("b1", 5), ("b2", 6)):
        y = conv_bn_relu(x, width, f"{block}_1", size=1)
        y = conv_bn_relu(y, width + 2, f"{block}_2")
        y = conv_bn(y, 13, f"{block}_3", size=1)
        x = layers.Add(name=f"{block}_add")([x, y])
        x = layers.ReLU(name=f"{block}_out")(x)
    return keras.Model(image, pooled_logits(x))


def preactivation():
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(7, 3, padding="same", name="stem")(image)
    for block, width in (("b1", 5), ("b2", 6)):
        y = bn_relu_conv(x, width, f"{block}_1")
        y = bn_relu_conv(y, 7, f"{block}_2")
        x = layers.Add(name=f"{block}_add")([x, y])
    x = layers.BatchNormalization(name="last_bn")(x)
    return keras.Model(image, pooled_logits(layers.ReLU(name="out")(x)))


def dense_concat():
    image = keras.Input(IMAGE, name="image")
    x = layers.Conv2D(7, 3, padding="same", name="stem")(image)
    for block, growth in (("d1", 5), ("d2", 6)):
        y = bn_relu_conv(x, growth, block)
        x = layers.Concatenate(name=f"{block}_concat")([x, y])
    x = bn_relu_conv(x, 9, "transition", size=1)
    x = layers.AveragePooling2D(2, name="halve")(x)
    y = bn_relu_conv(x, 5, "d3")
    x = layers.Concatenate(name="d3_concat")([y, x])
    x = layers.BatchNormalization(name="last_bn")(x)
    return keras.Model(image, pooled_logits(layers.ReLU(name="out")(x)))


def depthwise_separable():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 5, "c1")
    x = layers.DepthwiseConv2D(
        3, depth_multiplier=2, padding="same", name="dw"
    )(x)
    x = layers.BatchNormalization(name="dw_bn")(x)
    x = layers.ReLU(name="dw_relu")(x)
    x = conv_bn_relu(x, 7, "pw", size=1)
    x = layers.SeparableConv2D(11, 3, depth_multiplier=2, name="sep")(x)
    x = layers.BatchNormalization(name="sep_bn")(x)
    return keras.Model(image, pooled_logits(x))


def squeeze_reshape():
    """The gate of EfficientNet: the width is baked into a Reshape."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    gate = layers.GlobalAveragePooling2D(name="squeeze")(x)
    gate = layers.Reshape((1, 1, 7), name="squeeze_shape")(gate)
    gate = layers.Conv2D(5, 1, activation="silu", name="reduce")(gate)
    gate = layers.Conv2D(7, 1, activation="sigmoid", name="expand")(gate)
    x = layers.Multiply(name="excite")([x, gate])
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 6, "c2")))


def squeeze_keepdims():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    gate = layers.GlobalMaxPooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Dense(5, activation="relu", name="reduce")(gate)
    gate = layers.Dense(7, activation="hard_sigmoid", name="expand")(gate)
    x = layers.Multiply(name="excite")([gate, x])
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 6, "c2")))


def one_channel_gate():
    """Spatial attention: a map of one channel ties nothing."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    gate = layers.Conv2D(1, 3, padding="same", name="gate")(x)
    gate = layers.Activation("sigmoid", name="gate_sigmoid")(gate)
    x = layers.Multiply(name="attend")([x, gate])
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 6, "c2")))


def flatten_to_dense():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 5, "c1")
    x = layers.MaxPooling2D(name="halve")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(11, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x))


def flatten_after_concat():
    image = keras.Input(IMAGE, name="image")
    left = conv_bn_relu(image, 5, "left", strides=2)
    right = conv_bn_relu(image, 7, "right", size=1, strides=2)
    x = layers.Concatenate(name="concat")([right, left, right])
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(11, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(4, name="logits")(x))


def shared_on_two_branches():
    image = keras.Input(IMAGE, name="image")
    shared = layers.Conv2D(7, 3, padding="same", name="shared")
    shared_bn = layers.BatchNormalization(name="shared_bn")
    left = shared_bn(shared(conv_bn_relu(image, 5, "left")))
    right = shared_bn(shared(conv_bn_relu(image, 5, "right", size=1)))
    x = layers.Concatenate(name="concat")([left, right])
    x = conv_bn_relu(layers.ReLU(name="out")(x), 6, "c2")
    return keras.Model(image, pooled_logits(x))


def shared_on_itself():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "stem")
    shared = layers.Conv2D(7, 3, padding="same", name="shared")
    x = shared(layers.ReLU(name="between")(shared(x)))
    return keras.Model(image, pooled_logits(layers.ReLU(name="out")(x)))


def two_inputs_two_outputs():
    image = keras.Input(IMAGE, name="image")
    facts = keras.Input((5,), name="facts")
    x = conv_bn_relu(image, 7, "c1")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    y = layers.Dense(6, activation="relu", name="encode")(facts)
    x = layers.Concatenate(name="concat")([y, x])
    x = layers.Dense(11, activation="relu", name="hidden")(x)
    outputs = {
        "logits": layers.Dense(4, name="logits")(x),
        "size": layers.Dense(1, name="size")(x),
    }
    return keras.Model([image, facts], outputs)


def pyramid_with_shared_heads(norm=layers.BatchNormalization):
    """Heads see both levels, with a norm for every level."""
    image = keras.Input(IMAGE, name="image")
    fine = conv_bn_relu(image, 5, "stem")
    coarse = conv_bn_relu(fine, 7, "down", strides=2)
    coarse = layers.Conv2D(6, 1, name="lateral2")(coarse)
    fine = layers.Add(name="merge")(
        [
            layers.Conv2D(6, 1, name="lateral1")(fine),
            layers.UpSampling2D(2, name="up")(coarse),
        ]
    )
    levels = {
        1: layers.Conv2D(8, 3, padding="same", name="out1")(fine),
        2: layers.Conv2D(8, 3, padding="same", name="out2")(coarse),
    }
    outputs = {}
    for head, size in (("boxes", 4), ("classes", 3)):
        first = layers.Conv2D(6, 3, padding="same", name=head)
        last = layers.Conv2D(2 * size, 3, padding="same", name=f"{head}_last")
        found = []
        for number, level in levels.items():
            x = norm(name=f"{head}_norm{number}")(first(level))
            x = last(layers.ReLU(name=f"{head}_relu{number}")(x))
            flat = layers.Reshape((-1, size), name=f"{head}_flat{number}")
            found.append(flat(x))
        outputs[head] = layers.Concatenate(1, name=f"{head}_all")(found)
    return keras.Model(image, outputs)


def part_of_another_model():
    """Its layers have further calls, which belong to another model."""
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    model = keras.Model(image, pooled_logits(conv_bn_relu(x, 5, "c2")))
    keras.Model(image, model.get_layer("c1_relu").output)
    other = keras.Input(IMAGE, name="other")
    layers.Flatten()(model.get_layer("c1")(other))
    return model


def convolution_is_output():
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(image, 7, "c1")
    x = layers.Conv2D(5, 3, padding="same", name="c2")(x)
    return keras.Model(image, [x, pooled_logits(x)])


def input_is_added():
    image = keras.Input((8, 6, 7), name="image")
    x = conv_bn(conv_bn_relu(image, 5, "a"), 7, "b")
    x = layers.Add(name="add")([image, x])
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 6, "c")))


def sequential():
    return keras.Sequential(
        [
            keras.Input(IMAGE, name="image"),
            layers.Conv2D(7, 3, use_bias=False, name="c1"),
            layers.BatchNormalization(name="c1_bn"),
            layers.ReLU(name="c1_relu"),
            layers.Conv2D(5, 3, name="c2"),
            layers.LeakyReLU(name="c2_relu"),
            layers.Flatten(name="flatten"),
            layers.Dense(11, activation="tanh", name="hidden"),
            layers.Dense(4, name="logits"),
        ]
    )


def nested_functional():
    inner = keras.Input((8, 6, 7), name="inner")
    x = conv_bn_relu(inner, 5, "a")
    x = layers.Add(name="add")([inner, conv_bn(x, 7, "b")])
    block = keras.Model(inner, x, name="block")
    image = keras.Input(IMAGE, name="image")
    x = block(conv_bn_relu(image, 7, "c1"))
    return keras.Model(image, pooled_logits(conv_bn_relu(x, 6, "c2")))


def nested_sequential():
    """Inner and outer layers of the same name."""
    stem = keras.Sequential(
        [
            keras.Input(IMAGE),
            layers.Conv2D(7, 3, padding="same", use_bias=False, name="c1"),
            layers.BatchNormalization(name="c1_bn"),
            layers.ReLU(name="c1_relu"),
        ],
        name="stem",
    )
    image = keras.Input(IMAGE, name="image")
    x = conv_bn_relu(stem(image), 5, "c1")
    return keras.Model(image, pooled_logits(x))


def nested_called_twice():
    """An inner model on two tensors: both calls share its weights.

    One call needs the other's result: their order, which the statistics of
    the shared BatchNormalization depend on, is the same in every copy.
    """
    inner = keras.Input((8, 6, 5), name="inner")
    block = keras.Model(inner, conv_bn_relu(inner, 7, "a"), name="block")
    image = keras.Input(IMAGE, name="image")
    first = block(conv_bn_relu(image, 5, "c1"))
    second = block(conv_bn_relu(first, 5, "c2", size=1))
    x = layers.Maximum(name="join")([first, second])
    return keras.Model(image, pooled_logits(x))
