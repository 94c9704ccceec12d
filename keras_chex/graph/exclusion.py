"""Which layers the arguments `exclude` and `budget_scope` mean."""

import dataclasses
import re
from collections.abc import Iterable

import keras


def excluded_names(graph, exclude, argument="exclude"):
    """Finds the layers that the user wants to keep dense, or means otherwise.

    Args:
        graph: a `ChannelGraph`.
        exclude: container of layer names or paths, regular expressions, layer
            objects and layer classes; or one of them.
        argument: str, the name of the argument, for messages.

    Returns:
        List of names in the order of execution.

    Raises:
        TypeError: If an entry is of another kind.
        ValueError: If an entry names no layer of the model.
    """
    single = (str, type, re.Pattern, keras.layers.Layer)
    if isinstance(exclude, single):
        exclude = (exclude,)
    if not isinstance(exclude, Iterable):
        raise TypeError(
            f"Argument `{argument}` must be layers: names, regular "
            "expressions, layer objects or layer classes. "
            f"Received: {argument}={exclude!r}. Leave it out for none."
        )
    found = []
    for entry in exclude:
        names = _matches(graph, entry, argument)
        if not names:
            known = [op.name for op in graph.operations if op.sides]
            shown = getattr(entry, "name", entry)
            raise ValueError(
                f"Argument `{argument}` must name layers of the model. "
                f"Received: {shown!r}, which is none of {known}"
            )
        found += names
    order = [op.name for op in graph.operations]
    return sorted(set(found), key=order.index)


@dataclasses.dataclass(frozen=True)
class Scope:
    """The part of a model that a budget counts.

    Attributes:
        text: str, as the user gave it.
        layers: frozenset of names of operations.
        outside: tuple of str, the other operations that make channels.
    """

    text: str
    layers: frozenset
    outside: tuple


def find_scope(graph, given):
    """Finds the layers of a `budget_scope`.

    Args:
        graph: a `ChannelGraph`.
        given: see `ChexScheduler`, or `None`.

    Returns:
        A `Scope`, or `None`.

    Raises:
        TypeError: If an entry is of another kind.
        ValueError: If an entry names no layer of the model.
    """
    if given is None:
        return None
    layers = frozenset(excluded_names(graph, given, "budget_scope"))
    outside = tuple(
        op.name
        for op in graph.operations
        if "out" in op.sides and op.name not in layers
    )
    text = given if isinstance(given, str) else f"{len(layers)} layers"
    return Scope(text, layers, outside)


def _matches(graph, entry, argument):
    if isinstance(entry, (str, re.Pattern)):
        return matching_names([op.name for op in graph.operations], entry)
    if isinstance(entry, type):
        return [o.name for o in graph.operations if isinstance(o.inner, entry)]
    if isinstance(entry, keras.layers.Layer):
        itself = [
            op.name
            for op in graph.operations
            if entry in (op.layer, op.inner) or entry.name == op.name
        ]
        return itself or inside(
            [op.name for op in graph.operations], entry.name
        )
    raise TypeError(
        f"Argument `{argument}` must hold layer names, regular expressions, "
        f"layers or layer classes. Received: {entry!r}"
    )


def matching_names(names, entry):
    """Finds what a name, a path or a regular expression means.

    A string that is no path, no last part of one and no model or block on the
    way is a regular expression, which must match a whole path. A compiled one
    may match any part of it.

    >>> matching_names(["stem", "block/a", "block/b"], "a")
    ['block/a']
    >>> matching_names(["stem", "block/a", "block/b"], "block")
    ['block/a', 'block/b']
    >>> matching_names(["stem", "block/a", "block/b"], "block/.*")
    ['block/a', 'block/b']
    >>> matching_names(["stem", "block/a"], re.compile("^b"))
    ['block/a']
    """
    if isinstance(entry, re.Pattern):
        return [name for name in names if entry.search(name)]
    exact = [n for n in names if entry in (n, n.rsplit("/", 1)[-1])]
    found = exact or inside(names, entry)
    if found:
        return found
    try:
        return [name for name in names if re.fullmatch(entry, name)]
    except re.error:
        return []


def inside(names, entry):
    """Paths that lead through a nested model or a block.

    >>> inside(["stem", "net/block/a", "net/head"], "block")
    ['net/block/a']
    """
    return [name for name in names if f"/{entry}/" in f"/{name}"]
