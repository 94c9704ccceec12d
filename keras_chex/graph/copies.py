"""What a copy of a model takes over: the names of its layers, the values."""

import keras

from keras_chex.graph.keras_nodes import (
    all_layers,
    own_weights,
    read_variable,
)


def layer_names(model):
    """Class and name of every layer, in an order that a copy has too."""
    return [[type(x).__name__, x.name] for x in all_layers(model)[1:]]


def rename_layers(model, names):
    """Gives layers the names that `layer_names` found in another copy.

    Layers that blocks make without a name have others in each copy.
    """
    layers = all_layers(model)[1:]
    kinds = [type(layer).__name__ for layer in layers]
    if kinds == [kind for kind, _ in names]:
        for layer, (_, name) in zip(layers, names, strict=True):
            layer.name = name


def _paired(layers, others):
    """Pairs layers with weights by their order, or else by their names.

    A block that makes layers when it is built may do so in another order, and
    a layer that no call has used was not built.
    """
    old = [layer for layer in layers if own_weights(layer)]
    new = [layer for layer in others if own_weights(layer)]
    if list(map(_kind, old)) == list(map(_kind, new)):
        return list(zip(old, new, strict=True))
    by_name = {}
    for layer in new:
        by_name.setdefault((layer.name, *_kind(layer)), []).append(layer)
    pairs = []
    for layer in old:
        found = by_name.get((layer.name, *_kind(layer)))
        if not found:
            raise ValueError(f"it has no layer like '{layer.name}'")
        pairs.append((layer, found.pop(0)))
    return pairs


def _kind(layer):
    return type(layer), tuple(tuple(v.shape) for v in own_weights(layer))


def copy_state(source, target):
    """Copies all variables between two models of the same structure."""
    for old, new in _paired(all_layers(source), all_layers(target)):
        store = {}
        old.save_own_variables(store)
        # JAX deletes the array of a variable that is trained, and with it
        # that of every variable it was handed to.
        values = {k: _value(v) for k, v in store.items()}
        try:
            new.load_own_variables(values)
        except ValueError:
            # What saves the weights need not know those of a subclass.
            for one, other in zip(
                own_weights(old), own_weights(new), strict=True
            ):
                other.assign(read_variable(one))


def _value(stored):
    """A value of its own for what a layer wants saved."""
    if isinstance(stored, keras.Variable):
        return read_variable(stored)
    return stored
