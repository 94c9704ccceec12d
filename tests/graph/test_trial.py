"""Sizes that the user's code fixes are found by running it narrower."""

from keras import layers, ops

import keras_chex
from tests import checks
from tests.zoo_layers import between


class Heads(layers.Layer):
    """Works out the size of a head from the width of its input."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.qkv = layers.Conv2D(2 * filters, 1, name="qkv")

    def call(self, inputs):
        _, rows, columns, channels = inputs.shape
        x = ops.reshape(
            self.qkv(inputs), (-1, rows, columns, 2, channels // 2, 2)
        )
        return ops.sum(x, axis=(3, 5))


def test_a_size_worked_out_from_another_group_is_seen():
    """At half of all widths it comes out right."""
    model = between(layers.Conv2D(8, 3, name="middle"), Heads(8, name="heads"))
    reason = "the code of 'heads' fixes a size in 'reshape'"
    assert reason in checks.reasons(model)["heads/qkv"]
    assert keras_chex.flops(model) == keras_chex.flops(keras_chex.wrap(model))


def test_layers_of_code_that_stays_whole_are_counted_and_have_a_reason():
    class Picky(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = layers.Conv2D(6, 1, name="inner")

        def call(self, inputs):
            if inputs.shape[-1] != 6:
                raise ValueError("not six")
            return self.inner(inputs)

    model = between(layers.Conv2D(6, 3, name="middle"), Picky(name="picky"))
    found = checks.reasons(model)
    for name in ("middle", "picky/inner"):
        assert found[name] == "the code of 'picky' fails when narrower"
    (cost,) = [
        c for c in keras_chex.summary(model).layers if c.name == "picky/inner"
    ]
    assert (cost.flops, cost.params) == (6 * 6 * 4 * 6, 6 * 6 + 6)
