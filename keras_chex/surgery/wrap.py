"""`wrap`: a copy of the user's model whose layers can lose channels."""

import inspect

import keras

from keras_chex.graph.channels import read_channels
from keras_chex.graph.copies import (
    copy_state,
    layer_names,
    rename_layers,
)
from keras_chex.graph.duplicates import FAILURES, duplicate, made_again
from keras_chex.graph.exclusion import excluded_names
from keras_chex.graph.keras_functions import trusted
from keras_chex.graph.keras_nodes import (
    all_layers,
    input_structure,
    is_model,
    is_plain_functional,
    new_input,
    undrawn,
)
from keras_chex.graph.remaking import independent
from keras_chex.layers.wrapped_model import is_wrapped, wrap_in_place


def wrap(model, exclude=()):
    """Makes a copy of a model in which channels can go dormant.

    The copy computes the same, has the same layer names and weights, and is an
    instance of the class of `model`: an own `train_step` stays in force. Train
    it with `ChexScheduler`, then call `strip`.

    Args:
        model: a built Keras 3 model: functional, Sequential, or one whose
            own `call` can be read.
        exclude: layers that keep all the channels they make: names or paths,
            of nested models and blocks too, regular expressions that match a
            whole path, layer objects or layer classes.

    Returns:
        A new model with `ChexWrapper` layers, compiled as `model` is.

    Raises:
        TypeError: If `model` is not a Keras 3 model, or its class cannot be
            made anew from its config.
        ValueError: If `model` is not built, is wrapped already, has no channel
            that could be removed, or `exclude` names no layer.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(6, 3, name="conv"),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(3),
    ... ])
    >>> wrapped = wrap(model)
    >>> type(wrapped.get_layer("conv")).__name__
    'ChexWrapper'
    """
    graph = read_channels(model)
    if is_wrapped(model):
        raise ValueError(
            "Argument `model` must be a plain model. Received: "
            f"'{model.name}', which has ChexWrapper layers already. Use it as "
            "it is, or wrap `keras_chex.strip(model)`."
        )
    names = excluded_names(graph, exclude)
    _require_prunable(model, read_channels(model, names) if names else graph)
    copy = _copy(model)
    _require_apart(model, copy)
    rename_layers(copy, layer_names(model))
    try:
        copy_state(model, copy)
    except ValueError as error:
        raise TypeError(
            "Argument `model` must be what its config says. Received: "
            f"{type(model).__name__} '{model.name}', from whose config another "
            f"model is made: {error}. Build all layers from the arguments of "
            "`__init__`, and return these from `get_config`."
        ) from error
    return wrap_in_place(copy, names)


def _require_apart(model, copy):
    known = {id(layer) for layer in all_layers(model)}
    for layer in all_layers(copy):
        if id(layer) in known:
            raise TypeError(
                "Argument `model` must be what its config says. Received: "
                f"{type(model).__name__} '{model.name}', from whose config a "
                f"model is made that holds the very layer '{layer.name}'. Make "
                "layers in `__init__`, from numbers and strings."
            )


def _require_prunable(model, graph):
    if any(group.frozen is None for group in graph.groups):
        return
    reasons = dict.fromkeys(g.frozen for g in graph.groups)
    reasons |= dict.fromkeys(
        f"'{call.node.operation.name}' {call.closed}"
        for call in graph.program.calls
        if call.closed
    )
    raise ValueError(
        "Argument `model` must have channels that can be removed. Received: "
        f"'{model.name}', where every channel is kept: "
        f"{'; '.join(reasons) or 'no layer makes channels'}. Exclude fewer "
        "layers, or register rules for unknown ones with "
        "`keras_chex.register_rule`."
    )


def _copy(model):
    """A new model of the same class; weights are copied afterwards."""
    try:
        with trusted(model):
            remakes = _clone_model if _is_plain(model) else _remake
            copy = remakes(model)
    except FAILURES as error:
        raise TypeError(
            "Argument `model` must be made of classes that can be made anew "
            f"from their config. Received: {type(model).__name__} "
            f"'{model.name}', for which this fails: {error}. Implement "
            "`get_config` so that it names all arguments of `__init__`."
        ) from error
    for name, value in vars(model).items():
        if isinstance(value, (bool, int, float, str)) and name[0] != "_":
            setattr(copy, name, value)
    return copy


def _clone_model(model):
    inputs = None
    if not isinstance(model, keras.Sequential):
        # Cloning would call an unnamed input "keras_tensor".
        inputs = keras.tree.map_structure(new_input, input_structure(model))
    with undrawn() as spare:

        def clone(operation):
            if _is_plain(operation):
                return _clone_model(operation)
            if is_model(operation):
                return _remake(operation)
            return spare(made_again(operation))

        return keras.models.clone_model(
            model, input_tensors=inputs, clone_function=clone
        )


def _is_plain(model):
    """Tells whether a model is of Keras' own classes, nothing overridden."""
    return is_plain_functional(model) or type(model) is keras.Sequential


def _untracked(config):
    """Copies nested dicts: JAX does not take those that Keras tracks."""
    if isinstance(config, dict):
        return {key: _untracked(value) for key, value in config.items()}
    return config


def _remake(model):
    """Makes a model of the user's own class."""
    try:
        copy = _from_config(model)
    except FAILURES as error:
        copy = duplicate(model, error)
    if not copy.built:
        copy.build_from_config(_untracked(model.get_build_config()))
    if model.compiled:
        _compile_alike(model, copy)
    return copy


def _from_config(model):
    config = independent(model.get_config())
    try:
        return type(model).from_config(config)
    except TypeError:
        if getattr(model, "inputs", None):
            # A layer class that is not registered cannot be found by its
            # name; cloning calls the classes of the layers themselves.
            copy = _clone_model(model)
            if type(copy) is not type(model):
                raise
            return copy
        # Keras' own config says more than an `__init__` need take.
        known = inspect.signature(type(model).__init__).parameters
        return type(model)(**{k: v for k, v in config.items() if k in known})


def _compile_alike(model, copy):
    """Compiles a copy with the optimizer, losses and metrics of the model."""
    known, own = keras.Model, type(model)
    config = model.get_compile_config()
    if (
        own.compile is known.compile
        or own.compile_from_config is not known.compile_from_config
    ):
        copy.compile_from_config(config)
        return
    # Keras does not know the arguments of an own `compile`, and warns; but it
    # has kept what that one handed on.
    known.compile(copy, **keras.saving.deserialize_keras_object(config))
    if copy.optimizer is not None:
        copy.optimizer.build(copy.trainable_variables)
