"""Networks for photographs: ResNet-18 to 101, and all of `keras.applications`.

Images go in as raw pixels, 0 to 255, and logits come out, in float32 whatever
the precision of the layers between them.
"""

import keras

from .models import conv_bn, standardise

# Channel means and deviations of ImageNet's training pixels, scaled to [0, 1].
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Blocks of the four stages; 50 and 101 are made of bottlenecks.
BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}
BOTTLENECK_DEPTHS = (50, 101)
BOTTLENECK_FACTOR = 4
RESNETS = {f"resnet{depth}": depth for depth in BLOCKS}
# Networks of `keras.applications` that scale pixels themselves.
PREPROCESSED = ("ConvNeXt", "EfficientNet", "MobileNetV3")


def build_model(name, image_size, classes):
    """Builds a network with fresh weights.

    Args:
        name: string, `"resnet18"`, `"resnet34"`, `"resnet50"`, `"resnet101"`,
            or the name of a network in `keras.applications`, written as there:
            `"ResNet50"` is the one of Keras.
        image_size: int, height and width of the images.
        classes: int, number of logits.

    Returns:
        A functional `keras.Model` from pixels to logits.

    Raises:
        ValueError: If there is no such network.
    """
    shape = (image_size, image_size, 3)
    if name in RESNETS:
        return imagenet_resnet(RESNETS[name], shape, classes)
    if name in application_names():
        return application(name, shape, classes)
    raise ValueError(
        f"Argument `name` must be one of {list(RESNETS)} or a network of "
        f"keras.applications, such as 'MobileNetV2'. Received: name={name!r}"
    )


def imagenet_resnet(
    depth=50,
    input_shape=(224, 224, 3),
    classes=1000,
    widths=(64, 128, 256, 512),
    name=None,
):
    """ResNet with a 7x7 stem, stride on the 3x3 convolution of a bottleneck.

    Args:
        depth: int, 18, 34, 50 or 101.
        input_shape: `(height, width, 3)`, pixels from 0 to 255.
        classes: int, number of logits.
        widths: four ints, channels inside the blocks of each stage. The stem
            has as many as the first; the outputs of bottlenecks have four times
            as many.
        name: string, defaults to `resnet<depth>`.

    Returns:
        A functional `keras.Model` whose outputs are logits of shape
        `(batch, classes)`.

    Raises:
        ValueError: If `depth` is none of the above.

    Reference:

    - [He et al., 2016](https://arxiv.org/abs/1512.03385), table 1
    - [Goyal et al., 2017](https://arxiv.org/abs/1706.02677), section 5.1, for
      the place of the stride
    """
    if depth not in BLOCKS:
        raise ValueError(
            f"Argument `depth` must be one of {list(BLOCKS)}. "
            f"Received: depth={depth}"
        )
    block = _bottleneck if depth in BOTTLENECK_DEPTHS else _basic
    inputs = keras.Input(input_shape, name="image")
    x = standardise(IMAGENET_MEAN, IMAGENET_STD)(inputs)
    x = conv_bn(x, widths[0], 7, 2, "stem_conv", "stem_bn")
    x = keras.layers.ReLU(name="stem_relu")(x)
    # Zeros around the pixels are as good as no pixels: none is negative.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    for stage, (count, width) in enumerate(
        zip(BLOCKS[depth], widths, strict=True), start=1
    ):
        for number in range(1, count + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = block(x, width, strides, f"stage{stage}_block{number}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=name or f"resnet{depth}")


def residual_layers(name):
    """Layers that the authors of CHEX keep dense in a ResNet.

    The stem, the last convolution of every block and the shortcuts make what
    the residual additions join. All other convolutions lie inside a block.

    Args:
        name: string, a key of `RESNETS`.

    Returns:
        Tuple of regular expressions for `exclude`.

    Raises:
        ValueError: If it is another network.

    Example:

    >>> residual_layers("resnet18")
    ('stem_conv', '.*_shortcut_conv', '.*_conv2')
    """
    if name not in RESNETS:
        raise ValueError(
            f"Argument `name` must be one of {list(RESNETS)}, whose layers are "
            f"known here. Received: name={name!r}. Name the layers that stay "
            "dense with --exclude"
        )
    last = 3 if RESNETS[name] in BOTTLENECK_DEPTHS else 2
    return ("stem_conv", ".*_shortcut_conv", f".*_conv{last}")


def application_names():
    """Names of all networks in `keras.applications`."""
    return sorted(
        name
        for name in dir(keras.applications)
        if name[0].isupper() and callable(getattr(keras.applications, name))
    )


def application(name, input_shape, classes):
    """A network of `keras.applications` with fresh weights.

    Pixels are standardised in front of it, unless it does that itself.

    Args:
        name: string, as in `keras.applications`.
        input_shape: `(height, width, 3)`.
        classes: int, number of logits.

    Returns:
        A functional `keras.Model` from pixels, 0 to 255, to logits.
    """
    pixels = inputs = keras.Input(input_shape, name="image")
    if not name.startswith(PREPROCESSED):
        pixels = standardise(IMAGENET_MEAN, IMAGENET_STD)(inputs)
    network = getattr(keras.applications, name)(
        weights=None,
        input_tensor=pixels,
        classes=classes,
        classifier_activation=None,
    )
    logits = network.output
    if keras.config.dtype_policy().compute_dtype != "float32":
        logits = keras.layers.Activation(
            "linear", dtype="float32", name="float32_logits"
        )(logits)
    return keras.Model(inputs, logits, name=name)


def _basic(x, width, strides, prefix):
    y = conv_bn(x, width, 3, strides, f"{prefix}_conv1", f"{prefix}_bn1")
    y = keras.layers.ReLU(name=f"{prefix}_relu1")(y)
    y = conv_bn(y, width, 3, 1, f"{prefix}_conv2", f"{prefix}_bn2")
    return _join(x, y, strides, prefix)


def _bottleneck(x, width, strides, prefix):
    y = conv_bn(x, width, 1, 1, f"{prefix}_conv1", f"{prefix}_bn1")
    y = keras.layers.ReLU(name=f"{prefix}_relu1")(y)
    y = conv_bn(y, width, 3, strides, f"{prefix}_conv2", f"{prefix}_bn2")
    y = keras.layers.ReLU(name=f"{prefix}_relu2")(y)
    outputs = BOTTLENECK_FACTOR * width
    y = conv_bn(y, outputs, 1, 1, f"{prefix}_conv3", f"{prefix}_bn3")
    return _join(x, y, strides, prefix)


def _join(x, y, strides, prefix):
    """Adds a block's output to its input, by way of a shortcut if needed."""
    if strides > 1 or x.shape[-1] != y.shape[-1]:
        names = f"{prefix}_shortcut_conv", f"{prefix}_shortcut_bn"
        x = conv_bn(x, y.shape[-1], 1, strides, *names)
    y = keras.layers.Add(name=f"{prefix}_add")([y, x])
    return keras.layers.ReLU(name=f"{prefix}_relu")(y)
