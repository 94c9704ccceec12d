"""Reading and choosing the active channels of a wrapped model, by group."""

import numpy as np

from keras_chex.graph.channels import read_channels
from keras_chex.graph.keras_nodes import sync_state
from keras_chex.layers.optimizer_slots import carry_slots
from keras_chex.layers.wrapped_model import is_wrapped, prepare, refresh


def channel_groups(model):
    """Lists the channel groups of a model.

    Args:
        model: a built Keras 3 model: functional, Sequential, or one whose
            own `call` can be read; plain or wrapped.

    Returns:
        List of `ChannelGroup` in the order of execution; the frozen ones say
        why.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If it is not built, or its code cannot be read.

    Example:

    >>> import keras
    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 3)),
    ...     keras.layers.Conv2D(6, 3, name="conv"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(2, name="logits"),
    ... ])
    >>> for group in channel_groups(model):
    ...     print(group)
    conv: 6 units, prunable; producers conv
    logits: 2 units, kept: model output; producers logits
    """
    return list(read_channels(model).groups)


def active_channels(model):
    """Tells which units of every group are active.

    Args:
        model: a model with `ChexWrapper` layers.

    Returns:
        `{group name: bool array of shape (size,)}`, all groups included.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If it is not built, or no layer of it is wrapped.
    """
    graph = read_channels(model)
    require_wrapped(model)
    sync_state(model)
    return read_active(graph)


def read_active(graph):
    """Like `active_channels`, for a graph that was read before."""
    units = np.ones(len(graph.group_of), bool)
    for op in graph.operations:
        if not op.rule.is_wrapper:
            continue
        for side, mask in op.layer.masks().items():
            units[graph.unit_of[op.sides[side][~mask]]] = False
    return graph.masks(units)


def set_active(model, active):
    """Chooses the active units of channel groups.

    The model computes with these units only from the next call on; compiled
    functions are renewed where a width has changed. Values of units that go
    dormant are remembered, and come back with them.

    Args:
        model: a model with `ChexWrapper` layers.
        active: `{group name: distinct indices or bool array of shape
            (size,)}`; groups left out stay as they are.

    Raises:
        TypeError: If `model` is not a Keras 3 model, or `active` no dict.
        ValueError: If it is not built, no layer is wrapped, a group is unknown
            or frozen, or a choice is empty or out of range.

    Example:

    >>> import keras, keras_chex
    >>> model = keras_chex.wrap(keras.Sequential([
    ...     keras.Input((4,)),
    ...     keras.layers.Dense(6, name="hidden"),
    ...     keras.layers.Dense(2),
    ... ]))
    >>> set_active(model, {"hidden": [0, 2, 5]})
    >>> active_channels(model)["hidden"]
    array([ True, False,  True, False, False,  True])
    """
    graph = read_channels(model)
    require_wrapped(model)
    require_dict(active, "active", "group name: indices")
    groups = {group.name: group for group in graph.groups}
    sync_state(model)
    masks = read_active(graph)
    for name, choice in active.items():
        if name not in groups:
            raise ValueError(
                "Argument `active` must name channel groups of the model. "
                f"Received: '{name}'. The groups are {list(groups)}."
            )
        masks[name] = as_mask(groups[name], choice)
    write_active(model, graph, masks)


def write_active(model, graph, masks, restore="mru", seed=0):
    """Like `set_active`, with checked masks and a graph read before."""
    units = graph.active_units(masks)
    before, exchanges = prepare(model), []
    for number, op in enumerate(graph.operations):
        if op.rule.is_wrapper:
            sides = {
                side: units[graph.unit_of[ids]]
                for side, ids in op.sides.items()
            }
            # It is enough if channels that come back are zero where they end.
            is_free = restore == "preserve" and not op.ends_channels
            exchanges += op.layer.set_channels(
                sides,
                "mru" if is_free else restore,
                [*np.atleast_1d(seed), number],
            )
    carry_slots(getattr(model, "optimizer", None), exchanges)
    if prepare(model) != before:
        refresh(model)


def as_mask(group, choice):
    """Turns indices or a bool array into a checked mask of a group."""
    choice = np.asarray(choice)
    if choice.dtype == bool:
        valid, mask = choice.shape == (group.size,), choice
    else:
        valid = choice.ndim == 1 and choice.size > 0
        valid = valid and choice.dtype.kind in "iu"
        valid = valid and choice.min() >= 0 and choice.max() < group.size
        valid = valid and len(np.unique(choice)) == choice.size
        mask = np.zeros(group.size, bool)
        if valid:
            mask[choice] = True
    if not valid or not mask.any():
        raise ValueError(
            f"Argument `active` for group '{group.name}' must be a bool array "
            f"of shape ({group.size},) or distinct indices below {group.size}, "
            f"with at least one active unit. Received: {choice!r}"
        )
    if group.frozen and not mask.all():
        raise ValueError(
            f"Argument `active` must leave group '{group.name}' whole. "
            f"Received: {int(mask.sum())} of {group.size} units, but it is "
            f"kept: {group.frozen}"
        )
    return mask


def require_dict(value, argument, content):
    """Raises where a choice of channels is no dict.

    Args:
        value: what was received.
        argument: string, its name.
        content: string, what keys and values are.
    """
    if not isinstance(value, dict):
        raise TypeError(
            f"Argument `{argument}` must be a dict {{{content}}}. Received: "
            f"{value!r} (of type {type(value).__name__})"
        )


def require_wrapped(model):
    """Raises where a model has no `ChexWrapper` layer."""
    if not is_wrapped(model):
        raise ValueError(
            "Argument `model` must have `ChexWrapper` layers. Received: "
            f"'{model.name}' without any. Call `model = "
            "keras_chex.wrap(model)` first."
        )
