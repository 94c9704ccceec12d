"""Networks for photographs: their size, layers, precision and exports."""

import math
import re

import keras
import numpy as np
import pytest

import keras_chex
from experiments.common import imagenet_models


@pytest.fixture
def precision():
    """Sets a dtype policy that ends with the test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.fixture(scope="module")
def resnet50():
    return imagenet_models.build_model("resnet50", 224, 1000)


def trainable_size(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


# Parameters and multiply-adds as published for torchvision's networks.
def assert_is_published(model, params, gflops):
    assert model.output_shape == (None, 1000)
    assert trainable_size(model) == params
    assert keras_chex.flops(model) == pytest.approx(gflops * 1e9, rel=0.01)


@pytest.mark.parametrize(
    "depth, params, gflops",
    [
        (18, 11_689_512, 1.81),
        pytest.param(34, 21_797_672, 3.66, marks=pytest.mark.large),
        pytest.param(101, 44_549_160, 7.80, marks=pytest.mark.large),
    ],
)
def test_resnets_are_the_published_ones(depth, params, gflops):
    model = imagenet_models.build_model(f"resnet{depth}", 224, 1000)
    assert model.name == f"resnet{depth}"
    assert_is_published(model, params, gflops)


def test_resnet50_is_the_published_one(resnet50):
    assert_is_published(resnet50, 25_557_032, 4.09)


def test_resolution_halves_where_it_should(resnet50):
    for layer, size in [
        ("stem_conv", 112),
        ("stem_pool", 56),
        ("stage1_block3_add", 56),
        ("stage2_block1_conv1", 56),
        ("stage2_block1_conv2", 28),
        ("stage4_block3_add", 7),
    ]:
        assert resnet50.get_layer(layer).output.shape[1:3] == (size, size)


def test_no_convolution_has_a_bias_and_every_gamma_is_one():
    model = imagenet_models.imagenet_resnet(18, (32, 32, 3), 10)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
            np.testing.assert_array_equal(layer.gamma, 1.0)


def inside_of_blocks(model):
    """Convolutions that `residual_layers` does not name."""
    excluded = imagenet_models.residual_layers(model.name)
    return [
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
        and not any(re.fullmatch(e, layer.name) for e in excluded)
    ]


def test_paper_prunes_two_convolutions_of_every_bottleneck(resnet50):
    names = inside_of_blocks(resnet50)
    assert len(names) == 32
    assert all(name.endswith(("_conv1", "_conv2")) for name in names)


def test_residual_layers_leave_the_inside_of_blocks():
    model = imagenet_models.build_model("resnet18", 32, 10)
    excluded = imagenet_models.residual_layers("resnet18")
    groups = keras_chex.channel_groups(keras_chex.wrap(model, excluded))
    free = [group.producers for group in groups if group.frozen is None]
    assert sorted(free) == sorted((n,) for n in inside_of_blocks(model))


def test_residual_layers_of_another_network_are_unknown():
    with pytest.raises(ValueError, match="Received: name='MobileNetV2'"):
        imagenet_models.residual_layers("MobileNetV2")


@pytest.mark.parametrize("name", ["resnet50000", "Resnet50", "imagenet_utils"])
def test_unknown_network_is_refused(name):
    with pytest.raises(ValueError, match=f"Received: name='{name}'"):
        imagenet_models.build_model(name, 32, 10)


def test_unknown_depth_is_refused():
    with pytest.raises(ValueError, match="Received: depth=20"):
        imagenet_models.imagenet_resnet(20)


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_pixels_of_applications_are_scaled_once(name, precision):
    precision("mixed_bfloat16")
    model = imagenet_models.build_model(name, 32, 7)
    scaling = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Rescaling)
    ]
    assert len(scaling) == 1
    assert model.output_shape == (None, 7)
    assert model.output.dtype == "float32"
    # Logits, not probabilities.
    assert "softmax" not in str(model.get_config())


def test_applications_include_the_usual_ones():
    names = imagenet_models.application_names()
    assert {"ResNet50", "MobileNetV2", "EfficientNetB0"} <= set(names)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_pixels_and_logits_are_float32(policy, precision):
    precision(policy)
    model = imagenet_models.imagenet_resnet(18, (32, 32, 3), 10, (4, 4, 8, 8))
    assert model.output.dtype == "float32"
    assert model.get_layer("stem_conv").compute_dtype == policy[6:]
    assert model.get_layer("standardise").compute_dtype == "float32"
    assert {variable.dtype for variable in model.weights} == {"float32"}
