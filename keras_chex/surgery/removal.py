"""`remove_channels`: cuts chosen channels out of a plain model."""

import numpy as np

from keras_chex.graph.channels import read_channels
from keras_chex.graph.selection import Selection
from keras_chex.layers.active import require_dict
from keras_chex.layers.wrapped_model import is_wrapped
from keras_chex.surgery.narrowing import narrow_model


def remove_channels(model, channels):
    """Makes a smaller model without some output channels of some layers.

    Layers that share the channels, through a residual addition say, lose them
    too, and what consumes them loses the input slices.

    Args:
        model: a built Keras 3 model: functional, Sequential, or one whose
            own `call` can be read; not wrapped.
        channels: `{layer name: indices}`, output channels to remove: ints, or
            a bool array with one entry per channel, true for what goes.

    Returns:
        A new functional `keras.Model`, not compiled, with nested models
        flattened.

    Raises:
        TypeError: If `model` is not a Keras 3 model, or `channels` no dict.
        ValueError: If `model` is not built, a layer is unknown or makes no
            channels, an index is out of range, or channels must stay (the
            message says why).

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((4,)),
    ...     keras.layers.Dense(6, name="hidden"),
    ...     keras.layers.Dense(2),
    ... ])
    >>> remove_channels(model, {"hidden": [1, 4]}).get_layer("hidden").units
    4
    """
    graph = read_channels(model)
    require_dict(channels, "channels", "layer name: indices")
    if is_wrapped(model):
        raise ValueError(
            "Argument `model` must be a plain model. Received: "
            f"'{model.name}' with ChexWrapper layers. Choose its channels with "
            "`keras_chex.set_active`, then `strip` it."
        )
    units = np.ones(len(graph.group_of), bool)
    for name, indices in channels.items():
        units[_units(graph, name, indices)] = False
    kept = graph.masks(units)
    for group in graph.groups:
        mask = kept[group.name]
        if group.frozen and not mask.all():
            raise ValueError(
                "Argument `channels` must leave out channels that have to "
                f"stay. Received: channels of {', '.join(group.producers)}, "
                f"kept: {group.frozen}"
            )
        if not mask.any():
            raise ValueError(
                "Argument `channels` must leave at least one channel of each "
                f"group. Received: all {group.size} of "
                f"{', '.join(group.producers)}"
            )
    return narrow_model(model, Selection(graph, kept))


def _units(graph, name, indices):
    """The units that hold some output channels of a layer."""
    makers = {op.name: op for op in graph.operations if "out" in op.sides}
    if name not in makers:
        raise ValueError(
            "Argument `channels` must name layers that make channels. "
            f"Received: '{name}', which is none of {list(makers)}"
        )
    ids = makers[name].sides["out"]
    indices = np.asarray(indices)
    if indices.dtype == bool:
        valid = indices.shape == (len(ids),)
    elif indices.size:
        valid = indices.ndim == 1 and indices.dtype.kind in "iu"
        valid = valid and 0 <= indices.min() and indices.max() < len(ids)
    else:
        valid, indices = True, indices.astype(int)
    if not valid:
        raise ValueError(
            f"Argument `channels` for '{name}' must hold indices below "
            f"{len(ids)}, or a bool array of shape ({len(ids)},). Received: "
            f"{indices.tolist()}"
        )
    return graph.unit_of[ids[indices]]
