"""The layers of a network whose time a latency table holds, and their shapes.

Layers of equal shape take equal time, so that a table needs each shape once.
"""

import dataclasses

import keras
import numpy as np

CONVOLUTION, DEPTHWISE, DENSE = "convolution", "depthwise", "dense"


@dataclasses.dataclass(frozen=True)
class LayerShape:
    """What the time of a layer depends on, with all its channels.

    `str()` gives the text by which tables know the shape.

    Attributes:
        kind: `"convolution"`, `"depthwise"` or `"dense"`.
        inputs: int, input channels.
        outputs: int, output channels.
        size: tuple, height and width of the input; rows and 1 for `"dense"`.
        kernel: tuple, height and width.
        strides: tuple.
        dilation: tuple.
        padding: `"same"` or `"valid"`.
        groups: int, of a `"convolution"`.
    """

    kind: str
    inputs: int
    outputs: int
    size: tuple = (1, 1)
    kernel: tuple = (1, 1)
    strides: tuple = (1, 1)
    dilation: tuple = (1, 1)
    padding: str = "valid"
    groups: int = 1

    def __str__(self):
        """The name of the shape in a table.

        >>> str(LayerShape("convolution", 3, 32, (224, 224), (3, 3), (2, 2)))
        'convolution 3x3, strides 2x2, valid, 224x224x3 -> 32'
        """
        parts = [self.kind]
        if self.kind != DENSE:
            parts = [f"{self.kind} {_by(self.kernel)}"]
            parts += [f"strides {_by(self.strides)}", self.padding]
        if self.dilation != (1, 1):
            parts.append(f"dilation {_by(self.dilation)}")
        if self.groups > 1:
            parts.append(f"groups {self.groups}")
        size = _by((*self.size, self.inputs))
        return ", ".join([*parts, f"{size} -> {self.outputs}"])

    @property
    def multiplier(self):
        """Output channels of a `"depthwise"` layer for each input channel."""
        return self.outputs // self.inputs

    @property
    def output_size(self):
        """Height and width of the output."""
        if self.padding == "same":
            pairs = zip(self.size, self.strides, strict=True)
            return tuple(-(-size // stride) for size, stride in pairs)
        return tuple(
            (size - (kernel - 1) * dilation - 1) // stride + 1
            for size, kernel, dilation, stride in zip(
                self.size, self.kernel, self.dilation, self.strides, strict=True
            )
        )


@dataclasses.dataclass(frozen=True, eq=False)
class ShapedLayer:
    """One call of a layer that has a table.

    Attributes:
        name: str, the layer.
        shape: `LayerShape`.
        inputs: int array, ids of its input channels.
        outputs: int array, ids of its output channels; those of the input for
            a depthwise layer, whose input they repeat.
    """

    name: str
    shape: LayerShape
    inputs: np.ndarray
    outputs: np.ndarray


def shaped_layers(graph, shapes):
    """Lists the calls of layers that tables are made for.

    These are convolutions over one or two axes, grouped and depthwise ones
    among them, and `Dense`. A separable convolution is two.

    Args:
        graph: a `ChannelGraph`.
        shapes: what `call_shapes` returned.

    Returns:
        List of `ShapedLayer`, in the order of execution.
    """
    found = []
    for op in graph.operations:
        layer = op.inner
        make = next((m for kind, m in _MAKERS if isinstance(layer, kind)), None)
        if make is None or "in" not in op.sides:
            continue
        inputs = op.sides["in"]
        outputs = op.sides.get("out", inputs)
        for before, _ in shapes[id(op.layer)]:
            for shape in make(layer, before, inputs.size, outputs.size):
                ends = inputs, outputs
                if shape.kind == DEPTHWISE:
                    ends = inputs, inputs
                found.append(ShapedLayer(op.name, shape, *ends))
    return found


def _convolution(layer, before, inputs, outputs):
    common = _common(layer, before)
    if layer.groups > 1 and layer.kernel.shape[-2] == 1:
        return [LayerShape(DEPTHWISE, inputs, layer.filters, **common)]
    return [
        LayerShape(CONVOLUTION, inputs, outputs, groups=layer.groups, **common)
    ]


def _depthwise(layer, before, inputs, outputs):
    del outputs
    outputs = inputs * layer.depth_multiplier
    return [LayerShape(DEPTHWISE, inputs, outputs, **_common(layer, before))]


def _separable(layer, before, inputs, outputs):
    (first,) = _depthwise(layer, before, inputs, outputs)
    between = first.outputs
    return [first, LayerShape(CONVOLUTION, between, outputs, first.output_size)]


def _dense(layer, before, inputs, outputs):
    del layer
    rows = int(np.prod(before[1:-1], dtype=int))
    return [LayerShape(DENSE, inputs, outputs, (rows, 1))]


def _common(layer, before):
    """Sizes of a convolution, those over one axis as over two."""
    size = before[1:-1]
    if layer.data_format == "channels_first":
        size = before[2:]
    return {
        "size": _pair(size),
        "kernel": _pair(layer.kernel_size),
        "strides": _pair(layer.strides),
        "dilation": _pair(layer.dilation_rate),
        "padding": "valid" if layer.padding == "valid" else "same",
    }


_MAKERS = (
    ((keras.layers.Conv1D, keras.layers.Conv2D), _convolution),
    ((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), _depthwise),
    ((keras.layers.SeparableConv1D, keras.layers.SeparableConv2D), _separable),
    (keras.layers.Dense, _dense),
)


def _pair(sizes):
    return (1, *sizes) if len(sizes) == 1 else tuple(sizes)


def _by(numbers):
    return "x".join(map(str, numbers))
