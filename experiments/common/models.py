"""Residual networks of the experiments, at any width.

A network is described by the widths of its stages, so that the same function
builds the dense network, a wide one, and the uniformly slim one that CHEX is
compared with. Images go in as raw pixels and logits come out: the exported
model needs no code around it.
"""

import bisect

import keras

STAGE_FACTORS = (1, 2, 4)
DEPTHS = (8, 14, 20, 32, 44, 56)


def stage_widths(width, share=1.0):
    """Channels of the three stages of a CIFAR ResNet.

    Args:
        width: int, channels of the first stage of the dense network.
        share: float, share of these channels that is kept in every stage.

    Returns:
        Tuple of three ints, each at least 1.

    Example:

    >>> stage_widths(16)
    (16, 32, 64)
    >>> stage_widths(16, share=0.7)
    (11, 22, 45)
    """
    return tuple(max(1, round(width * f * share)) for f in STAGE_FACTORS)


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


def slim_widths(cost, width, target):
    """Widths of the uniformly slim network that costs as much as `target`.

    Args:
        cost: function from three widths to the cost of the network.
        width: int, channels of the first stage of the dense network.
        target: number, the cost to come near to.

    Returns:
        Tuple of three ints, `stage_widths(width, share)` for the share whose
        cost is nearest to the target.

    Example:

    >>> slim_widths(lambda widths: sum(w * w for w in widths), 16, target=2688)
    (11, 23, 45)
    """
    steps = 8 * width * STAGE_FACTORS[-1]
    candidates = sorted(
        {stage_widths(width, n / steps) for n in range(1, steps + 1)}
    )
    above = bisect.bisect_left(candidates, target, key=cost)
    near = candidates[max(0, above - 1) : above + 1]
    return min(near, key=lambda widths: abs(cost(widths) - target))
