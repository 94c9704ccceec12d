"""Rules of what leaves each channel as it is: activations, dropout, noise."""

import keras
import numpy as np

from keras_chex.graph.channel_ids import Channels, Opaque
from keras_chex.graph.keras_nodes import raw_operation
from keras_chex.graph.rule import IN, Rule, register_rule
from keras_chex.graph.rules.activation import activation_name, is_channelwise

_LAYERS = (
    "ReLU LeakyReLU ELU Identity ActivityRegularization GaussianNoise "
    "GaussianDropout SpatialDropout1D SpatialDropout2D "
    "SpatialDropout3D"
).split()

_RAW = (
    "Relu Relu6 Sigmoid SparseSigmoid Softplus Softsign SoftShrink SparsePlus "
    "Silu Squareplus LogSigmoid LeakyRelu HardSigmoid HardSilu Elu Selu Gelu "
    "Celu TanhShrink HardTanh HardShrink Threshold Abs "
    "Absolute Fabs Ceil Clip Cos Cosh Exp Exp2 Expm1 Floor Log Log10 Log1p "
    "Log2 Negative Reciprocal Round Sign Sin Sinh Sqrt Square Tan Tanh Trunc "
    "ReLU Mish NanToNum Copy Cast ConvertToTensor StopGradient Rsqrt Erf "
    "Erfinv Erfc Arccos Arccosh Arcsin Arcsinh Arctan Arctanh Cbrt Deg2rad "
    "Rad2deg Sinc Isfinite Isinf Isnan LogicalNot ZerosLike OnesLike "
    "SaturateCast"
).split()

_known_raw = [op for op in map(raw_operation, _RAW) if op is not None]


@register_rule(*(getattr(keras.layers, name) for name in _LAYERS), *_known_raw)
class ElementwiseRule(Rule):
    is_elementwise = True

    def flow(self, call):
        return call.inputs[:1]


@register_rule(keras.layers.Activation)
class ActivationRule(Rule):
    def flow(self, call):
        activation = call.layer.activation
        if is_channelwise(activation):
            return call.inputs
        return call.barrier(
            f"'{call.name}' may mix channels ({activation_name(activation)})"
        )


@register_rule(keras.layers.Dropout, keras.layers.AlphaDropout)
class DropoutRule(Rule):
    """A `noise_shape` with the number of channels in it cannot shrink."""

    def flow(self, call):
        tensor, shape = call.inputs[0], call.layer.noise_shape
        if shape is not None and isinstance(tensor, Channels):
            if shape[tensor.axis] not in (None, 1):
                return call.barrier(f"'{call.name}' has a fixed noise_shape")
        return [tensor]


@register_rule(
    keras.layers.Softmax,
    *map(raw_operation, ("Softmax", "LogSoftmax", "Sparsemax")),
)
class SoftmaxRule(Rule):
    """Over space it leaves channels alone; over channels it weighs them."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        axes = np.atleast_1d(call.layer.axis) % rank
        if isinstance(tensor, Channels) and tensor.axis in axes:
            return call.barrier(f"'{call.name}' is a softmax over the channels")
        return [tensor]


@register_rule(keras.layers.PReLU)
class PReLURule(Rule):
    """One slope per channel, unless the channel axis is shared."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if call.layer.alpha.shape[-1] == 1 or isinstance(tensor, Opaque):
            return [tensor]
        return [Channels(call.consume(-1), rank - 1)]

    def weights(self, layer):
        return {"alpha": {len(layer.alpha.shape) - 1: IN}}
