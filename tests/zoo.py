"""The table of small models: a layer kind or a topology is tested by a row.

`ROWS` maps the name of a row to what builds the model and to what channel
groups it must have. Every builder returns an uncompiled model with raw outputs
(no softmax), named layers, unequal small widths and pictures that are not
square. A new layer rule adds a row.
"""

import functools

import keras

from tests import zoo_blocks as blocks
from tests import zoo_code as code
from tests import zoo_layers as kinds
from tests import zoo_operations as parts
from tests import zoo_own as own
from tests import zoo_topologies as shapes
from tests.zoo_custom import ScaledLossModel
from tests.zoo_row import Row


def _with_scaled_loss(model):
    trained = ScaledLossModel(model.inputs, model.outputs)
    trained.scale = 0.25
    return trained


ROWS = {
    # How layers are connected.
    "plain": Row(shapes.plain, ("c1", "c2", "c3")),
    "sequential": Row(shapes.sequential, ("c1", "c2", "hidden")),
    "residual_identity": Row(shapes.residual_identity, ("stem+b", "a")),
    "residual_projection": Row(
        shapes.residual_projection, ("stem", "a", "b+shortcut")
    ),
    "bottleneck": Row(
        shapes.bottleneck,
        ("stem+b1_3+b2_3", "b1_1", "b1_2", "b2_1", "b2_2"),
    ),
    "preactivation": Row(
        shapes.preactivation, ("stem+b1_2+b2_2", "b1_1", "b2_1")
    ),
    "dense_concat": Row(
        shapes.dense_concat, ("stem", "d1", "d2", "transition", "d3")
    ),
    "depthwise_separable": Row(shapes.depthwise_separable, ("c1", "pw", "sep")),
    "squeeze_reshape": Row(
        shapes.squeeze_reshape, ("c1+expand", "reduce", "c2")
    ),
    "squeeze_keepdims": Row(
        shapes.squeeze_keepdims, ("c1+expand", "reduce", "c2")
    ),
    "one_channel_gate": Row(
        shapes.one_channel_gate, ("c1", "c2"), {"gate": "attend"}
    ),
    "flatten_to_dense": Row(shapes.flatten_to_dense, ("c1", "hidden")),
    "flatten_after_concat": Row(
        shapes.flatten_after_concat, ("left", "right", "hidden")
    ),
    "shared_on_two_branches": Row(
        shapes.shared_on_two_branches, ("left+right", "shared", "c2")
    ),
    "shared_on_itself": Row(shapes.shared_on_itself, ("stem+shared",)),
    "two_inputs_two_outputs": Row(
        shapes.two_inputs_two_outputs,
        ("c1", "encode", "hidden"),
        {"size": "output"},
    ),
    "pyramid_with_shared_heads": Row(
        shapes.pyramid_with_shared_heads,
        (
            "stem",
            "down",
            "lateral2+lateral1",
            "out1+out2",
            "boxes",
            "classes",
        ),
        {"boxes_last": "reshapes across", "classes_last": "reshapes across"},
    ),
    "pyramid_with_group_norms": Row(
        lambda: shapes.pyramid_with_shared_heads(
            functools.partial(keras.layers.GroupNormalization, 2)
        ),
        (
            "stem",
            "down",
            "lateral2+lateral1",
            "out1+out2",
            "boxes",
            "classes",
        ),
        {"boxes_last": "reshapes across", "classes_last": "reshapes across"},
        zero_preserving=False,
    ),
    "part_of_another_model": Row(shapes.part_of_another_model, ("c1", "c2")),
    "convolution_is_output": Row(
        shapes.convolution_is_output, ("c1",), {"c2": "output"}
    ),
    "input_is_added": Row(shapes.input_is_added, ("a", "c"), {"b": "input"}),
    "nested_functional": Row(
        shapes.nested_functional, ("c1+block/b", "block/a", "c2")
    ),
    "nested_sequential": Row(shapes.nested_sequential, ("stem/c1", "c1")),
    "nested_called_twice": Row(
        shapes.nested_called_twice, ("c1+c2", "block/a")
    ),
    # Kinds of layers and operations.
    "sigmoid_before_convolution": Row(
        kinds.sigmoid_before_convolution,
        ("c1", "middle", "c2"),
        zero_preserving=False,
    ),
    "softplus_before_convolution": Row(
        kinds.softplus_before_convolution,
        ("c1", "middle", "c2"),
        zero_preserving=False,
    ),
    "softmax_inside": Row(kinds.softmax_inside, ("c2",), {"c1": "softmax"}),
    "activations": Row(kinds.activations, ("c1", "c2", "c3", "c4", "c5")),
    "prelu": Row(kinds.prelu, ("c1", "middle", "last", "c2")),
    "transposed_convolution": Row(
        kinds.transposed_convolution, ("c1", "up", "up2")
    ),
    "no_batch_normalization": Row(
        kinds.no_batch_normalization, ("c1", "c2", "c3", "d1", "d2")
    ),
    "one_dimensional": Row(
        kinds.one_dimensional, ("c1", "sep", "causal", "transposed")
    ),
    "three_dimensional": Row(
        # LiteRT has no pooling in three dimensions.
        kinds.three_dimensional,
        ("c1+c2", "transposed"),
        runs_in_litert=False,
    ),
    "spatial_layers": Row(kinds.spatial_layers, ("c1", "middle", "c2")),
    "merges": Row(kinds.merges, ("a+b+c", "d+e+f", "last")),
    "raw_operations": Row(kinds.raw_operations, ("stem+a", "b", "c")),
    "raw_hard_sigmoid_gate": Row(
        kinds.raw_hard_sigmoid_gate, ("c1+expand", "reduce", "c2")
    ),
    "reshapes": Row(
        kinds.reshapes, ("c1", "c4"), {"c2": "reshape", "c3": "shuffle"}
    ),
    "raw_array_constant": Row(
        kinds.raw_array_constant, ("c2",), {"c1": "multiply"}
    ),
    "reshaped_head": Row(kinds.reshaped_head, ("c1", "hidden")),
    "preprocessing": Row(kinds.preprocessing, ("c1", "c2")),
    "noise": Row(kinds.noise, ("c1", "c2")),
    "batch_normalization_options": Row(
        kinds.batch_normalization_options, ("c1", "c2", "c3")
    ),
    "frozen_layers": Row(kinds.frozen_layers, ("c1", "held", "c2")),
    "layer_without_rule": Row(
        kinds.layer_without_rule, ("c1", "c2"), {"middle": "shift"}
    ),
    "layers_with_own_weights": Row(
        own.layers_with_own_weights, ("c1", "middle", "c2")
    ),
    "blocks_with_own_weights": Row(
        own.blocks_with_own_weights,
        ("c1+scaled/second", "scaled/first", "c2"),
        zero_preserving=False,
    ),
    "positions": Row(
        own.positions,
        ("c1", "positions/project+positions/table", "c2"),
        zero_preserving=False,
    ),
    "class_token": Row(
        own.class_token, ("c1", "block/project", "c2"), zero_preserving=False
    ),
    "lambda_layer": Row(
        kinds.lambda_layer, ("c1", "c2"), {"middle": "reverse"}
    ),
    "layer_normalization": Row(
        kinds.layer_normalization,
        ("c1", "middle", "c2"),
        zero_preserving=False,
        seed=1,
    ),
    "channels_first": Row(
        # LiteRT has no transposed convolution of this data format.
        kinds.channels_first,
        ("c1", "c2", "up"),
        runs_in_litert=False,
    ),
    "regularized": Row(kinds.regularized, ("c1", "c2")),
    "grouped_convolution": Row(
        kinds.grouped_convolution, ("c1", "before", "grouped", "c2")
    ),
    "grouped_as_depthwise": Row(
        kinds.grouped_as_depthwise, ("c1", "middle", "c2")
    ),
    "dense_on_maps": Row(
        kinds.dense_on_maps, ("c1", "expand", "project", "c2")
    ),
    # Operations that take channels apart and put them together.
    "channel_slices": Row(parts.channel_slices, ("c1", "left+right", "last")),
    "uneven_slice": Row(
        parts.uneven_slice, ("c2", "last"), {"c1": "no equal blocks"}
    ),
    "channel_splits": Row(parts.channel_splits, ("c1", "c2", "left", "last")),
    "channel_shuffle": Row(parts.channel_shuffle, ("c1", "c2", "last")),
    "patches": Row(parts.patches, ("c1", "c2", "last")),
    "windows": Row(parts.windows, ("c1", "c2", "last")),
    "pixel_shuffle": Row(parts.pixel_shuffle, ("c1", "c2", "last")),
    "padded_space_and_channels": Row(
        parts.padded_space_and_channels,
        ("c1+c2", "last"),
        {"c2": "adds these channels"},
    ),
    "axes_moved": Row(parts.axes_moved, ("c1+gate", "last")),
    "group_normalization": Row(
        parts.group_normalization,
        ("c1", "c2", "c3", "c4", "c5", "c6", "last"),
        zero_preserving=False,
    ),
    "convnext_block": Row(
        parts.convnext_block,
        ("c1+project", "expand", "last"),
        zero_preserving=False,
    ),
    "scaled_residual": Row(parts.scaled_residual, ("c1+b", "a", "last")),
    "time_distributed": Row(
        parts.time_distributed,
        ("c1", "rows", "cells", "last"),
        zero_preserving=False,
    ),
    "recurrent": Row(
        parts.recurrent,
        ("c1", "embed", "between", "last"),
        {"both": "takes again", "lstm": "takes again"},
        zero_preserving=False,
        seed=1,
    ),
    "recurrent_video": Row(
        parts.recurrent_video,
        ("frames", "again", "last"),
        {"every": "takes again", "end": "takes again"},
        zero_preserving=False,
    ),
    "repeated_model": Row(
        parts.repeated_model,
        ("before", "every/inner+every/back", "each"),
        {"sum": "takes again"},
        zero_preserving=False,
    ),
    "channel_statistics": Row(
        parts.channel_statistics,
        ("c1", "c2", "last"),
        {"attention": "shares it between all channels"},
        zero_preserving=False,
    ),
    "dot_layers": Row(
        parts.dot_layers,
        ("c1", "query+key", "value", "left+right"),
        {"weights": "two channel axes"},
    ),
    "einsum_dense": Row(
        parts.einsum_dense, ("c1", "e1", "e2+join", "heads", "last")
    ),
    "attention": Row(
        parts.attention,
        (
            "c1+heads/attention_output+project",
            "heads/query+heads/key",
            "heads/value",
            "expand",
        ),
        zero_preserving=False,
    ),
    "attention_layers": Row(
        parts.attention_layers, ("c1", "query+key", "value", "last")
    ),
    "embedded_input": Row(
        parts.embedded_input, ("table", "c1"), zero_preserving=False
    ),
    "masked_words": Row(
        parts.masked_words,
        ("table", "between", "last"),
        {"gru": "takes again", "both": "takes again"},
        zero_preserving=False,
    ),
    "masked_attention": Row(
        parts.masked_attention,
        ("last",),
        {"table": "reads the mask of its inputs"},
        zero_preserving=False,
    ),
    "comparisons_and_shifts": Row(
        # LiteRT has no cumulated sums, nor sorting.
        code.comparisons_and_shifts,
        ("c1", "c2", "last"),
        zero_preserving=False,
    ),
    # The user's own code.
    "code_by_element": Row(code.code_by_element, ("c1+b", "a", "last")),
    "code_takes_channels_apart": Row(
        code.code_takes_channels_apart, ("c1", "c2+c3", "last")
    ),
    "code_fixes_sizes": Row(
        code.code_fixes_sizes,
        ("last",),
        {"c1": "fixes a size", "c2": "along the channels"},
    ),
    "lambdas_take_parts": Row(code.lambdas_take_parts, ("c1", "c2+c3", "last")),
    "residual_blocks": Row(
        blocks.residual_blocks,
        ("c1+first/b", "first/a", "second/a", "second/b+second/shortcut"),
    ),
    "block_called_twice": Row(
        blocks.block_called_twice, ("c1+block/b", "block/a", "c2")
    ),
    "block_asks_for_sizes": Row(
        lambda: blocks.around(blocks.ShuffleBlock(12, name="block")),
        ("c1", "block/first", "block/second", "c2"),
    ),
    "block_with_gate": Row(
        lambda: blocks.around(blocks.GateBlock(7, name="block")),
        ("c1+block/expand", "block/reduce", "c2"),
    ),
    "block_fixes_a_size": Row(
        lambda: blocks.around(blocks.GateBlock(7, fixed=True, name="block")),
        ("block/reduce", "c2"),
        {"c1": "fixes a size", "block/expand": "fixes a size"},
    ),
    "block_fixes_a_slice": Row(
        lambda: blocks.around(blocks.FixedSliceBlock(8, name="block")),
        ("c1", "block/second", "c2"),
        {"block/first": "fixes a size"},
    ),
    "block_cannot_be_read": Row(
        lambda: blocks.around(blocks.UnreadableBlock(7, name="block")),
        ("c2",),
        {"c1": "'block' (UnreadableBlock) cannot be called on symbolic"},
        runs_in_litert=False,
    ),
    "block_trains_differently": Row(
        lambda: blocks.around(blocks.MoodyBlock(7, name="block")),
        ("c2",),
        {"c1": "computes something else in training"},
    ),
    "block_with_own_weight": Row(
        lambda: blocks.around(blocks.WeightedBlock(7, name="block")),
        ("c1", "block/first", "c2"),
    ),
    "block_hides_weights": Row(
        lambda: blocks.around(blocks.HidingBlock(7, name="block")),
        ("c2",),
        {"c1": "keeps weights in other places than attributes"},
    ),
    "block_of_models": Row(
        lambda: blocks.around(blocks.ModelBlock(7, name="block")),
        (
            "c1+block/tail/b+block/deeper/b",
            "block/steps/a",
            "block/deeper/a",
            "c2",
        ),
    ),
    "subclassed": Row(
        blocks.subclassed,
        (
            "stem+stage0/b+gate/expand",
            "stage0/a",
            "gate/reduce",
            "stage1/a",
            "stage1/b+stage1/shortcut",
        ),
    ),
    # Classes of models.
    "functional_subclass": Row(
        kinds.functional_subclass,
        ("c1+b", "a"),
        as_trained=_with_scaled_loss,
    ),
    "subclass_with_own_graph": Row(
        kinds.subclass_with_own_graph, ("stem", "block0", "block1")
    ),
}
if hasattr(keras.layers, "RMSNormalization"):
    # Before Keras 3.9 a functional model does not know layers that were set as
    # attributes beside its graph.
    ROWS["subclassed_over_graph"] = Row(blocks.subclassed_over_graph, ("c1",))
