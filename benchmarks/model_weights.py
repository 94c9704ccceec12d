"""Weights, statistics and pictures on which mistakes in a real model show."""

import keras
import numpy as np

from keras_chex.graph.keras_nodes import all_layers
from keras_chex.graph.selection import Selection
from keras_chex.surgery.narrowing import narrow_model
from tests import checks

_RATES = ("rate", "drop_path_rate")


def pictures(model, batch, seed=0):
    """Draws pictures of 0 to 255 that differ in more than their noise.

    Noise alone is averaged away by deep networks, whose outputs are then the
    same for all examples.
    """
    rng = np.random.default_rng(seed)
    height, width, channels = model.inputs[0].shape[1:]
    tiles = rng.uniform(0, 255, (batch, 4, 4, channels))
    rows, columns = (
        np.arange(height) * 4 // height,
        np.arange(width) * 4 // width,
    )
    smooth = tiles[:, rows][:, :, columns]
    noise = rng.uniform(0, 255, smooth.shape)
    return (0.7 * smooth + 0.3 * noise).astype("float32")


def disable_dropout(model):
    """Sets the rates of dropout and stochastic depth to 0, in place."""
    for layer in all_layers(model):
        for name in _RATES:
            if isinstance(getattr(layer, name, None), float):
                setattr(layer, name, 0.0)


def randomize(model, seed=0):
    """As `tests.checks.randomize`, but with normalised values around 1.

    Deep random networks are chaotic: they amplify the rounding of float32 a
    million times where normalised values are around 0, where activations bend.
    It also keeps ReLUs from switching channels off for all pictures.
    """
    checks.randomize(model, seed)
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            if layer.beta is not None:
                layer.beta.assign_add(keras.ops.ones_like(layer.beta))
        elif isinstance(layer, keras.layers.Normalization):
            # It reads its weights here only.
            layer.finalize_state()


def calibrate(model, x, seed=0):
    """Measures BatchNormalization statistics on `x`, then perturbs them.

    As `tests.checks.calibrate`, in layers of layers too and without dropout.
    """
    norms = [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [norm.momentum for norm in norms]
    rates = [
        (layer, name, getattr(layer, name))
        for layer in all_layers(model)
        for name in _RATES
        if isinstance(getattr(layer, name, None), float)
    ]
    disable_dropout(model)
    for norm in norms:
        norm.momentum = 0.0
    model(x, training=True)
    for layer, name, rate in rates:
        setattr(layer, name, rate)
    rng = np.random.default_rng(seed)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        mean = keras.ops.convert_to_numpy(norm.moving_mean)
        variance = keras.ops.convert_to_numpy(norm.moving_variance)
        shift = 0.2 * np.sqrt(variance) * rng.normal(size=mean.shape)
        scale = rng.uniform(0.7, 1.4, size=mean.shape)
        norm.moving_mean.assign(mean + shift)
        norm.moving_variance.assign(variance * scale)


def calibrate_narrow(model, graph, active, x, seed=0):
    """Gives a plain model the statistics that its active channels have.

    They are measured on a narrow copy and written into `model`.

    Args:
        model: plain model, which changes.
        graph: its `ChannelGraph`.
        active: `{group name: bool array}`.
        x: pictures.
        seed: int, of the perturbation.
    """
    selection = Selection(graph, active)
    narrow = narrow_model(model, selection)
    calibrate(narrow, x, seed + 1)
    for op in graph.operations:
        if not isinstance(op.inner, keras.layers.BatchNormalization):
            continue
        source = checks.find_layer(narrow, op.name)
        places = selection.positions(op.sides["in"]) if op.sides else ...
        for name in ("moving_mean", "moving_variance"):
            variable = getattr(op.inner, name)
            value = keras.ops.convert_to_numpy(variable).copy()
            value[places] = keras.ops.convert_to_numpy(getattr(source, name))
            variable.assign(value)


def choose_active(groups, share, round_to=1, seed=0):
    """Draws `{name: bool array}` with `share` of each unfrozen group.

    Widths are multiples of `round_to`, at least one of them, at most the size.
    """
    rng = np.random.default_rng(seed)
    active = {}
    for group in groups:
        if group.frozen is None:
            wanted = round_to * max(1, round(share * group.size / round_to))
            mask = np.zeros(group.size, dtype=bool)
            mask[rng.permutation(group.size)[:wanted]] = True
            active[group.name] = mask
    return active
