"""Layers and raw operations made again from their configs."""

import inspect

import keras

from keras_chex.graph.keras_nodes import functional_graph

# What Keras puts into every config, and a class need not take.
_OF_ALL = ("name", "trainable", "dtype")


def remake(kind, config):
    """Makes a layer or raw operation of a class from a config.

    Raw operations of Keras before 3.11 name themselves in their config but do
    not take a name, and layers of the user's may take nothing but arguments of
    their own.
    """
    config = independent(config)
    parameters = inspect.signature(kind.__init__).parameters.values()
    known = {parameter.name for parameter in parameters}
    kinds = {parameter.kind for parameter in parameters}
    default = keras.Operation.from_config.__func__
    if (
        inspect.Parameter.VAR_KEYWORD in kinds
        or getattr(kind.from_config, "__func__", None) is not default
    ):
        return kind.from_config(config)
    missing = {k: config[k] for k in _OF_ALL if k in config and k not in known}
    own = {k: v for k, v in config.items() if k not in missing}
    operation = kind.from_config(own)
    if missing.get("name") is not None:
        operation.name = missing["name"]
    if missing.get("trainable") is False:
        operation.trainable = False
    if missing.get("dtype") is not None:
        operation.dtype_policy = keras.dtype_policies.get(missing["dtype"])
    return operation


def config_of(operation):
    """`get_config()`, also of what Keras refuses it for.

    Keras asks for a `get_config` where a layer was given anything but numbers
    and strings, be it only a dtype policy, or a raw operation a NumPy number.
    """
    try:
        return operation.get_config()
    except NotImplementedError:
        parameters = inspect.signature(type(operation).__init__).parameters
        own = set(parameters) - {"self", "kwargs"}
        if not isinstance(operation, keras.layers.Layer):
            # They keep what they were given under its name.
            return {name: getattr(operation, name) for name in own}
        if own:
            raise
        return {
            "name": operation.name,
            "trainable": operation.trainable,
            "dtype": operation.dtype_policy,
        }


def independent(value, copies=None):
    """Copies the layers that a config holds as objects.

    A `get_config` that returns sub-layers themselves would make them part of
    the copy too, and what is done to one were done to both.
    """
    copies = {} if copies is None else copies
    if isinstance(value, dict):
        return {k: independent(v, copies) for k, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(independent(v, copies) for v in value)
    if not isinstance(value, keras.layers.Layer):
        return value
    if id(value) not in copies:
        copies[id(value)] = value, _copy(value)
    return copies[id(value)][1]


def _copy(layer):
    """A layer of the same structure; its weights are copied afterwards."""
    if isinstance(layer, keras.Model) and functional_graph(layer) is not None:
        return keras.models.clone_model(
            layer, clone_function=lambda x: remake(type(x), config_of(x))
        )
    copy = remake(type(layer), config_of(layer))
    if layer.built and not copy.built:
        copy.build_from_config(dict(layer.get_build_config() or {}))
    return copy
