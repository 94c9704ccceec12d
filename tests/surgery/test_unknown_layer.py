"""A layer that nothing is known of, in the middle of a ResNet."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from tests import checks
from tests.zoo_custom import ChannelShift
from tests.zoo_topologies import conv_bn, conv_bn_relu, pooled_logits

UNTOUCHED = {"stem", "s0_a", "s0b_a", "s1_a", "s2_a", "s2_b"}


def resnet():
    """Three stages; the unknown layer is in the stream of the second."""
    image = keras.Input((16, 12, 3), name="image")
    x = conv_bn_relu(image, 8, "stem")
    x = block(block(x, 8, "s0"), 8, "s0b")
    x = block(x, 12, "s1", strides=2)
    x = ChannelShift(name="unknown")(x)
    x = block(x, 16, "s2", strides=2)
    return keras.Model(image, pooled_logits(x))


def block(x, filters, name, strides=1):
    y = conv_bn_relu(x, filters, f"{name}_a", strides=strides)
    y = conv_bn(y, filters, f"{name}_b")
    if strides > 1:
        x = conv_bn(x, filters, f"{name}_short", size=1, strides=strides)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=name)([x, y]))


@pytest.fixture(scope="module")
def trained():
    model, x = checks.prepare(resnet)
    wrapped = keras_chex.wrap(model)
    wrapped.compile(keras.optimizers.SGD(0.01), "mse")
    scheduler = keras_chex.ChexScheduler(
        flops=0.6, interval=1, end=2, verbose=0
    )
    y = np.sin(np.arange(32.0)).reshape(8, 4)
    wrapped.fit(x, y, epochs=3, verbose=0, callbacks=[scheduler])
    return wrapped, x


def test_the_report_names_the_unknown_layer(trained):
    wrapped, _ = trained
    frozen = {
        producer: group.frozen
        for group in keras_chex.channel_groups(wrapped)
        if group.frozen
        for producer in group.producers
    }
    assert set(frozen) == {"s1_b", "s1_short", "logits"}
    assert "'unknown/get_item' takes channels" in frozen["s1_b"]
    assert "'unknown" in str(keras_chex.summary(wrapped))


def test_all_other_groups_lose_channels(trained):
    wrapped, _ = trained
    active = keras_chex.active_channels(wrapped)
    groups = keras_chex.channel_groups(wrapped)
    prunable = {g.name for g in groups if not g.frozen}
    assert prunable == UNTOUCHED
    assert all(not active[name].all() for name in prunable)
    assert keras_chex.summary(wrapped).flops <= 0.6 * keras_chex.flops(resnet())


def test_the_stripped_model_computes_the_same(trained):
    wrapped, x = trained
    expected = wrapped(x, training=False)
    stripped = keras_chex.strip(wrapped)
    assert checks.largest_difference(stripped(x), expected) <= 1e-5


@pytest.mark.tensorflow
def test_exported_models_compute_the_same(trained, tmp_path):
    wrapped, x = trained
    expected = wrapped(x, training=False)
    keras_chex.export_saved_model(wrapped, tmp_path / "saved")
    path = tmp_path / "model.tflite"
    keras_chex.export_tflite(wrapped, path)
    outputs = checks.run_litert(path, x, expected)
    assert checks.largest_difference(outputs, expected) <= 1e-4
