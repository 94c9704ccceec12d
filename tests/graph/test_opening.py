"""Reading the user's code: what it leaves behind, what it must not open."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from keras_chex.graph.channels import read_channels
from keras_chex.graph.program import read_program
from tests import checks
from tests import zoo_blocks as blocks
from tests.zoo_layers import between
from tests.zoo_topologies import IMAGE


def test_reading_leaves_nothing_behind():
    model = blocks.subclassed()
    before = [
        (set(vars(layer)), len(layer._inbound_nodes), layer.input_spec)
        for layer in model._flatten_layers()
    ]
    keras_chex.channel_groups(model)
    after = [
        (set(vars(layer)), len(layer._inbound_nodes), layer.input_spec)
        for layer in model._flatten_layers()
    ]
    assert before == after
    assert model.losses == []


def test_names_of_later_layers_do_not_depend_on_reading():
    model = blocks.subclassed()
    keras.backend.clear_session()
    first = layers.Activation("relu").name
    keras.backend.clear_session()
    keras_chex.channel_groups(model)
    assert layers.Activation("relu").name == first


def test_reading_twice_and_reading_the_wrapped_model_agree():
    model = blocks.subclassed()
    groups = [str(group) for group in keras_chex.channel_groups(model)]
    assert [str(g) for g in keras_chex.channel_groups(model)] == groups
    wrapped = keras_chex.wrap(model)
    assert [str(g) for g in keras_chex.channel_groups(wrapped)] == groups
    keras_chex.set_active(wrapped, {"stage0/a": [1, 2]})
    assert [str(g) for g in keras_chex.channel_groups(wrapped)] == groups


def test_training_argument_is_kept_where_the_code_fixes_it():
    class Fixed(blocks.Block):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.norm = layers.BatchNormalization(name="norm")
            self.other = layers.BatchNormalization(name="other")

        def call(self, inputs, training=None):
            x = self.norm(inputs, training=False)
            return self.other(x, training=training)

    model = blocks.around(Fixed(name="block"))
    calls = {
        call.node.operation.name: call.node.fill_in(
            {id(tensor): tensor for tensor in call.node.inputs}
        )[1]
        for call in read_program(model).calls
    }
    assert calls["norm"] == {"training": False}
    assert calls["other"] == {}


def test_rows_that_become_examples_lose_their_channels():
    image = keras.Input((7, 5, 3))
    x = layers.Conv2D(8, 3, padding="same", name="c1")(image)
    x = ops.reshape(x, (-1, 5, 8))
    x = layers.Dense(6, activation="relu", name="d1")(x)
    x = layers.Dense(5, name="d2")(x)
    x = ops.reshape(x, (-1, 7, 5, 5))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(4, name="logits")(x))
    found = checks.reasons(model)
    assert found["c1"] is None and found["d1"] is None and found["d2"] is None
    # One example has seven rows of five places.
    by_hand = 35 * (3 * 9 * 8 + 8 * 6 + 6 * 5) + 5 * 4
    assert keras_chex.flops(model) == by_hand
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"c1": [0, 2, 5], "d2": [1, 4]})
    by_hand = 35 * (3 * 9 * 3 + 3 * 6 + 6 * 2) + 2 * 4
    assert keras_chex.flops(wrapped) == by_hand
    assert keras_chex.flops(keras_chex.strip(wrapped)) == by_hand


def test_rows_of_two_examples_that_meet_keep_their_channels():
    image = keras.Input((4,))
    x = layers.Dense(6, name="d")(image)
    outputs = layers.Dense(3, name="logits")(ops.reshape(x, (-1, 12)))
    found = checks.reasons(keras.Model(image, outputs))
    assert "reshapes across channels" in found["d"]


def test_attention_on_tokens_that_become_a_map_again():
    image = keras.Input((4, 6, 3))
    x = layers.Conv2D(6, 3, padding="same", name="c1")(image)
    x = layers.Reshape((24, 6))(x)
    x = layers.MultiHeadAttention(2, 3, name="heads")(x, x)
    x = layers.Flatten()(ops.reshape(x, (-1, 4, 6, 6)))
    model = keras.Model(image, layers.Dense(4, name="logits")(x))
    wrapped = keras_chex.wrap(model)
    active = {"c1": [0, 2, 5], "heads/attention_output": [1, 4]}
    keras_chex.set_active(wrapped, active)
    stripped = keras_chex.strip(wrapped)
    assert keras_chex.flops(stripped) == keras_chex.flops(wrapped)


def test_code_that_sees_its_width_keeps_it():
    """A projection that appears only where two widths differ."""

    class Choosing(blocks.Block):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = self.conv(7, "first")
            self.wide = self.conv(9, "wide")

        def call(self, inputs):
            x = self.first(inputs)
            return self.wide(x) if x.shape[-1] == 7 else ops.relu(x)

    found = checks.reasons(blocks.around(Choosing(name="block")))
    assert "does something else when narrower" in found["c1"]
    assert found["c2"] is None


def test_code_that_needs_the_batch_size_is_not_opened():
    class Counting(blocks.Block):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = self.conv(7, "first")

        def call(self, inputs):
            x = self.first(inputs)
            count = ops.shape(x)[0]
            return x * ops.ones((count, 1, 1, 1))

    found = checks.reasons(blocks.around(Counting(name="block")))
    assert "'block' (Counting)" in found["c1"]


def test_a_layer_that_also_runs_where_nothing_is_known_stays_whole():
    shared = layers.Conv2D(7, 3, padding="same", name="shared")

    class Closed(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = shared

        def call(self, inputs, training=False):
            x = self.inner(inputs)
            return x * 2 if training else x

    image = keras.Input(IMAGE)
    x = layers.Conv2D(7, 3, padding="same", name="c1")(image)
    x = layers.Conv2D(7, 3, padding="same", name="c2")(shared(x))
    x = layers.GlobalAveragePooling2D()(Closed(name="closed")(x))
    model = keras.Model(image, layers.Dense(4, name="logits")(x))
    found = checks.reasons(model)
    assert "could not be opened" in found["shared"]
    assert "could not be opened" in found["c1"]


def test_blocks_with_equal_names_have_groups_of_their_own():
    image = keras.Input(IMAGE)
    x = layers.Conv2D(7, 3, padding="same", name="c1")(image)

    class Twins(blocks.Block):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.both = [self.conv(5, "same"), self.conv(7, "same")]

        def call(self, inputs):
            return self.both[1](self.both[0](inputs))

    x = layers.GlobalAveragePooling2D()(Twins(name="block")(x))
    model = keras.Model(image, layers.Dense(4, name="logits")(x))
    names = [op.name for op in read_channels(model).operations if op.sides]
    assert names == ["c1", "block/same", "block/same#2", "logits"]
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"block/same": [0], "block/same#2": [1, 3]})
    x = np.ones((2, *IMAGE), "float32")
    outputs = keras_chex.strip(wrapped)(x)
    assert checks.largest_difference(outputs, wrapped(x)) <= 1e-5


@pytest.mark.parametrize("training", [False, True])
def test_wrapped_code_runs_as_the_plain_code_does(training):
    model = blocks.subclassed()
    x = np.random.default_rng(0).normal(size=(4, *IMAGE)).astype("float32")
    wrapped = keras_chex.wrap(model)
    np.testing.assert_allclose(
        checks.as_numpy(wrapped(x, training=training)),
        checks.as_numpy(model(x, training=training)),
        rtol=1e-4,
        atol=1e-5,
    )


def test_code_that_gives_its_layers_values_in_every_call():
    class Masked(layers.Layer):
        """Forbids a convolution to see what is to the right."""

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = layers.Conv2D(6, 3, padding="same", name="inner")

        def build(self, input_shape):
            self.inner.build(input_shape)
            self.mask = np.ones(self.inner.kernel.shape, "float32")
            self.mask[:, 2] = 0

        def call(self, inputs):
            self.inner.kernel.assign(self.inner.kernel * self.mask)
            return self.inner(inputs)

    wrapped = keras_chex.wrap(between(Masked(name="masked")))
    keras_chex.set_active(wrapped, {"c1": [1, 2], "masked/inner": [0, 3, 5]})
    x = checks.example_inputs(wrapped)
    wrapped.compile("sgd", "mse")
    wrapped.fit(x, np.ones((len(x), 4)), verbose=0)
    # The last step has changed what the next call masks.
    kernel = keras_chex.strip(wrapped).get_layer("inner").kernel
    assert kernel.shape == (3, 3, 2, 3)
    assert not np.any(kernel[:, 2]) and np.any(kernel[:, 1])


def of_any_size(filters):
    inner = keras.Input((None, None, filters))
    conv = layers.Conv2D(4, 3, padding="same", name="inner")(inner)
    return keras.Model(inner, conv, name="any_size")


# Keras says so of the copy, which is built from the shape of its input.
@pytest.mark.filterwarnings("ignore:`build..` was called on:UserWarning")
@pytest.mark.parametrize("kind", ["fixed", "of any size", "halved"])
def test_the_batch_size_of_reading_is_in_nothing_that_is_made(kind):
    """As in the heads of a RetinaNet."""

    class Heads(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.stem = layers.Conv2D(8, 3, padding="same", name="stem")
            self.head = layers.Conv2D(4, 3, padding="same", name="head")
            if kind == "of any size":
                self.head = of_any_size(8)

        def call(self, inputs):
            batch = ops.shape(inputs)[0]
            sizes = (batch, -1, 2 if kind == "halved" else 4)
            x = self.stem(inputs)
            parts = [ops.reshape(self.head(y), sizes) for y in (x, x[:, ::2])]
            return ops.concatenate(parts, axis=1)

    model = Heads()
    x = np.random.default_rng(0).normal(size=(5, 8, 6, 3)).astype("float32")
    model(x)
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"stem": [1, 2, 5]})
    small = keras_chex.strip(wrapped)
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5


def test_code_in_a_model_that_code_calls_is_no_obstacle():
    inner = keras.Input((None, None, 8))
    mixed = layers.Conv2D(8, 1, name="mixed")(inner)
    halved = layers.Lambda(lambda x: x / 2, name="halved")(mixed)
    block = keras.Model(inner, layers.Add()([halved, inner]), name="block")

    class Net(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.stem = layers.Conv2D(8, 3, name="stem")
            self.block = block
            self.head = layers.Dense(3, name="head")

        def call(self, inputs):
            x = self.block(self.block(self.stem(inputs)))
            return self.head(ops.mean(x, axis=(1, 2)))

    model = Net()
    model(np.zeros((1, 8, 6, 3)))
    assert checks.reasons(model) == {"stem": None, "head": "model output"}


def test_numbers_of_numpy_may_stand_on_the_left():
    class Halved(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = layers.Conv2D(6, 1, name="inner")

        def call(self, inputs):
            return np.float32(0.5) * self.inner(np.sqrt(2.0) + inputs)

    model = between(Halved(name="halved"))
    assert checks.reasons(model)["halved/inner"] is None
    small = keras_chex.strip(keras_chex.wrap(model))
    x = checks.example_inputs(model)
    assert checks.largest_difference(small(x), model(x)) <= 1e-5
    with pytest.raises(ValueError, match="KerasTensor"):
        np.float32(0.5) * keras.KerasTensor((None, 3))


def test_casts_of_two_blocks_have_names_of_their_own():
    class Exact(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**{"dtype": "float32", **kwargs})
            self.inner = layers.Conv2D(6, 1, name="inner", dtype="bfloat16")

        def call(self, inputs):
            x = ops.cast(inputs + 1.0, "bfloat16")
            return ops.cast(self.inner(x), "float32") * 2.0

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = between(
            Exact(name="one"), layers.Conv2D(6, 1, name="c"), Exact(name="two")
        )
        small = keras_chex.strip(keras_chex.wrap(model))
    finally:
        keras.config.set_dtype_policy("float32")
    names = [operation.name for operation in small.operations]
    assert len(set(names)) == len(names)


def test_inner_models_know_the_batch_size_of_the_code_around():
    class Scaled(layers.Layer):
        def call(self, inputs):
            shape = (ops.shape(inputs)[0], 1, 1, 1)
            return inputs * ops.ones(shape, inputs.dtype)

    class Behind(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.inner = keras.Sequential(
                [layers.Conv2D(6, 1, name="inner"), layers.ReLU()], name="seq"
            )
            self.scaled = Scaled(name="scaled")

        def call(self, inputs):
            return inputs + self.scaled(self.inner(inputs))

    model = between(layers.Conv2D(6, 3, name="middle"), Behind(name="behind"))
    assert checks.reasons(model)["middle"] is None


def test_pictures_may_be_cropped_and_padded():
    class Shifted(layers.Layer):
        def call(self, inputs):
            x = ops.image.crop_images(inputs, 1, 0, 0, 0)
            return ops.image.pad_images(x, 0, 0, 1, 0)

    model = between(layers.Conv2D(6, 3, name="middle"), Shifted())
    assert checks.reasons(model)["middle"] is None


@pytest.mark.parametrize("batch, grows", [(1, True), (4, False), (4, True)])
def test_stages_of_blocks_may_have_seen_a_batch(batch, grows):
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = layers.Conv2D(8, 3, padding="same", name="first")
            self.second = layers.Conv2D(8, 1, name="second")

        def call(self, inputs):
            x = self.second(ops.relu(self.first(inputs)))
            return ops.concatenate([inputs, x]) if grows else inputs + x

    class Net(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.stem = layers.Conv2D(8, 3, name="stem")
            self.stage = keras.Sequential(
                [Block(name="one"), Block(name="two")], name="stage"
            )
            self.head = layers.Dense(3, name="head")

        def call(self, inputs):
            return self.head(ops.mean(self.stage(self.stem(inputs)), (1, 2)))

    model = Net()
    model(np.zeros((batch, 8, 8, 3)))
    kept = {name: why for name, why in checks.reasons(model).items() if why}
    assert kept == {"head": "model output"}
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"stage/one/first": [1, 2, 5]})
    keras_chex.set_active(wrapped, {"stem": [0, 3, 4, 7]})
    small = keras_chex.strip(wrapped)
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 3))
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5
