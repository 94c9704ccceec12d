"""Networks of the experiments for small images, at any width.

A network is described by the widths of its stages, so that the same function
builds the dense network, a wide one, and the uniformly slim one that CHEX is
compared with. Images go in as raw pixels and logits come out: the exported
model needs no code around it.
"""

import keras

DEPTHS = (8, 14, 20, 32, 44, 56)
VGG_STAGES = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def cifar_resnet(
    depth=20,
    widths=(16, 32, 64),
    input_shape=(32, 32, 3),
    classes=10,
    shortcut="projection",
    mean=(0.0,),
    std=(1.0,),
    name=None,
    augment=None,
):
    """ResNet-20, 32, 44 or 56, and shorter ones, for small images.

    Args:
        depth: int, one of `DEPTHS`: two convolutions in each block, an equal
            number of blocks in each of the three stages, stem and classifier.
        widths: three ints, channels of each stage.
        input_shape: `(height, width, colours)`, pixels from 0 to 255.
        classes: int, number of logits.
        shortcut: `"projection"` (1x1 convolution and BatchNorm where the width
            changes) or `"pad"` (stride-2 slice and zero channels, option A of
            the ResNet paper, without weights).
        mean: floats, one for every colour or a single one, of pixels in [0, 1].
        std: likewise, the standard deviation.
        name: string, defaults to `resnet<depth>`.
        augment: a layer that changes pixels in training, or `None`.

    Returns:
        A functional `keras.Model` whose outputs are logits of shape
        `(batch, classes)`.

    Raises:
        ValueError: If `depth` or `shortcut` is none of the above.

    Reference:

    - [He et al., 2016](https://arxiv.org/abs/1512.03385), section 4.2
    """
    if depth not in DEPTHS:
        raise ValueError(
            f"Argument `depth` must be one of {DEPTHS}. Received: depth={depth}"
        )
    blocks = ((depth - 2) // 6,) * 3
    standard = standardise(mean, std)
    return _resnet(
        blocks,
        widths,
        input_shape,
        classes,
        shortcut,
        (lambda x: standard(augment(x))) if augment else standard,
        name or f"resnet{depth}",
    )


def cifar_vgg(
    depth=16,
    widths=(64, 128, 256, 512, 512),
    input_shape=(32, 32, 3),
    classes=10,
    mean=(0.0,),
    std=(1.0,),
    name=None,
    augment=None,
):
    """VGG-11, 13, 16 or 19 with BatchNorm, for small images.

    As in pruning papers, one classifier behind a global average takes the
    place of the three large dense layers.

    Args:
        depth: int, 11, 13, 16 or 19: 3x3 convolutions of the network with
            its three dense layers.
        widths: five ints, channels of each stage. Stages halve height and
            width by max-pooling before the next one begins, as long as there
            are two pixels.
        input_shape, classes, mean, std, augment: see `cifar_resnet`.
        name: string, defaults to `vgg<depth>`.

    Returns:
        A functional `keras.Model` whose outputs are logits of shape
        `(batch, classes)`.

    Raises:
        ValueError: If `depth` is none of the above.

    Reference:

    - [Simonyan and Zisserman, 2015](https://arxiv.org/abs/1409.1556), table 1
    """
    if depth not in VGG_STAGES:
        raise ValueError(
            f"Argument `depth` must be one of {tuple(VGG_STAGES)}. "
            f"Received: depth={depth}"
        )
    standard = standardise(mean, std)
    inputs = keras.Input(input_shape, name="image")
    x = standard(augment(inputs) if augment else inputs)
    for stage, (count, width) in enumerate(
        zip(VGG_STAGES[depth], widths, strict=True), start=1
    ):
        if stage > 1 and min(x.shape[1:3]) > 1:
            x = keras.layers.MaxPooling2D(name=f"stage{stage}_pool")(x)
        for index in range(1, count + 1):
            prefix = f"stage{stage}"
            names = f"{prefix}_conv{index}", f"{prefix}_bn{index}"
            x = conv_bn(x, width, 3, 1, *names)
            x = keras.layers.ReLU(name=f"{prefix}_relu{index}")(x)
    return _classify(inputs, x, classes, name or f"vgg{depth}")


def digits_resnet(widths=(16, 32, 64), name="digits_resnet"):
    """A ResNet of one block in each of three stages for 8x8 digits.

    Args:
        widths: three ints, channels of each stage.
        name: string.

    Returns:
        A functional `keras.Model` from pixels of shape `(batch, 8, 8, 1)`,
        0 to 16, to 10 logits.
    """
    rescale = keras.layers.Rescaling(1 / 16, name="rescale")
    return _resnet(
        (1, 1, 1), widths, (8, 8, 1), 10, "projection", rescale, name
    )


def standardise(mean, std):
    """`(pixels / 255 - mean) / std` as one layer, in float32 always.

    Args:
        mean: floats, one for every colour or a single one, of pixels in [0, 1].
        std: likewise, the standard deviation.

    Returns:
        A `keras.layers.Rescaling`.
    """
    scale = [1 / (255 * s) for s in std]
    offset = [-m / s for m, s in zip(mean, std, strict=True)]
    if len(scale) == 1:
        scale, offset = scale[0], offset[0]
    return keras.layers.Rescaling(
        scale, offset, dtype="float32", name="standardise"
    )


def _resnet(blocks, widths, input_shape, classes, shortcut, pixels, name):
    if shortcut not in ("projection", "pad"):
        raise ValueError(
            "Argument `shortcut` must be 'projection' or 'pad'. "
            f"Received: shortcut={shortcut!r}"
        )
    inputs = keras.Input(input_shape, name="image")
    x = conv_bn(pixels(inputs), widths[0], 3, 1, "stem_conv", "stem_bn")
    x = keras.layers.ReLU(name="stem_relu")(x)
    for stage, (count, width) in enumerate(
        zip(blocks, widths, strict=True), start=1
    ):
        for block in range(1, count + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            prefix = f"stage{stage}_block{block}"
            x = _block(x, width, strides, shortcut, prefix)
    return _classify(inputs, x, classes, name)


def _classify(inputs, x, classes, name):
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(
        classes, kernel_initializer="he_normal", name="logits"
    )(x)
    return keras.Model(inputs, logits, name=name)


def _block(x, width, strides, shortcut, prefix):
    y = conv_bn(x, width, 3, strides, f"{prefix}_conv1", f"{prefix}_bn1")
    y = keras.layers.ReLU(name=f"{prefix}_relu1")(y)
    y = conv_bn(y, width, 3, 1, f"{prefix}_conv2", f"{prefix}_bn2")
    if strides > 1 or x.shape[-1] != width:
        if shortcut == "projection":
            names = f"{prefix}_shortcut_conv", f"{prefix}_shortcut_bn"
            x = conv_bn(x, width, 1, strides, *names)
        else:
            x = _pad_shortcut(x, width, strides)
    y = keras.layers.Add(name=f"{prefix}_add")([y, x])
    return keras.layers.ReLU(name=f"{prefix}_relu2")(y)


def conv_bn(x, width, kernel_size, strides, conv_name, bn_name):
    """Convolution without bias, then BatchNorm; "same" size but for strides."""
    padding = "same"
    if strides > 1 and kernel_size > 1:
        # "same" pads a stride-2 convolution on the right only; the published
        # weights were trained with one pixel on every side.
        pad = kernel_size // 2
        x = keras.layers.ZeroPadding2D(pad, name=f"{conv_name}_pad")(x)
        padding = "valid"
    x = keras.layers.Conv2D(
        width,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        name=conv_name,
    )(x)
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=bn_name
    )(x)


def _pad_shortcut(x, width, strides):
    x = x[:, ::strides, ::strides, :]
    extra = width - x.shape[-1]
    before = extra // 2
    return keras.ops.pad(x, [[0, 0], [0, 0], [0, 0], [before, extra - before]])
