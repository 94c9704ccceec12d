"""Rules of what takes a part of the channels, or adds empty ones."""

import numpy as np

from keras_chex.graph.channel_ids import Channels
from keras_chex.graph.keras_nodes import raw_operation
from keras_chex.graph.relative import RelativeSlice, RelativeSplit, tie_blocks
from keras_chex.graph.rule import Rule, register_rule


@register_rule(raw_operation("GetItem"), RelativeSlice)
class GetItemRule(Rule):
    """`x[..., a:b]` takes channels; other axes are sliced without effect.

    Bounds are kept in proportion: the channels are seen as equal blocks, as
    long as `a`, `b` and the number of channels allow, that all lose the same
    places. A step takes one place of every run, and runs stay whole.
    """

    finds_batch = True

    def flow(self, call):
        tensor = call.inputs[0]
        if not isinstance(tensor, Channels):
            return [tensor]
        if len(call.inputs) > 1:
            return call.barrier(f"'{call.name}' slices at a tensor's value")
        replaced = isinstance(call.layer, RelativeSlice)
        key = call.layer.key if replaced else call.constants[0]
        key = tuple(key) if isinstance(key, (tuple, list)) else (key,)
        rank = len(call.input_shapes[0])
        found = _channel_entry(key, tensor.axis, rank, tensor.batch)
        if found is None:
            return call.barrier(f"'{call.name}' slices the batch")
        entry, axis, batch = found
        part = slice(None) if entry is None else key[entry]
        if not isinstance(part, slice):
            return call.barrier(f"'{call.name}' takes one single channel")
        ids = tensor.ids[part]
        if not self._stays_right(call, tensor, part, entry, key):
            call.ids.freeze(
                tensor.ids,
                f"'{call.name}' takes channels that make no equal blocks",
            )
        return [Channels(ids, axis, batch)]

    def _stays_right(self, call, tensor, part, entry, key):
        first, last, step = part.indices(len(tensor.ids))
        if (first, last, step) == (0, len(tensor.ids), 1):
            return True
        if step > 1 and part.stop is None and len(tensor.ids) % step == 0:
            call.ids.tie_all(tensor.ids.reshape(-1, step).T)
            return first < step
        if step != 1 or last <= first:
            return False
        if not tie_blocks(call.ids, tensor.ids, (first, last)):
            return False
        call.replace(
            call.layer
            if isinstance(call.layer, RelativeSlice)
            else RelativeSlice(
                tensor.axis, len(tensor.ids), entry, key, name=call.layer.name
            ),
            tensor.ids,
        )
        return True


def _channel_entry(key, axis, rank, batch=0):
    """Finds the channel axis in a key.

    Returns:
        `(entry, new axis, new batch axis)`: which entry of the key is about
        the channels, None if none is, and where channels and batch are
        afterwards; None where the batch axis is touched.
    """
    consumed = sum(part is not None and part is not Ellipsis for part in key)
    if Ellipsis not in [p for p in key if not isinstance(p, np.ndarray)]:
        key = (*key, Ellipsis)
    old = new = 0
    found = moved = None
    for number, part in enumerate(key):
        if part is None:
            new += 1
            continue
        steps = rank - consumed if part is Ellipsis else 1
        for _ in range(steps):
            if old == batch:
                if part not in (Ellipsis, slice(None)):
                    return None
                moved = new
            if old == axis:
                found = None if part is Ellipsis else number, new
            old += 1
            new += part is Ellipsis or isinstance(part, slice)
    return *found, moved


@register_rule(raw_operation("Split"), RelativeSplit)
class SplitRule(Rule):
    """Equal or proportional parts of the channels, or of another axis."""

    def flow(self, call):
        tensor, layer = call.inputs[0], call.layer
        rank = len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor for _ in call.output_shapes]
        if tensor.axis != layer.axis % rank:
            return [tensor for _ in call.output_shapes]
        count, places = len(tensor.ids), _places(layer)
        if isinstance(places, int):
            step = count // places
            call.ids.tie_all(np.split(tensor.ids, places))
            return [
                Channels(tensor.ids[i * step : (i + 1) * step], tensor.axis)
                for i in range(places)
            ]
        if tie_blocks(call.ids, tensor.ids, places):
            stand_in = layer
            if not isinstance(layer, RelativeSplit):
                stand_in = RelativeSplit(
                    tensor.axis, count, places, name=layer.name
                )
            call.replace(stand_in, tensor.ids)
        else:
            call.ids.freeze(
                tensor.ids, f"'{call.name}' splits into unequal blocks"
            )
        parts = np.split(tensor.ids, list(places))
        return [Channels(part, tensor.axis) for part in parts]


def _places(layer):
    if isinstance(layer, RelativeSplit):
        return layer.places
    return layer.indices_or_sections


@register_rule(raw_operation("Pad"))
class PadRule(Rule):
    """Padding space keeps the channels; padded channels must all stay."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor]
        widths = call.layer.pad_width
        widths = widths * rank if len(widths) == 1 else widths
        before, after = widths[tensor.axis]
        if not (before or after):
            return [tensor]
        if call.layer.mode != "constant":
            return call.barrier(f"'{call.name}' repeats channels")
        parts = [
            call.ids.new(before, -1),
            tensor.ids,
            call.ids.new(after, -1),
        ]
        for part in (parts[0], parts[2]):
            call.ids.freeze(part, f"'{call.name}' adds these channels")
        return [Channels(np.concatenate(parts), tensor.axis)]


_ALONG = "Flip Roll Cumsum Cumprod Sort Repeat".split()


@register_rule(*map(raw_operation, _ALONG))
class AlongAxisRule(Rule):
    """Exchanges places along some axes; all channels alike along others."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        axes = call.layer.axis
        axes = range(rank) if axes is None else np.atleast_1d(axes) % rank
        if isinstance(tensor, Channels) and tensor.axis in axes:
            return call.barrier(f"'{call.name}' works along the channels")
        if isinstance(tensor, Channels) and tensor.batch is None and 0 in axes:
            # A weight, repeated for every example.
            return [Channels(tensor.ids, tensor.axis)]
        return [tensor]


@register_rule(raw_operation("BroadcastTo"))
class BroadcastRule(Rule):
    """Copies along new axes and axes of one, perhaps for every example."""

    def flow(self, call):
        tensor, shape = call.inputs[0], call.output_shapes[0]
        if not isinstance(tensor, Channels):
            return [tensor]
        axis = tensor.axis + len(shape) - len(call.input_shapes[0])
        if shape[axis] != len(tensor.ids):
            return call.barrier(f"'{call.name}' repeats channels")
        return [Channels(tensor.ids, axis)]


@register_rule(raw_operation("Tile"))
class TileRule(Rule):
    """Copies side by side: along the channels, each comes several times."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor]
        repeats = np.atleast_1d(call.layer.repeats)
        if len(repeats) > rank:
            return call.barrier(f"'{call.name}' adds axes")
        own = [1] * (rank - len(repeats)) + list(repeats)
        return [Channels(np.tile(tensor.ids, own[tensor.axis]), tensor.axis)]


@register_rule(raw_operation("ExtractPatches"))
class PatchesRule(Rule):
    """All channels of one place of a patch, then those of the next."""

    def flow(self, call):
        tensor, rank = call.inputs[0], len(call.input_shapes[0])
        if not isinstance(tensor, Channels):
            return [tensor]
        if tensor.axis != rank - 1 or call.layer.data_format != "channels_last":
            return call.barrier(f"'{call.name}' works along another axis")
        places = call.output_shapes[0][-1] // len(tensor.ids)
        return [Channels(np.tile(tensor.ids, places), tensor.axis)]
