"""Finds out what a layer with weights, and no rule, does with channels.

Its code may be anything, so it is not read but tried: on other channels first,
in another order, and on fewer of them.
"""

import contextlib
import dataclasses
import inspect
import random
import weakref

import keras
import numpy as np

from keras_chex.graph.keras_functions import trusted
from keras_chex.graph.keras_nodes import (
    full_precision,
    read_variable,
    without_values,
)
from keras_chex.graph.own_weights import attribute_weights
from keras_chex.graph.remaking import config_of, remake

# Of sizes that a model leaves open, and of the batch.
OPEN, BATCH = 6, 3
_known = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found out about a layer.

    Attributes:
        axes: `{attribute: tuple of ints}`, the axes of every weight that the
            input channels are on.
        sizes: names in the layer's config that hold the number of channels.
        output: int, the axis of the output with the channels of the input; None
            where the layer takes them in and makes others.
    """

    axes: dict
    sizes: tuple
    output: int | None


class _Unclear(Exception):
    pass


def takes_several(layer):
    """Whether a layer was built for more tensors than one."""
    config = (layer.get_build_config() or {}) if layer.built else {}
    shape = config.get("input_shape")
    several = isinstance(shape, (list, tuple, dict)) and not _is_shape(shape)
    return several or "shapes_dict" in config


def study(layer):
    """Tries a built layer out, once.

    Args:
        layer: a layer of the user's without sub-layers, that takes one tensor
            with the channels on its last axis.

    Returns:
        A `Finding`; or a str, why channels cannot be removed before it.
    """
    if not layer.built:
        return "is not built"
    if layer not in _known:
        drawn = random.getstate()
        _known[layer] = _study(layer)
        random.setstate(drawn)
    return _known[layer]


def _study(layer):
    shape = (layer.get_build_config() or {}).get("input_shape")
    if not _is_shape(shape) or not isinstance(shape[-1], int) or shape[-1] < 2:
        return "was not built for one tensor of two channels or more"
    weights = attribute_weights(layer)
    if weights is None:
        return "keeps weights in other places than its attributes"
    reason = None
    counts = _counts(layer, shape[-1]) if weights else ()
    for sizes in dict.fromkeys([(), counts]):
        try:
            return _Trial(layer, weights, shape, sizes).finding()
        except _Unclear as error:
            reason = reason or str(error)
        except Exception as error:  # noqa: BLE001
            # The user's code may raise anything at all.
            kind = type(error).__name__
            reason = reason or f"cannot be tried out: {kind}"
    return reason


def _counts(layer, channels):
    """Names in a layer's config of what may be its number of channels."""
    try:
        config = config_of(layer)
    except NotImplementedError:
        return ()
    return tuple(
        name
        for name, value in config.items()
        if type(value) is int and value == channels
    )


class _Trial:
    """A layer beside another that was made for one channel less."""

    def __init__(self, layer, weights, shape, sizes):
        self.layer, self.weights, self.sizes = layer, weights, sizes
        known = [OPEN if n is None else n for n in shape]
        self.shape = (BATCH, *known[1:])
        self.rng = np.random.default_rng(0)
        # Without weights it is called on fewer channels as it is.
        self.small = self._smaller() if weights else layer
        self.axes = {k: self._axes(k, v) for k, v in weights.items()}
        if not any(self.axes.values()) and any(
            shape[-1] in weight.shape for weight in weights.values()
        ):
            raise _Unclear("has weights of a fixed size")

    def _smaller(self):
        layer, channels = self.layer, self.shape[-1] - 1
        shape = layer.get_build_config()["input_shape"]
        with trusted(layer), without_values():
            changed = dict.fromkeys(self.sizes, channels)
            small = {**config_of(layer), **changed}
            small = remake(type(layer), small)
            if not small.built:
                small.build((*shape[:-1], channels))
        return small

    def _axes(self, name, weight):
        """The axes of a weight that the smaller layer has less on."""
        full = tuple(weight.shape)
        less = tuple(getattr(self.small, name).shape)
        if len(full) != len(less):
            raise _Unclear(f"has another kind of '{name}' when it is narrower")
        changed = [i for i in range(len(full)) if full[i] != less[i]]
        channels = self.shape[-1]
        if any((full[i], less[i]) != (channels, channels - 1) for i in changed):
            raise _Unclear(f"has '{name}' shrink by other than a channel")
        return tuple(changed)

    def finding(self):
        # Positive numbers too: roots and logarithms have no others.
        ends = [
            self._ends(mode, lowest)
            for mode in self._modes()
            for lowest in (0.5, -1.5)
        ]
        common = set.intersection(*ends)
        if not common:
            raise _Unclear(
                "mixes channels, tells them apart or draws at random"
            )
        axes = [end for end in common if end is not None]
        return Finding(self.axes, self.sizes, max(axes, default=None))

    def _modes(self):
        parameters = inspect.signature(self.layer.call).parameters
        if "training" in parameters:
            return {"training": False}, {"training": True}
        return ({},)

    def _ends(self, mode, lowest):
        """On which output axes the channels come out; None is "on none"."""
        x = self.rng.uniform(lowest, 1.5, self.shape).astype("float32")
        values = {k: self._value(v) for k, v in self.weights.items()}
        order = np.roll(self.rng.permutation(self.shape[-1]), 1)
        while np.array_equal(order, np.sort(order)):
            order = self.rng.permutation(self.shape[-1])
        first = self._run(self.layer, mode, x, values)
        moved = self._run(self.layer, mode, *self._take(x, values, order))
        fewer = np.arange(self.shape[-1] - 1)
        less = self._run(self.small, mode, *self._take(x, values, fewer))
        return {
            axis
            for axis in (None, *range(1, first[0].ndim))
            if self._same(self._ordered(first, order, axis), moved)
            and self._fits(first[0].shape, less[0].shape, axis)
        }

    def _value(self, weight):
        if keras.backend.is_float_dtype(weight.dtype):
            return self.rng.uniform(0.5, 1.5, weight.shape).astype("float32")
        return np.array(read_variable(weight))

    def _take(self, x, values, channels):
        taken = {}
        for name, value in values.items():
            for axis in self.axes[name]:
                value = np.take(value, channels, axis)
            taken[name] = value
        return x[..., channels], taken

    def _run(self, layer, mode, x, values):
        """The output of a call, and the weights after it."""
        variables = {name: getattr(layer, name) for name in values}
        pairs = [
            (variables[name], keras.ops.convert_to_tensor(value))
            for name, value in values.items()
        ]
        with (
            _without_losses(layer),
            full_precision(),
            keras.StatelessScope(pairs) as scope,
        ):
            output = layer.call(keras.ops.convert_to_tensor(x), **mode)
            after = [scope.get_current_value(v) for v in variables.values()]
        if not keras.ops.is_tensor(output):
            raise _Unclear("returns something that is not one tensor")
        return [keras.ops.convert_to_numpy(v) for v in (output, *after)]

    def _ordered(self, arrays, order, axis):
        output, *after = arrays
        if axis is not None:
            if output.shape[axis] != len(order):
                return []
            output = np.take(output, order, axis)
        values = dict(zip(self.weights, after, strict=True))
        _, values = self._take(np.zeros(self.shape), values, order)
        return [output, *values.values()]

    def _fits(self, full, less, axis):
        expected = list(full)
        if axis is not None:
            expected[axis] -= 1
        return expected == list(less)

    def _same(self, ones, others):
        return len(ones) == len(others) and all(
            a.shape == b.shape
            and np.allclose(a, b, 0, self._tolerance(a), equal_nan=True)
            for a, b in zip(ones, others, strict=True)
        )

    def _tolerance(self, values):
        known = values[np.isfinite(values)]
        if not known.size:
            raise _Unclear("gives no finite numbers")
        share = 1e-5 if self.layer.compute_dtype == "float32" else 2e-2
        return share * max(float(np.abs(known).max()), 1e-6)


@contextlib.contextmanager
def _without_losses(layer):
    """Keeps losses of random numbers out of the layer."""
    vars(layer)["add_loss"] = lambda loss: None
    try:
        yield
    finally:
        del vars(layer)["add_loss"]


def _is_shape(shape):
    return isinstance(shape, (list, tuple)) and all(
        n is None or isinstance(n, int) for n in shape
    )
