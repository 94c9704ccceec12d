"""Published CIFAR-10 ResNet weights, loaded into the Keras networks.

The weights of akamaster/pytorch_resnet_cifar10, saved as a NumPy archive of
the PyTorch state dict. Scoring them on the test set proves that data, labels
and preprocessing are those of the field.
"""

import re

import numpy as np

from .models import DEPTHS, cifar_resnet

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def load_reference(path):
    """Rebuilds a published ResNet in Keras.

    Args:
        path: path of an `.npz` file with the arrays of the state dict,
            kernels in PyTorch's order `(out, in, height, width)`.

    Returns:
        A `keras.Model`, see `cifar_resnet`; its depth follows from the file.

    Raises:
        ValueError: If the file lacks an array that the network has, or holds
            one that the network has not.
    """
    with np.load(path) as archive:
        arrays = {
            name: archive[name]
            for name in archive.files
            if not name.endswith("num_batches_tracked")
        }
    model = cifar_resnet(
        _depth(arrays, path), shortcut="pad", mean=MEAN, std=STD
    )
    variables = {
        f"{layer.name}/{variable.name}": variable
        for layer in model.layers
        for variable in layer.variables
    }
    keras_arrays = dict(_to_keras(n, a) for n, a in arrays.items())
    if variables.keys() != keras_arrays.keys():
        raise ValueError(
            "Argument `path` must hold exactly the weights of a CIFAR "
            f"ResNet. Received: {path}, missing "
            f"{sorted(variables.keys() - keras_arrays.keys())}, unknown "
            f"{sorted(keras_arrays.keys() - variables.keys())}"
        )
    for name, variable in variables.items():
        variable.assign(keras_arrays[name])
    return model


def _depth(arrays, path):
    convolutions = [n for n in arrays if re.fullmatch(r".*conv\d\.weight", n)]
    depth = len(convolutions) + 1
    if depth not in DEPTHS:
        raise ValueError(
            "Argument `path` must hold a ResNet of depth "
            f"{', '.join(map(str, DEPTHS))}. Received: {path} with "
            f"{len(convolutions)} convolutions and a classifier"
        )
    return depth


def _to_keras(name, array):
    """`layer1.0.conv1.weight` to `stage1_block1_conv1/kernel`, transposed."""
    path, _, weight = name.rpartition(".")
    if path == "linear":
        if weight == "weight":
            return "logits/kernel", array.T  # (out, in) -> (in, out)
        return f"logits/{weight}", array
    stage, block, layer = _place(path)
    prefix = f"stage{stage}_block{block + 1}_" if stage else "stem_"
    suffix = layer if stage else layer.rstrip("1")
    if layer.startswith("conv"):
        # (out, in, height, width) -> (height, width, in, out)
        return f"{prefix}{suffix}/kernel", array.transpose(2, 3, 1, 0)
    return f"{prefix}{suffix}/{BATCH_NORM.get(weight, weight)}", array


def _place(path):
    match = re.fullmatch(r"layer(\d+)\.(\d+)\.(\w+)", path)
    if match is None:
        return 0, 0, path
    return int(match[1]), int(match[2]), match[3]
