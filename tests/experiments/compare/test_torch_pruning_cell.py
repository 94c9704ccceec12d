"""The contender in PyTorch, where PyTorch and Torch-Pruning are installed."""

import dataclasses

import keras
import numpy as np
import pytest

from experiments.common import recipe as recipes
from experiments.common.models import cifar_resnet
from experiments.compare import grid
from experiments.compare.data import ImageSet
from experiments.compare.settings import Setting
from experiments.compare.variants import CONTENDERS

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

from experiments.compare import torch_network as networks  # noqa: E402
from experiments.compare import torch_pruning_cell as cells  # noqa: E402

SETTING = Setting("toy", "digits", 8, 8, 4, 4, 32, 0.05, 1e-3, 1)


def images():
    rng = np.random.default_rng(0)
    labels = np.arange(96, dtype="int32") % 10
    pixels = rng.integers(0, 255, (96, 8, 8, 3)).astype("uint8")
    return ImageSet(
        name="digits",
        train=(pixels[:64], labels[:64]),
        test=(pixels[64:], labels[64:]),
        classes=10,
        flip=True,
        mean=(0.5, 0.4, 0.3),
        std=(0.2, 0.2, 0.1),
    )


def network(widths=(4, 8, 16)):
    return networks.TorchResNet(
        14, widths, 3, 10, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1)
    )


def test_network_has_the_cost_and_size_of_that_in_keras():
    import keras_chex

    ours = network()
    theirs = cifar_resnet(14, (4, 8, 16), (16, 16, 3))
    example = torch.zeros((1, 3, 16, 16))
    assert networks.multiply_adds(ours, example) == keras_chex.flops(theirs)
    assert networks.parameters(ours) == theirs.count_params()
    assert ours(example).shape == (1, 10)


def test_rate_is_that_of_the_recipe():
    recipe = recipes.Recipe(epochs=10, lr=0.4, warmup=0.1)
    expected = recipes.learning_rate(recipe, 20)
    for step in (0, 7, 20, 90, 199):
        rate = float(keras.ops.convert_to_numpy(expected(step)))
        assert cells.rate(recipe, 20, step) == pytest.approx(rate, abs=1e-6)


def test_pictures_are_shifted_and_mirrored_like_those_of_the_others():
    pixels = images().train[0][:32]
    same = cells.augmented(pixels, 0, False, np.random.default_rng(0))
    np.testing.assert_array_equal(same, pixels)
    moved = cells.augmented(pixels, 2, True, np.random.default_rng(0))
    assert moved.shape == pixels.shape and moved.dtype == pixels.dtype
    padded = np.pad(pixels, ((0, 0), (2, 2), (2, 2), (0, 0)))
    mirrored = 0
    for image, whole in zip(moved, padded, strict=True):
        windows = [
            whole[top : top + 8, left : left + 8]
            for top in range(5)
            for left in range(5)
        ]
        straight = any(np.array_equal(image, w) for w in windows)
        turned = any(np.array_equal(image, w[:, ::-1]) for w in windows)
        assert straight or turned
        mirrored += not straight
    assert 4 < mirrored < 28


def test_cell_is_cut_to_the_budget_half_way_and_has_a_record():
    cell = grid.Cell(SETTING, CONTENDERS["torch_pruning"], 0.5, 0)
    recipe = recipes.Recipe(epochs=4, batch_size=32, lr=0.05, shift=1)
    record = cells.train_cell(cell, images(), recipe)
    dense = record["dense_flops"]
    assert 0.35 * dense < record["flops"] <= 0.5 * dense
    steps = record["history"]["train_flops"]
    assert steps[:2] == [64 * dense] * 2
    assert steps[2:] == [64 * record["flops"]] * 2
    assert len(record["history"]["accuracy"]) == record["epochs"] == 4
    assert 0 <= record["accuracy"] <= 1 and record["params"] > 0


def test_budget_below_what_the_library_reaches_is_an_error():
    setting = dataclasses.replace(SETTING, epochs=2)
    cell = grid.Cell(setting, CONTENDERS["torch_pruning"], 1e-4, 0)
    recipe = recipes.Recipe(epochs=2, batch_size=32)
    with pytest.raises(ValueError, match="did not come down to the budget"):
        cells.train_cell(cell, images(), recipe)
