"""What `exclude` can say, and that it is held through training."""

import re

import keras
import pytest
from keras import layers

import keras_chex
from keras_chex.graph.channels import read_channels
from tests import zoo_blocks
from tests.zoo_topologies import (
    bottleneck,
    depthwise_separable,
    nested_functional,
)


def kept_by(exclude):
    wrapped = keras_chex.wrap(bottleneck(), exclude=exclude)
    return {
        producer
        for group in keras_chex.channel_groups(wrapped)
        if group.frozen and "excluded" in group.frozen
        for producer in group.producers
    }


@pytest.mark.parametrize(
    "exclude, kept",
    [
        ("b1_1", {"b1_1"}),
        (["b1_1", "b2_2"], {"b1_1", "b2_2"}),
        (r"b\d_2", {"b1_2", "b2_2"}),
        (re.compile("^b2_[12]$"), {"b2_1", "b2_2"}),
        (["stem"], {"stem", "b1_3", "b2_3"}),
    ],
)
def test_excluded_layers_keep_their_channels(exclude, kept):
    assert kept_by(exclude) == kept


def test_a_class_can_be_excluded():
    wrapped = keras_chex.wrap(
        depthwise_separable(), exclude=layers.SeparableConv2D
    )
    frozen = [g.name for g in keras_chex.channel_groups(wrapped) if g.frozen]
    assert frozen == ["sep", "logits"]


def test_a_layer_object_can_be_excluded():
    model = bottleneck()
    wrapped = keras_chex.wrap(model, exclude=model.get_layer("b1_1"))
    frozen = [g.name for g in keras_chex.channel_groups(wrapped) if g.frozen]
    assert frozen == ["b1_1", "logits"]


@pytest.mark.parametrize("as_object", [False, True])
def test_a_nested_model_stands_for_all_its_layers(as_object):
    model = nested_functional()
    block = model.get_layer("block") if as_object else "block"
    wrapped = keras_chex.wrap(model, exclude=block)
    frozen = {g.name for g in keras_chex.channel_groups(wrapped) if g.frozen}
    assert frozen == {"c1", "block/a", "logits"}  # "c1" with "block/b"


@pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="PyTorch takes no name with a dot",
)
def test_a_name_counts_before_a_regular_expression():
    inputs = keras.Input((4,))
    x = layers.Dense(3, name="a.c")(inputs)
    x = layers.Dense(3, name="abc")(x)
    model = keras.Model(inputs, layers.Dense(2, name="logits")(x))
    wrapped = keras_chex.wrap(model, exclude="a.c")
    groups = {g.name: g.frozen for g in keras_chex.channel_groups(wrapped)}
    assert "excluded" in groups["a.c"] and groups["abc"] is None


def test_layers_inside_of_blocks_are_found_by_path_and_by_name():
    for exclude in ("first/a", "first/.*", "a"):
        model = zoo_blocks.residual_blocks()
        wrapped = keras_chex.wrap(model, exclude=exclude)
        groups = {g.name: g.frozen for g in keras_chex.channel_groups(wrapped)}
        assert "excluded" in groups["first/a"]


@pytest.mark.parametrize("exclude", ["b9_9", "b1_(", re.compile("^none")])
def test_what_matches_nothing_is_refused(exclude):
    with pytest.raises(ValueError, match="`exclude` must name layers.*Rec"):
        keras_chex.wrap(bottleneck(), exclude=exclude)


def test_what_was_excluded_is_excluded_in_a_loaded_model(tmp_path):
    wrapped = keras_chex.wrap(bottleneck(), exclude=r"b\d_2")
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    frozen = [g.frozen for g in read_channels(loaded).groups]
    assert frozen == [g.frozen for g in read_channels(wrapped).groups]
