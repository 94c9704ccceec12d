"""Networks of the experiments: shapes, published sizes."""

import math

import keras
import numpy as np
import pytest

import keras_chex
from experiments.common import models


def trainable_parameters(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


@pytest.mark.parametrize(
    "depth, parameters", [(20, 269_722), (32, 464_154), (56, 853_018)]
)
def test_padded_shortcuts_give_the_published_number_of_parameters(
    depth, parameters
):
    model = models.cifar_resnet(depth, shortcut="pad")
    assert trainable_parameters(model) == parameters


def test_projection_adds_two_convolutions_with_batch_norm():
    padded = trainable_parameters(models.cifar_resnet(20, shortcut="pad"))
    projected = trainable_parameters(models.cifar_resnet(20))
    extra = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert projected - padded == extra


def test_depth_counts_convolutions_and_classifier():
    model = models.cifar_resnet(44, widths=(2, 3, 4), shortcut="pad")
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    assert sum(isinstance(layer, kinds) for layer in model.layers) == 44


def test_any_image_size_and_number_of_classes_fits():
    model = models.cifar_resnet(
        20, (2, 3, 4), (28, 28, 1), classes=7, mean=(0.1,), std=(0.3,)
    )
    assert model(np.zeros((2, 28, 28, 1))).shape == (2, 7)


def test_pixels_are_standardised_inside_the_model():
    model = models.cifar_resnet(
        20, (2, 3, 4), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3)
    )
    pixels = np.full((1, 1, 1, 3), 255.0)
    standard = model.get_layer("standardise")(pixels)
    np.testing.assert_allclose(
        np.ravel(standard), [0.5 / 0.1, 0.6 / 0.2, 0.7 / 0.3], rtol=1e-5
    )


def test_stride_two_convolutions_see_one_zero_on_every_side():
    model = models.cifar_resnet(20, (2, 3, 4))
    padding = model.get_layer("stage2_block1_conv1_pad")
    assert padding.padding == ((1, 1), (1, 1))
    assert model.get_layer("stage2_block1_conv1").padding == "valid"


def test_padded_shortcut_halves_the_image_and_centres_the_channels():
    image = np.arange(2 * 4 * 4 * 2.0).reshape(2, 4, 4, 2)
    padded = np.array(models._pad_shortcut(image, width=4, strides=2))
    assert padded.shape == (2, 2, 2, 4)
    np.testing.assert_array_equal(padded[..., 1:3], image[:, ::2, ::2])
    np.testing.assert_array_equal(padded[..., [0, 3]], 0)


def test_digits_resnet_gives_ten_logits():
    model = models.digits_resnet((4, 5, 6))
    assert model(np.zeros((3, 8, 8, 1))).shape == (3, 10)


def test_unknown_depth_is_refused():
    with pytest.raises(ValueError, match="`depth` must be one of .* depth=18"):
        models.cifar_resnet(18)


def test_unknown_shortcut_is_refused():
    with pytest.raises(ValueError, match="Received: shortcut='conv'"):
        models.cifar_resnet(20, shortcut="conv")


def vgg_cost(depth, size):
    """Multiply-adds of the published table, by hand: 3x3, "same" padding."""
    total, before = 0, 3
    for stage, count in enumerate(models.VGG_STAGES[depth]):
        width = (64, 128, 256, 512, 512)[stage]
        for _ in range(count):
            total += 9 * before * width * (size >> stage) ** 2
            before = width
    return total + 512 * 10


@pytest.mark.parametrize("depth", list(models.VGG_STAGES))
def test_vgg_has_the_published_convolutions(depth):
    model = models.cifar_vgg(depth)
    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    layers = [layer for layer in model.layers if isinstance(layer, kinds)]
    assert len(layers) == depth - 2  # One classifier in place of three.
    assert keras_chex.flops(model) == vgg_cost(depth, 32)


def test_vgg_does_not_pool_a_single_pixel():
    model = models.cifar_vgg(11, (2, 3, 4, 5, 6), (8, 8, 1), classes=7)
    assert [layer.name for layer in model.layers if "pool" in layer.name] == [
        *("stage2_pool", "stage3_pool", "stage4_pool", "pool")
    ]
    assert model(np.zeros((2, 8, 8, 1))).shape == (2, 7)


def test_vgg_of_unknown_depth_is_refused():
    with pytest.raises(ValueError, match="`depth` must be one of .* depth=20"):
        models.cifar_vgg(20)
