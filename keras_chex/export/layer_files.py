"""Writes `.tflite` files of one layer, to find out how long that layer takes.

The format is written directly: converting some hundred Keras models would take
minutes, and such a file is there in milliseconds.
"""

import importlib

import numpy as np

from keras_chex.analysis.layer_shapes import DENSE, DEPTHWISE

# Both packages bring the same classes, generated from LiteRT's schema.
_SCHEMAS = (
    "ai_edge_litert.schema_py_generated",
    "tensorflow.lite.python.schema_py_generated",
)


def layer_file(shape, inputs, outputs, copies=1):
    """Makes a file with copies of one float32 layer side by side.

    All read the same input, have random weights of their own, and end with a
    ReLU, as convolutions in networks do.

    Args:
        shape: `LayerShape`.
        inputs: int, input channels, in place of those of `shape`; ignored for
            a depthwise layer.
        outputs: int, output channels.
        copies: int.

    Returns:
        Bytes.

    Raises:
        ImportError: If neither LiteRT nor TensorFlow is installed.
    """
    import flatbuffers

    schema = _schema()
    file = _File(schema)
    if shape.kind == DEPTHWISE:
        inputs = outputs // shape.multiplier
    if shape.kind == DENSE:
        source = (shape.size[0], inputs)
        target = (shape.size[0], outputs)
        weight = (outputs, inputs)
    else:
        source = (1, *shape.size, inputs)
        target = (1, *shape.output_size, outputs)
        weight = (outputs, *shape.kernel, inputs // shape.groups)
    if shape.kind == DEPTHWISE:
        weight = (1, *shape.kernel, outputs)
    file.graph.inputs = [file.tensor(source)]
    for _ in range(copies):
        operator = schema.OperatorT()
        operator.inputs = [
            file.graph.inputs[0],
            file.constant(weight),
            file.constant((outputs,)),
        ]
        operator.outputs = [file.tensor(target)]
        operator.builtinOptionsType, operator.builtinOptions = _options(
            schema, shape
        )
        file.graph.operators.append(operator)
        file.graph.outputs += operator.outputs
    file.model.operatorCodes = [_code(schema, shape.kind)]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(file.model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _File:
    """A model of the schema with one empty graph, and what fills it."""

    def __init__(self, schema):
        self.schema = schema
        self.rng = np.random.default_rng(0)
        self.graph = schema.SubGraphT()
        self.graph.tensors = []
        self.graph.operators = []
        self.graph.outputs = []
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.subgraphs = [self.graph]
        self.model.buffers = [schema.BufferT()]

    def tensor(self, shape, buffer=0):
        """Adds a tensor; buffer 0 is for values that are computed."""
        tensor = self.schema.TensorT()
        tensor.shape = list(shape)
        tensor.type = self.schema.TensorType.FLOAT32
        tensor.buffer = buffer
        tensor.name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, shape):
        """Adds random weights."""
        values = self.rng.normal(0.0, 0.1, shape).astype("<f4")
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self.tensor(shape, len(self.model.buffers) - 1)


def _schema():
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError(
        "Measuring latencies needs LiteRT or TensorFlow. Neither is installed: "
        "`pip install ai-edge-litert` (not for Windows) or "
        "`pip install tensorflow`. A table from another device needs neither"
    )


def _code(schema, kind):
    operators = schema.BuiltinOperator
    code = schema.OperatorCodeT()
    code.builtinCode = {
        DENSE: operators.FULLY_CONNECTED,
        DEPTHWISE: operators.DEPTHWISE_CONV_2D,
    }.get(kind, operators.CONV_2D)
    code.deprecatedBuiltinCode = code.builtinCode
    code.version = 1
    return code


def _options(schema, shape):
    """Number and value of what an operator knows beside its tensors."""
    relu = schema.ActivationFunctionType.RELU
    if shape.kind == DENSE:
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = relu
        return schema.BuiltinOptions.FullyConnectedOptions, options
    if shape.kind == DEPTHWISE:
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = shape.multiplier
        number = schema.BuiltinOptions.DepthwiseConv2DOptions
    else:
        options = schema.Conv2DOptionsT()
        number = schema.BuiltinOptions.Conv2DOptions
    options.fusedActivationFunction = relu
    same = shape.padding == "same"
    options.padding = schema.Padding.SAME if same else schema.Padding.VALID
    options.strideH, options.strideW = shape.strides
    options.dilationHFactor, options.dilationWFactor = shape.dilation
    return number, options
