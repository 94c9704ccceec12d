"""The study's network in PyTorch, for pruners of other libraries."""

import torch
from torch import nn


class TorchResNet(nn.Module):
    """`common.models.cifar_resnet` with projections, layer for layer.

    Args:
        depth: int, two more than six times the blocks of a stage.
        widths: three ints, channels of each stage.
        colours: int.
        classes: int, number of logits.
        mean: floats, one for every colour, of pixels in [0, 1].
        std: likewise, the standard deviation.

    Its inputs are pixels from 0 to 255 of shape `(batch, colours, height,
    width)`.
    """

    def __init__(self, depth, widths, colours, classes, mean, std):
        super().__init__()
        shape = (1, colours, 1, 1)
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(shape))
        self.register_buffer("std", 255 * torch.tensor(std).reshape(shape))
        self.stem = _conv_bn(colours, widths[0], 3, 1)
        blocks, before = [], widths[0]
        for stage, width in enumerate(widths):
            for block in range((depth - 2) // 6):
                strides = 2 if stage and not block else 1
                blocks.append(Block(before, width, strides))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.logits = nn.Linear(before, classes)
        nn.init.kaiming_normal_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)

    def forward(self, pixels):
        x = torch.relu(self.stem((pixels - self.mean) / self.std))
        return self.logits(self.blocks(x).mean(dim=(2, 3)))


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before, width, strides):
        super().__init__()
        self.first = _conv_bn(before, width, 3, strides)
        self.second = _conv_bn(width, width, 3, 1)
        self.shortcut = nn.Identity()
        if strides > 1 or before != width:
            self.shortcut = _conv_bn(before, width, 1, strides)

    def forward(self, x):
        y = self.second(torch.relu(self.first(x)))
        return torch.relu(y + self.shortcut(x))


def _conv_bn(before, width, kernel_size, strides):
    conv = nn.Conv2d(
        before, width, kernel_size, strides, kernel_size // 2, bias=False
    )
    nn.init.kaiming_normal_(conv.weight)
    return nn.Sequential(conv, nn.BatchNorm2d(width))


def multiply_adds(network, example):
    """Multiply-adds of convolutions and dense layers for one example.

    Args:
        network: an `nn.Module`.
        example: tensor with a batch of one.

    Returns:
        Int.
    """
    total = 0

    def count(layer, inputs, outputs):
        nonlocal total
        # Every output element takes one row of the kernel.
        total += outputs[0].numel() * layer.weight[0].numel()

    kinds = nn.Conv2d, nn.Linear
    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]
    was_training = network.training
    with torch.no_grad():
        network.eval()(example)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return total


def parameters(network):
    """Parameters as Keras counts them: with BatchNorm's statistics."""
    statistics = sum(
        2 * layer.num_features
        for layer in network.modules()
        if isinstance(layer, nn.BatchNorm2d)
    )
    return statistics + sum(p.numel() for p in network.parameters())
