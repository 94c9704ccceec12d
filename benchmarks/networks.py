"""The networks that benchmarks train, and what trains them for some steps."""

import keras
import numpy as np

from experiments.common.models import cifar_resnet

CIFAR_RESNET = "cifar_resnet"
CLASSES = 10


def build_network(name, image_size, depth=20, width=32):
    """Makes an untrained network with logits as outputs.

    Args:
        name: `"cifar_resnet"`, or a model of `keras.applications` such as
            `"ResNet50"`.
        image_size: int, height and width of the images.
        depth: int, of the CIFAR ResNet.
        width: int, channels of its first stage.
    """
    shape = (image_size, image_size, 3)
    if name == CIFAR_RESNET:
        widths = (width, 2 * width, 4 * width)
        return cifar_resnet(
            depth=depth, widths=widths, input_shape=shape, classes=CLASSES
        )
    return getattr(keras.applications, name)(
        weights=None, input_shape=shape, classifier_activation=None
    )


def compile_network(model):
    """Compiles a model as for training from scratch."""
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )


def random_batch(batch_size, image_size, seed=0):
    """Images and labels of one batch, the same for the same seed."""
    rng = np.random.default_rng(seed)
    shape = (batch_size, image_size, image_size, 3)
    images = rng.uniform(0.0, 255.0, shape).astype("float32")
    return images, rng.integers(0, CLASSES, batch_size)


def training_steps(model, images, labels, steps=1):
    """Returns a function that does what `fit` does in some steps.

    The first call after a change of widths includes the retrace.
    """
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
    iterator = iter(batches)
    model.make_train_function()

    def run():
        for _ in range(steps):
            logs = model.train_function(iterator)
        # Reading the loss waits for the last step.
        return float(np.asarray(logs["loss"]))

    return run


def scatter_scales(model, rng, spread=0.05):
    """Draws BatchNormalization scales around 1, as after some epochs."""
    for layer in model.layers:
        layer = getattr(layer, "layer", layer)
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.normal(1.0, spread, layer.gamma.shape))
