"""Which layers an `exclude` argument means."""

import keras


def excluded_names(graph, exclude):
    """Finds the layers that the user wants to keep dense.

    Args:
        graph: a `ChannelGraph`.
        exclude: container of layer names or paths, layer objects and layer
            classes; or one of them.

    Returns:
        List of names in the order of execution.

    Raises:
        TypeError: If an entry is of another kind.
        ValueError: If an entry names no layer of the model.
    """
    if isinstance(exclude, (str, type, keras.layers.Layer)):
        exclude = (exclude,)
    found = []
    for entry in exclude:
        names = [op.name for op in graph.operations if _matches(op, entry)]
        if not names:
            known = [op.name for op in graph.operations if op.sides]
            shown = getattr(entry, "name", entry)
            raise ValueError(
                "Argument `exclude` must name layers of the model. Received: "
                f"{shown!r}, which is none of {known}"
            )
        found += names
    order = [op.name for op in graph.operations]
    return sorted(set(found), key=order.index)


def _matches(op, entry):
    if isinstance(entry, str):
        return entry in (op.name, op.layer.name)
    if isinstance(entry, type):
        return isinstance(op.inner, entry)
    if isinstance(entry, keras.layers.Layer):
        return entry in (op.layer, op.inner) or entry.name == op.name
    raise TypeError(
        "Argument `exclude` must hold layer names, layers or layer classes. "
        f"Received: {entry!r}"
    )
