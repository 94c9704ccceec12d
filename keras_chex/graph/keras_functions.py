"""Lets copies of layers use the very Python functions of the original."""

import collections
import contextlib
import itertools
import types

import keras

from keras_chex.graph.keras_nodes import (
    all_layers,
    scoped_objects,
    trusted_code,
)

# What layers take as arguments, beside functions.
_PARTS = (
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
)
_COUNTER = itertools.count()


@contextlib.contextmanager
def trusted(owner):
    """A scope for copying what is in memory, Python functions included.

    A config has a function by its name, which Keras finds only if it was
    registered, or which it takes for one of its own, and a lambda by its code,
    without the names around it. Within this scope each function has a name of
    its own, under which Keras finds the function itself. Classes of layers that
    others hold, of initialisers, regularisers and constraints are found by
    their names.

    Args:
        owner: the layer or model that is copied.

    Example:

    >>> def twice(x):
    ...     return 2 * x
    >>> layer = keras.layers.Activation(twice)
    >>> with trusted(layer):
    ...     copy = keras.layers.Activation.from_config(layer.get_config())
    >>> copy.activation is twice, twice.__name__
    (True, 'twice')
    """
    functions = _functions(owner)
    names = [function.__name__ for function in functions]
    renamed = {f"live_function_{next(_COUNTER)}": f for f in functions}
    known = {**scoped_objects(), **_classes(owner), **renamed}
    try:
        for name, function in renamed.items():
            function.__name__ = name
        with trusted_code(), keras.saving.custom_object_scope(known):
            yield
    finally:
        for name, function in zip(names, functions, strict=True):
            function.__name__ = name


def _classes(owner):
    """Classes that are not registered, by name where it is unique."""
    layers = all_layers(owner)
    held = [x for layer in layers for x in unpacked(list(vars(layer).values()))]
    kinds = {type(layer) for layer in layers}
    kinds |= {type(x) for x in held if isinstance(x, _PARTS)}
    names = collections.Counter(kind.__name__ for kind in kinds)
    return {
        kind.__name__: kind
        for kind in kinds
        if _is_unknown(kind) and names[kind.__name__] == 1
    }


def _functions(owner):
    """The Python functions that layers hold and Keras does not know."""
    found = {}
    for layer in all_layers(owner):
        held = list(vars(layer).values())
        for attribute in ("_auto_config", "_compile_config"):
            kept = getattr(layer, attribute, None)
            held += getattr(kept, "config", {}).values()
        for value in unpacked(held):
            if isinstance(value, types.FunctionType) and _is_unknown(value):
                found[id(value)] = value
    return list(found.values())


def unpacked(value):
    """Lists what nested lists, tuples and dicts hold, a single value too."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (list, tuple)):
        return [value]
    return [item for entry in value for item in unpacked(entry)]


def _is_unknown(function):
    module = function.__module__ or ""
    # Activations are found by name. Those among the operations have the same
    # names and other defaults: `keras.ops.gelu` is an approximation.
    if module.startswith("keras.") and not module.startswith("keras.src.ops"):
        return False
    registered = keras.saving.get_registered_name(function)
    return registered == function.__name__
