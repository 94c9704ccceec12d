"""Costs of residual networks, written down by hand for allocation tests."""

import numpy as np

from keras_chex.algorithms.cost import QuadraticCost


class CostBuilder:
    """Collects one term per convolution: `add(positions, kernel, in, out)`.

    `in` and `out` are group indices, or `("fixed", channels)`.
    """

    def __init__(self):
        self.sizes = []
        self._terms = []

    def group(self, size):
        self.sizes.append(size)
        return len(self.sizes) - 1

    def add(self, coefficient, inputs, outputs):
        self._terms.append((coefficient, inputs, outputs))

    def build(self):
        count = len(self._terms)
        ends = np.zeros((2, count, len(self.sizes)))
        constants = np.zeros((2, count))
        for row, (_, *term_ends) in enumerate(self._terms):
            for side, end in enumerate(term_ends):
                if isinstance(end, tuple):
                    constants[side, row] = end[1]
                else:
                    ends[side, row, end] += 1
        return QuadraticCost(
            [term[0] for term in self._terms],
            ends[0],
            constants[0],
            ends[1],
            constants[1],
        )


def bottleneck_resnet(blocks=(3, 4, 6, 3), width=64, image=56, expansion=4):
    """ResNet-50 by default: sizes and FLOPs, all streams prunable."""
    net = CostBuilder()
    stem = net.group(width)
    net.add(49 * (2 * image) ** 2, ("fixed", 3), stem)
    stream = stem
    for stage, count in enumerate(blocks):
        positions = (image // 2**stage) ** 2
        inner = width * 2**stage
        source, stream = stream, net.group(expansion * inner)
        net.add(positions, source, stream)
        for block in range(count):
            first, second = net.group(inner), net.group(inner)
            net.add(positions, source if block == 0 else stream, first)
            net.add(9 * positions, first, second)
            net.add(positions, second, stream)
    net.add(1, stream, ("fixed", 1000))
    return np.array(net.sizes), net.build()


def basic_resnet(blocks=(3, 3, 3), width=16, image=32):
    """ResNet-20 for CIFAR by default: sizes and FLOPs."""
    net = CostBuilder()
    stream = net.group(width)
    net.add(9 * image**2, ("fixed", 3), stream)
    for stage, count in enumerate(blocks):
        positions = (image // 2**stage) ** 2
        if stage:
            source, stream = stream, net.group(width * 2**stage)
            net.add(positions, source, stream)
        else:
            source = stream
        for block in range(count):
            inner = net.group(width * 2**stage)
            net.add(9 * positions, source if block == 0 else stream, inner)
            net.add(9 * positions, inner, stream)
    net.add(1, stream, ("fixed", 10))
    return np.array(net.sizes), net.build()
