"""How correctness is shown: weights that make mistakes visible, and checks.

That a stripped model equals the wrapped one proves little alone, because both
read the same channel ids. `permuted` and `zero_dormant` compare with the plain
model, the second without the package's knowledge of which weights carry a
channel. `roll_input_slices` makes the mistake that all of them must see.
"""

import math

import keras
import numpy as np
from keras import layers, ops

import keras_chex

TOLERANCE = 1e-5
_TRANSPOSED = (
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
)
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)


def layers_by_path(model, prefix=""):
    """Returns `{path: layer}` of all leaf layers, nested ones as `outer/x`."""
    found = {}
    for layer in getattr(model, "layers", model._layers):
        path = prefix + layer.name
        wraps_one = isinstance(layer, (layers.Wrapper, layers.RNN))
        if getattr(layer, "_layers", ()) and not wraps_one:
            found.update(layers_by_path(layer, f"{path}/"))
        else:
            found[path] = layer
    return found


def reasons(model):
    """Why each group stays whole, None where it need not."""
    return {g.name: g.frozen for g in keras_chex.channel_groups(model)}


def example_inputs(model, batch=8, seed=0):
    """Draws one normal array for each input, alone if there is one."""
    rng = np.random.default_rng(seed)
    inputs = getattr(model, "inputs", None)
    if inputs is None:
        shape = model.get_build_config()["input_shape"]
        inputs = [keras.KerasTensor(shape)]
    arrays = [
        rng.normal(size=(batch, *x.shape[1:])).astype("float32")
        if "float" in x.dtype
        else rng.integers(0, 5, (batch, *x.shape[1:])).astype(x.dtype)
        for x in inputs
    ]
    return arrays if len(arrays) > 1 else arrays[0]


def randomize(model, seed=0):
    """Gives every weight a random value that is neither 0 nor 1."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.dtype == "float32":
            value = _random_value(variable, rng).astype("float32")
            variable.assign(value)


def _random_value(variable, rng):
    name, shape = variable.name, tuple(variable.shape)
    normal = rng.normal(size=shape)
    if name == "depthwise_kernel":
        return normal * math.sqrt(2 / math.prod(shape[:-2]))
    if name.endswith("kernel"):
        return normal * math.sqrt(2 / math.prod(shape[:-1]))
    if name in ("gamma", "gain"):
        sign = np.where(rng.uniform(size=shape) < 0.25, -1.0, 1.0)
        return sign * rng.uniform(0.5, 1.5, size=shape)
    if name.endswith("variance"):
        return rng.uniform(0.5, 2.0, size=shape)
    return 0.3 * normal


def calibrate(model, x, seed=0):
    """Measures BatchNormalization statistics on `x`, then perturbs them.

    Statistics that have nothing to do with the data make deep networks
    constant over the batch, and then no mistake shows.
    """
    norms = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, layers.BatchNormalization)
    ]
    before = [(norm.momentum, norm.trainable) for norm in norms]
    for norm in norms:
        norm.momentum, norm.trainable = 0.0, True
    model(x, training=True)
    rng = np.random.default_rng(seed)
    for norm, (momentum, trainable) in zip(norms, before, strict=True):
        norm.momentum, norm.trainable = momentum, trainable
        mean = ops.convert_to_numpy(norm.moving_mean)
        variance = ops.convert_to_numpy(norm.moving_variance)
        shift = 0.2 * np.sqrt(variance) * rng.normal(size=mean.shape)
        norm.moving_mean.assign(mean + shift)
        norm.moving_variance.assign(
            variance * rng.uniform(0.7, 1.4, size=mean.shape)
        )


def smallest_variation(outputs):
    """Returns how much an output differs between examples, relatively.

    The largest spread of one number over the examples, divided by the largest
    magnitude; of several outputs the one that varies least.
    """
    arrays = [ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]
    # One that is zero everywhere does not vary.
    return min(
        np.ptp(y, axis=0).max() / max(np.abs(y).max(), 1e-30) for y in arrays
    )


def prepare(build, seed=0):
    """Builds a model on which a mistake shows.

    Returns:
        `(model, x)`: the model with random weights and calibrated statistics,
        and inputs on which its outputs differ between examples.
    """
    model = build()
    x = example_inputs(model, seed=seed)
    randomize(model, seed)
    calibrate(model, x, seed)
    variation = smallest_variation(model(x, training=False))
    assert variation > 0.01, f"void: outputs vary by {variation} only"
    return model, x


def largest_difference(a, b):
    """Returns the largest `|a - b|`, relative to the largest `|b|`.

    Of several outputs, whose structure must be the same, the worst counts.
    """
    keras.tree.assert_same_structure(a, b)
    pairs = zip(keras.tree.flatten(a), keras.tree.flatten(b), strict=True)
    differences = []
    for first, second in pairs:
        first = ops.convert_to_numpy(first).astype("float64")
        second = ops.convert_to_numpy(second).astype("float64")
        assert first.shape == second.shape
        assert np.isfinite(first).all()
        scale = np.abs(second).max() if second.size else 1.0
        differences.append(np.abs(first - second).max() / max(scale, 1e-12))
    return max(differences)


def random_active(groups, seed=0, share=0.5):
    """Draws `{name: bool array}` with `share` of each unfrozen group."""
    rng = np.random.default_rng(seed)
    active = {}
    for group in groups:
        if group.frozen is None:
            active[group.name] = np.zeros(group.size, dtype=bool)
            kept = max(1, round(share * group.size))
            active[group.name][rng.permutation(group.size)[:kept]] = True
    return active


def zero_dormant(model, dormant, x):
    """Sets to zero, in place, whatever makes a dormant channel non-zero.

    The producers lose the weights and biases of these channels. What lies
    behind is found by running the model: where a BatchNormalization or a
    depthwise convolution receives a channel of zeros, it must return zeros.
    This is right only for models whose activations keep zero, and while no
    active channel is zero on all of `x`.

    Args:
        model: plain model; its weights change.
        dormant: `{path of a producer: its dormant output channels}`.
        x: inputs to run it on.

    Returns:
        The outputs for `x`.
    """
    by_path = layers_by_path(model)
    for path, channels in dormant.items():
        _zero_outputs(by_path[path], channels)
    hooked = [layer for layer in by_path.values() if _is_follower(layer)]
    for layer in hooked:
        _zero_when_called(layer)
    outputs = model(x, training=False)
    for layer in hooked:
        del layer.call
    return outputs


def _zero_outputs(layer, channels):
    if isinstance(layer, _SEPARABLE):
        kernel, axis = layer.pointwise_kernel, -1
    elif isinstance(layer, _TRANSPOSED):
        kernel, axis = layer.kernel, -2
    else:
        # Of a layer with several axes of outputs the last one can shrink.
        known = (*_CONVOLUTIONS, layers.Dense, layers.EinsumDense)
        assert isinstance(layer, known), layer
        kernel, axis = layer.kernel, -1
    _zero_slices(kernel, axis, channels)
    if layer.bias is not None:
        _zero_slices(layer.bias, -1, channels)


def _zero_slices(variable, axis, indices):
    value = np.moveaxis(ops.convert_to_numpy(variable), axis, 0)
    value[indices] = 0.0
    variable.assign(np.moveaxis(value, 0, axis))


def _is_follower(layer):
    if isinstance(layer, _CONVOLUTIONS):
        return layer.groups > 1 and layer.kernel.shape[-2] == 1
    return isinstance(layer, (layers.BatchNormalization, *_DEPTHWISE))


def _zero_when_called(layer):
    call = layer.call

    def zero_then_call(inputs, **kwargs):
        _silence(layer, _zero_channels(layer, inputs))
        return call(inputs, **kwargs)

    layer.call = zero_then_call


def _zero_channels(layer, inputs):
    first = getattr(layer, "data_format", None) == "channels_first"
    axis = getattr(layer, "axis", 1 if first else -1)
    values = np.moveaxis(ops.convert_to_numpy(inputs), axis, -1)
    return ~values.reshape(-1, values.shape[-1]).any(axis=0)


def _silence(layer, channels):
    """Makes `layer` return zeros where its input channels are zeros."""
    if isinstance(layer, layers.BatchNormalization):
        weights = [layer.gamma, layer.beta, layer.moving_mean]
    else:
        weights = [layer.bias]
        multiplier = (
            layer.depth_multiplier
            if isinstance(layer, _DEPTHWISE)
            else layer.filters // layer.groups
        )
        channels = np.repeat(channels, multiplier)
    for weight in weights:
        if weight is not None:
            _zero_slices(weight, 0, channels)


def roll_input_slices(layer):
    """Makes a mistake: `layer` reads its input channels rolled by one.

    Returns:
        Whether it has more than one input channel, so that this shows.
    """
    if isinstance(layer, layers.TimeDistributed):
        layer = layer.layer
    if isinstance(layer, layers.Bidirectional):
        layer = layer.forward_layer
    # The weights of a recurrent layer are those of its cell.
    layer = getattr(layer, "cell", layer)
    if isinstance(layer, _SEPARABLE):
        kernel, axis = layer.depthwise_kernel, -2
    elif isinstance(layer, _TRANSPOSED):
        kernel, axis = layer.kernel, -1
    elif isinstance(layer, layers.EinsumDense):
        # The input comes first in the kernels of the zoo.
        kernel, axis = layer.kernel, 0
    else:
        kernel, axis = layer.kernel, -2
    kernel.assign(np.roll(ops.convert_to_numpy(kernel), 1, axis=axis))
    return kernel.shape[axis] > 1


def as_numpy(outputs):
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


# JAX compiles every operation of an eager step by itself, which takes longer
# than compiling the step. Elsewhere a step that runs once is best run eagerly.
EAGER = keras.backend.backend() != "jax"


def training_step(model, x, y, run_eagerly):
    """Trains on one batch with plain SGD; returns the loss."""
    model.compile(
        optimizer=keras.optimizers.SGD(0.05),
        loss=keras.tree.map_structure(lambda _: "mse", y),
        run_eagerly=run_eagerly and EAGER,
    )
    return float(model.train_on_batch(x, y, return_dict=True)["loss"])


def find_layer(stripped, path):
    """Finds the layer of a stripped model that `path` names in the plain one.

    Inner layers lose the names of their models unless two share a name.
    """
    by_path = layers_by_path(stripped)
    names = (path, path.replace("/", "_"), path.rsplit("/", 1)[-1])
    return next(by_path[name] for name in names if name in by_path)


def run_litert(path, x, like):
    """Runs a `.tflite` file, one example after the other.

    Args:
        path: the file.
        x: array, or list of arrays of different shapes.
        like: outputs whose structure the result gets.
    """
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path)).get_signature_runner()
    arrays = keras.tree.flatten(x)
    shapes = {
        name: tuple(details["shape"][1:])
        for name, details in runner.get_input_details().items()
    }
    rows = []
    for i in range(len(arrays[0])):
        one = {tuple(a.shape[1:]): a[i : i + 1] for a in arrays}
        outputs = runner(**{n: one[shape] for n, shape in shapes.items()})
        rows.append([outputs[name] for name in sorted(outputs)])
    columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return keras.tree.pack_sequence_as(like, columns)
