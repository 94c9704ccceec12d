"""Published weights: every array finds its variable."""

import numpy as np
import pytest

from experiments.common import reference


def state_dict(depth=20):
    """Random arrays with the names and shapes of the published files."""
    rng = np.random.default_rng(0)
    arrays = {}

    def convolution(conv, bn, inputs, outputs):
        arrays[f"{conv}.weight"] = rng.normal(size=(outputs, inputs, 3, 3))
        for name in ("weight", "bias", "running_mean", "running_var"):
            arrays[f"{bn}.{name}"] = rng.uniform(0.5, 1.5, outputs)
        arrays[f"{bn}.num_batches_tracked"] = np.array(7)

    convolution("conv1", "bn1", 3, 16)
    inputs = 16
    for stage, width in enumerate((16, 32, 64), start=1):
        for block in range((depth - 2) // 6):
            prefix = f"layer{stage}.{block}"
            convolution(f"{prefix}.conv1", f"{prefix}.bn1", inputs, width)
            convolution(f"{prefix}.conv2", f"{prefix}.bn2", width, width)
            inputs = width
    arrays["linear.weight"] = rng.normal(size=(10, 64))
    arrays["linear.bias"] = rng.normal(size=10)
    return {name: a.astype("float32") for name, a in arrays.items()}


@pytest.fixture
def save(tmp_path):
    def save(arrays):
        np.savez(tmp_path / "weights.npz", **arrays)
        return tmp_path / "weights.npz"

    return save


def test_depth_follows_from_the_file(save):
    assert reference.load_reference(save(state_dict(32))).name == "resnet32"


def test_kernels_are_transposed_and_named_by_stage_and_block(save):
    arrays = state_dict()
    model = reference.load_reference(save(arrays))
    kernel = model.get_layer("stage2_block3_conv1").kernel
    np.testing.assert_array_equal(
        kernel, arrays["layer2.2.conv1.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(
        model.get_layer("logits").kernel, arrays["linear.weight"].T
    )


def test_batch_norm_statistics_arrive(save):
    arrays = state_dict()
    model = reference.load_reference(save(arrays))
    stem = model.get_layer("stem_bn")
    np.testing.assert_array_equal(stem.gamma, arrays["bn1.weight"])
    np.testing.assert_array_equal(stem.beta, arrays["bn1.bias"])
    last = model.get_layer("stage3_block3_bn2")
    np.testing.assert_array_equal(
        last.moving_mean, arrays["layer3.2.bn2.running_mean"]
    )
    np.testing.assert_array_equal(
        last.moving_variance, arrays["layer3.2.bn2.running_var"]
    )


def test_missing_array_is_named(save):
    arrays = state_dict()
    del arrays["layer1.0.bn1.running_var"]
    with pytest.raises(
        ValueError, match="missing .*stage1_block1_bn1/moving_variance"
    ):
        reference.load_reference(save(arrays))


def test_unknown_array_is_named(save):
    arrays = {**state_dict(), "layer1.0.shortcut.0.weight": np.zeros(3)}
    with pytest.raises(ValueError, match="unknown .*shortcut"):
        reference.load_reference(save(arrays))


def test_file_of_another_network_is_refused(save):
    arrays = {"features.conv1.weight": np.zeros((4, 3, 3, 3))}
    with pytest.raises(ValueError, match="with 1 convolutions"):
        reference.load_reference(save(arrays))
