"""Rules of what multiplies and sums tensors with each other: attention."""

import string

import keras
import numpy as np

from keras_chex.graph.channel_ids import Channels, Opaque
from keras_chex.graph.keras_nodes import raw_operation
from keras_chex.graph.rule import Rule, register_rule


class ContractionRule(Rule):
    """Channels that are multiplied with each other are one.

    Summed over, they disappear; otherwise they are channels of the result.
    """

    def flow(self, call):
        spelled = self.spelled(call)
        if spelled is None or any(np.ndim(c) for c in call.constants):
            return call.barrier(f"'{call.name}' is no product of its inputs")
        sources, result = spelled
        kept = {}
        for letter in dict.fromkeys("".join(sources)):
            ids = self._meet(call, sources, letter)
            if ids is not None and letter in result:
                kept[letter] = ids
        # An axis with a single channel, as of an attention map, leaves room.
        letters = sorted(
            kept, key=lambda x: (len(kept[x]) > 1, result.index(x))
        )
        for letter in letters[:-1]:
            call.ids.freeze(kept[letter], f"'{call.name}' has two channel axes")
        if not letters:
            return [Opaque(f"'{call.name}' takes all channels together")]
        return [Channels(kept[letters[-1]], result.index(letters[-1]))]

    def _meet(self, call, sources, letter):
        """Ties the channels of all inputs along one letter."""
        found, alone = [], False
        for tensor, source in zip(call.inputs, sources, strict=False):
            if letter not in source:
                continue
            known = isinstance(tensor, Channels)
            if known and tensor.axis == source.index(letter):
                found.append(tensor.ids)
            else:
                alone = True
        if not found:
            return None
        call.ids.tie_all(found)
        if alone:
            reason = f"'{call.name}' multiplies it with what has no channels"
            call.ids.freeze(found[0], reason)
        return found[0]


@register_rule(raw_operation("Einsum"))
class EinsumRule(ContractionRule):
    def spelled(self, call):
        text = call.layer.subscripts.replace(" ", "")
        if "->" not in text or "." in text:
            return None
        left, result = text.split("->")
        sources = left.split(",")
        if any(len(set(source)) < len(source) for source in sources):
            return None
        return (sources, result) if len(sources) == len(call.inputs) else None


@register_rule(raw_operation("Matmul"))
class MatmulRule(ContractionRule):
    def spelled(self, call):
        shapes = call.input_shapes
        if _is_kernel(call.inputs[-1], shapes):
            lead = string.ascii_lowercase[: len(shapes[0]) - 1]
            return [f"{lead}y", "yz"], f"{lead}z"
        if len(shapes) != 2 or len(shapes[0]) != len(shapes[1]):
            return None
        if shapes[0][1:-2] != shapes[1][1:-2] or len(shapes[0]) < 3:
            return None
        batch = string.ascii_lowercase[: len(shapes[0]) - 2]
        return [f"{batch}xy", f"{batch}yz"], f"{batch}xz"


def _is_kernel(tensor, shapes):
    """Whether the second of two tensors is a matrix of weights."""
    is_weight = isinstance(tensor, Channels) and tensor.batch is None
    return is_weight and [len(shape) for shape in shapes[1:]] == [2]


@register_rule(keras.layers.Dot)
class DotRule(ContractionRule):
    """One axis of each of two inputs is summed over; others stand in order.

    With `normalize=True` first come norms, of the channels that are there.
    """

    def spelled(self, call):
        ranks = [len(shape) for shape in call.input_shapes]
        axes = np.broadcast_to(call.layer.axes, 2) % ranks
        letters = iter(string.ascii_lowercase)
        batch, summed = next(letters), next(letters)
        sources = [
            batch + "".join(next(letters) for _ in range(rank - 1))
            for rank in ranks
        ]
        sources = [
            source[:axis] + summed + source[axis + 1 :]
            for source, axis in zip(sources, axes, strict=True)
        ]
        kept = "".join(source[1:].replace(summed, "") for source in sources)
        return sources, batch + kept


@register_rule(keras.layers.Attention)
class AttentionLayerRule(ContractionRule):
    """Query and key lose the same channels, value others."""

    def spelled(self, call):
        if call.masks or len(call.inputs) > 3 or len(call.output_shapes) > 1:
            return None
        if len(call.inputs) == 2:
            return ["bqd", "bkd"], "bqd"
        return ["bqd", "bkv", "bkd"], "bqv"

    def weights(self, layer):
        return {"scale": {}, "concat_score_weight": {}}


@register_rule(raw_operation("DotProductAttention"))
class AttentionRule(ContractionRule):
    """Query and key lose the same channels, value others.

    The scale is what the caller gives; where it gives none, that of the
    channels that are left.
    """

    # Keras takes the size of the queries for that of the values.
    tells_shape = False

    def spelled(self, call):
        sources = ["bqhd", "bkhd", "bkhv", "bhqk", "bhqk"]
        return sources[: len(call.inputs)], "bqhv"

    def rewritten(self, layer, args, kwargs):
        """Without the operation where values have another size than keys.

        A copy of a model could not be built with the shape that Keras infers.
        """
        query, key, value = args[:3]
        given = [kwargs.get(name) for name in ("bias", "mask")] + [*args[3:]]
        cap = getattr(layer, "attn_logits_soft_cap", None)
        plain = not layer.is_causal and cap is None
        same = query.shape[-1] == value.shape[-1]
        if same or not plain or any(x is not None for x in given):
            return None
        scale = kwargs.get("scale")
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        scores = keras.ops.einsum("bqhd,bkhd->bhqk", query, key) * scale
        weights = keras.ops.softmax(keras.ops.cast(scores, "float32"), axis=-1)
        weights = keras.ops.cast(weights, value.dtype)
        return [keras.ops.einsum("bhqk,bkhd->bqhd", weights, value)]
