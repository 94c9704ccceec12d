"""Steps that random graphs are made of: plain data in, tensors out.

A step is `[kind, sources, options]`: what to do, the numbers of the tensors it
takes, and keyword arguments that fit into JSON. `run` carries out a list of
steps: in a functional graph, inside a nested model, or in the `call` of a layer
or model that hides them.
"""

import json

import keras
import numpy as np
from keras import layers, ops

from keras_chex.graph.keras_nodes import application_layer
from tests.zoo_custom import ChannelGain, ChannelShift, reverse_channels

registered = keras.saving.register_keras_serializable(package="fuzz")

_KINDS = (
    "Activation AdaptiveAveragePooling2D AveragePooling2D BatchNormalization "
    "Conv1D Conv1DTranspose Conv2D Conv2DTranspose ConvLSTM1D Cropping2D Dense "
    "DepthwiseConv1D DepthwiseConv2D Dropout ELU EinsumDense Flatten GRU "
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling2D "
    "GroupNormalization LSTM LayerNormalization LeakyReLU MaxPooling2D PReLU "
    "RMSNormalization ReLU Rescaling Resizing SeparableConv1D SeparableConv2D "
    "SimpleRNN Softmax SpatialDropout2D UnitNormalization UpSampling2D "
    "ZeroPadding2D"
).split()
LAYERS = {
    name: getattr(layers, name) for name in _KINDS if hasattr(layers, name)
}
LAYERS |= {
    "ChannelGain": ChannelGain,
    "ChannelShift": ChannelShift,
    "LayerScale": application_layer("convnext", "LayerScale"),
}
_JOINS = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "maximum": ops.maximum,
    "minimum": ops.minimum,
}
_ARITHMETIC = {
    "half": lambda x: x / 2.0,
    "negative": lambda x: -x,
    "twice": lambda x: x + x,
    "product": lambda x: 2.0 * x,
    "affine": lambda x: 0.5 * x + 0.3,
    "complement": lambda x: 1 - x,
    "hard_sigmoid": lambda x: ops.relu6(x + 3.0) / 6.0,
    "hard_swish": lambda x: x * ops.relu6(x + 3.0) / 6.0,
    "decay": lambda x: ops.exp(-ops.abs(x)),
    "wave": lambda x: ops.cos(x),
}


class Parts:
    """Layers in the order in which steps ask for them, made only once.

    Args:
        prefix: str, how the names of the layers begin.
        made: list of layers that were made before, which are used again.
    """

    def __init__(self, prefix="l", made=()):
        self.prefix, self.made, self.next = prefix, list(made), 0

    def __call__(self, kind, *args, **kwargs):
        if self.next == len(self.made):
            label = f"{self.prefix}{self.next}_{kind.__name__.lower()}"
            self.made.append(kind(*args, name=label, **kwargs))
        self.next += 1
        return self.made[self.next - 1]


def run(steps, parts, tensors):
    """Carries out steps.

    Returns:
        List of tensors: those given, then what each step returned, in order.
    """
    tensors = list(tensors)
    for kind, sources, options in steps:
        given = [tensors[number] for number in sources]
        if kind in LAYERS:
            made = parts(LAYERS[kind], **options)(*given)
        else:
            made = globals()[f"do_{kind}"](parts, *given, **options)
        tensors += made if isinstance(made, list) else [made]
    return tensors


def do_raw(parts, x, name):
    return getattr(ops, name)(x)


def do_arithmetic(parts, x, form):
    return _ARITHMETIC[form](x)


def do_join(parts, x, y, how, raw):
    if raw:
        return _JOINS[how](x, y)
    return parts(getattr(layers, how.capitalize()))([x, y])


def do_concat(parts, *tensors, raw, axis=-1):
    if raw:
        return ops.concatenate(list(tensors), axis=axis)
    return parts(layers.Concatenate, axis=axis)(list(tensors))


def do_slice(parts, x, key):
    """`key` has `...`, numbers, None for a new axis, `[start, stop, step]`."""
    return x[tuple(_entry(part) for part in key)]


def _entry(part):
    if part == "...":
        return ...
    return slice(*part) if isinstance(part, (list, tuple)) else part


def do_split(parts, x, places, axis=-1):
    return list(ops.split(x, places, axis=axis))


def do_reshape(parts, x, sizes, raw, batch=-1):
    """A size `[a, b]` is what code finds: `a / b` of the channels."""
    count = x.shape[-1]
    sizes = [
        count * size[0] // size[1] if isinstance(size, (list, tuple)) else size
        for size in sizes
    ]
    if raw:
        return ops.reshape(x, (batch, *sizes))
    return parts(layers.Reshape, sizes)(x)


def do_transpose(parts, x, order, how):
    if how == "permute":
        return parts(layers.Permute, order[1:])(x)
    return ops.transpose(x, order)


def do_swapaxes(parts, x, one, other):
    return ops.swapaxes(x, one, other)


def do_moveaxis(parts, x, source, destination):
    return ops.moveaxis(x, source, destination)


def do_reduce(parts, x, how, axes, keepdims):
    return getattr(ops, how)(x, axis=axes, keepdims=keepdims)


def do_pad(parts, x, widths, mode):
    return ops.pad(x, widths, mode=mode)


def do_resize(parts, x, size, interpolation):
    return ops.image.resize(x, size, interpolation=interpolation)


def do_flip(parts, x, axis):
    return ops.flip(x, axis=axis)


def do_roll(parts, x, shift, axis):
    return ops.roll(x, shift, axis=axis)


def do_expand(parts, x, axis):
    return ops.expand_dims(x, axis)


def do_squeeze(parts, x, axis):
    return ops.squeeze(x, axis)


def do_lambda(parts, x):
    return parts(layers.Lambda, reverse_channels)(x)


def do_constant(parts, x):
    """One number per channel, written into the model."""
    # A sum, because Keras takes the product alone for a sparse tensor, and then
    # cannot call a layer without `compute_output_shape`.
    return x + x * np.linspace(-0.5, 0.5, x.shape[-1], dtype="float32")


def do_softmax(parts, x, axis):
    return ops.softmax(x, axis=axis)


def do_attend(parts, query, key, value, how):
    """Attention as users write it, over tokens with one head."""
    if how == "einsum":
        scores = ops.softmax(ops.einsum("bqd,bkd->bqk", query, key) * 0.4)
        return ops.einsum("bqk,bkd->bqd", scores, value)
    scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) * 0.4
    return ops.matmul(ops.softmax(scores, axis=-1), value)


def do_heads(parts, x, y, **options):
    return parts(layers.MultiHeadAttention, **options)(x, y)


def do_time(parts, x, layer, **options):
    """`TimeDistributed` over the first axis after the batch."""

    def timed(name):
        return layers.TimeDistributed(LAYERS[layer](**options), name=name)

    return parts(timed)(x)


def do_both(parts, x, layer, **options):
    """A recurrent layer in both directions."""

    def both(name):
        return layers.Bidirectional(LAYERS[layer](**options), name=name)

    return parts(both)(x)


def do_reuse(parts, *tensors, steps, times=1):
    """Calls the same layers on several tensors, or again on their result."""
    first, results = parts.next, []
    for x in tensors:
        for _ in range(times):
            parts.next = first
            x = run(steps, parts, [x])[-1]
        results.append(x)
    return results


def do_nested(parts, x, steps, outputs=(-1,)):
    """Steps on one tensor as a functional model."""

    def nested(name):
        inner = keras.Input(x.shape[1:])
        tensors = run(steps, Parts(), [inner])
        outer = [tensors[number] for number in outputs]
        return keras.Model(
            inner, outer if len(outer) > 1 else outer[0], name=name
        )

    return parts(nested)(x)


def do_sequential(parts, x, steps):
    """Steps that are layers, as a Sequential model."""

    def sequential(name):
        chain = [keras.Input(x.shape[1:])]
        inner = Parts()
        for kind, _, options in steps:
            chain.append(inner(LAYERS[kind], **options))
        return keras.Sequential(chain, name=name)

    return parts(sequential)(x)


def do_block(parts, x, steps):
    return parts(CodeBlock, steps=steps)(x)


@registered
class CodeBlock(layers.Layer):
    """A layer that hides steps in its `call`."""

    def __init__(self, steps, **kwargs):
        super().__init__(**kwargs)
        # As text, because Keras tracks lists and dicts in attributes.
        self.text = json.dumps(steps)

    def build(self, input_shape):
        parts = Parts()
        run(json.loads(self.text), parts, [keras.KerasTensor(input_shape)])
        self.inner = parts.made

    def call(self, inputs):
        parts = Parts(made=self.inner)
        return run(json.loads(self.text), parts, [inputs])[-1]

    def get_config(self):
        return {**super().get_config(), "steps": json.loads(self.text)}


@registered
class CodeModel(keras.Model):
    """A whole model that hides steps in its `call`."""

    def __init__(self, shapes, steps, outputs, **kwargs):
        super().__init__(**kwargs)
        self.text = json.dumps([shapes, steps, outputs])
        parts = Parts()
        run(steps, parts, [keras.KerasTensor((None, *s)) for s in shapes])
        self.inner = parts.made

    def call(self, inputs, training=None):
        # The layers inside find `training` by themselves.
        _, steps, outputs = json.loads(self.text)
        parts = Parts(made=self.inner)
        tensors = run(steps, parts, keras.tree.flatten(inputs))
        results = [tensors[number] for number in outputs]
        return results if len(results) > 1 else results[0]

    def get_config(self):
        names = ("shapes", "steps", "outputs")
        arguments = zip(names, json.loads(self.text), strict=True)
        return {**super().get_config(), **dict(arguments)}
