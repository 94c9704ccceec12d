"""Copies of layers whose class cannot be made again from a config.

Keras knows no config of a layer that was given anything but numbers and
strings, such as `ResNet(BasicBlock, [2, 2])`, unless it has a `get_config`.
Then what the layer holds is copied, and its `__init__` is not called again.
"""

import functools
import types

import keras

from keras_chex.graph.keras_nodes import (
    all_layers,
    functional_graph,
    is_code_of_keras,
    own_weights,
)
from keras_chex.graph.remaking import config_of, remake

# What holds variables and is no layer.
_STATEFUL = (
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    keras.random.SeedGenerator,
)

# What a config that is missing or incomplete leads to.
FAILURES = (TypeError, NotImplementedError, KeyError)

# What Keras sets in every layer, and code may have set to another value.
_SETTINGS = (
    *("_build_shapes_dict", "_supports_masking", "supports_jit"),
    *("_input_spec", "activity_regularizer", "autocast", "_auto_config"),
    *("_convert_input_args", "_allow_non_tensor_positional_args", "built"),
    "_trainable",
)

# What `compile` and `fit` add to a model, and PyTorch to every layer.
_OF_TRAINING = (
    *("history", "optimizer", "_compile_config", "_compiled_trainable_state"),
    *("stop_training", "stop_evaluating", "stop_predicting", "_jax_state"),
    "torch_params",
)


def made_again(layer):
    """A new layer like another: from its config, else from what it holds.

    Weights have values of their own; who copies a model fills them in.

    Args:
        layer: a layer or raw operation.

    Raises:
        TypeError: If it can be copied in neither way.
    """
    try:
        return remake(type(layer), config_of(layer))
    except FAILURES as error:
        if not isinstance(layer, keras.layers.Layer):
            raise
        return duplicate(layer, error)


def duplicate(layer, error):
    """Copies what a layer holds: its layers, weights and settings.

    Args:
        layer: a layer or model that is not functional itself.
        error: why it cannot be made from its config.

    Returns:
        A layer of the same class. Values that are neither layers nor weights
        are the same objects in both.

    Raises:
        TypeError: `error`, if something in it cannot be copied.
    """
    try:
        _require_unshared(layer)
        return _Duplicates().by_state(layer)
    except (*FAILURES, ValueError) as other:
        raise error from other


class _Duplicates:
    def __init__(self):
        self._made = {}

    def layer(self, layer):
        """The copy of a layer, the same for every attribute that holds it."""
        if id(layer) not in self._made:
            self._made[id(layer)] = layer, self._new(layer)
        return self._made[id(layer)][1]

    def _new(self, layer):
        if isinstance(layer, keras.Sequential) or (
            functional_graph(layer) is not None
        ):
            copy = keras.models.clone_model(layer, clone_function=self.any)
            if type(copy) is not type(layer):
                raise TypeError(f"'{layer.name}' is a functional model")
        elif not is_code_of_keras(layer):
            return self.by_state(layer)
        else:
            try:
                copy = remake(type(layer), config_of(layer))
            except FAILURES:
                return self.by_state(layer)
        if layer.built and not copy.built:
            copy.build_from_config(dict(layer.get_build_config() or {}))
        return copy

    def any(self, operation):
        """The copy of a layer, or of a raw operation."""
        if isinstance(operation, keras.layers.Layer):
            return self.layer(operation)
        return remake(type(operation), config_of(operation))

    def by_state(self, layer):
        """A copy of the user's layer that holds copies of what it holds."""
        if functional_graph(layer) is not None:
            raise TypeError(f"'{layer.name}' is a functional model")
        kind = type(layer)
        copy = kind.__new__(kind)
        is_model = isinstance(layer, keras.Model)
        base = keras.Model if is_model else keras.layers.Layer
        base.__init__(copy, name=layer.name, dtype=layer.dtype_policy)
        self._made[id(layer)] = layer, copy
        known = {*_attributes(copy), *_OF_TRAINING}
        for weight in own_weights(layer):
            self._made[id(weight)] = weight, _new_weight(copy, weight)
        for name, value in _attributes(layer).items():
            # TensorFlow keeps what it tracks under names of its own.
            if name not in known and not name.startswith("_self_"):
                setattr(copy, name, self._value(value))
        for name in _SETTINGS:
            # As they are: setting `trainable` would change the layers inside.
            if name in vars(layer):
                vars(copy)[name] = vars(layer)[name]
        return copy

    def _value(self, value):
        if id(value) in self._made:
            return self._made[id(value)][1]
        if isinstance(value, keras.layers.Layer):
            return self.layer(value)
        if isinstance(value, _STATEFUL):
            return type(value).from_config(value.get_config())
        if isinstance(value, dict):
            return {key: self._value(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            entries = [self._value(entry) for entry in value]
            if hasattr(value, "_make"):
                return value._make(entries)
            return entries if isinstance(value, list) else tuple(entries)
        if isinstance(value, types.MethodType):
            return types.MethodType(value.__func__, self._value(value.__self__))
        if isinstance(value, functools.partial):
            return functools.partial(
                self._value(value.func),
                *map(self._value, value.args),
                **self._value(value.keywords),
            )
        return value


def _attributes(layer):
    """What a layer holds; on PyTorch the layers among it are kept apart."""
    return {**vars(layer), **vars(layer).get("_modules", {})}


def _require_unshared(layer):
    owners = {}
    for inside in all_layers(layer):
        for weight in own_weights(inside):
            other = owners.setdefault(id(weight), inside)
            if other is not inside:
                raise TypeError(f"two layers hold the weight '{weight.path}'")


def _new_weight(layer, weight):
    return layer.add_weight(
        shape=weight.shape,
        initializer="zeros",
        dtype=weight.dtype,
        trainable=weight.trainable,
        regularizer=weight.regularizer,
        constraint=weight.constraint,
        name=weight.name,
    )
