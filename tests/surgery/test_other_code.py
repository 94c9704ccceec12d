"""Code seen in networks of other people, from reading to the stripped file."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from tests import checks
from tests.zoo_layers import between


def assert_stripped_equals(model, active):
    wrapped = keras_chex.wrap(model)
    x = checks.example_inputs(model)
    assert checks.largest_difference(wrapped(x), model(x)) <= 1e-5
    keras_chex.set_active(wrapped, active)
    small = keras_chex.strip(wrapped)
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5
    return small


class Heads(layers.Layer):
    """One head for pictures of two sizes, as in detectors."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = keras.Sequential(
            [
                layers.Conv2D(8, 3, padding="same", name="first"),
                layers.Activation(ops.relu),
                layers.Conv2D(6, 3, padding="same", name="second"),
            ],
            name="head",
        )

    def call(self, inputs):
        return [self.head(x) for x in inputs]


def test_one_head_for_two_sizes():
    inputs = keras.Input((16, 16, 3))
    large = layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    small = layers.Conv2D(8, 3, strides=2, padding="same", name="b")(large)
    ends = Heads(name="heads")([large, small])
    model = keras.Model(inputs, [layers.Flatten()(end) for end in ends])
    checks.randomize(model)
    names = [operation.name for operation in model.operations]
    assert checks.reasons(model)["heads/head/first"] is None
    costs = keras_chex.flops(model)
    known = {"a": 16 * 16 * 3 * 8, "b": 8 * 8 * 8 * 8}
    both = 16 * 16 + 8 * 8
    assert costs == 9 * (sum(known.values()) + both * (8 * 8 + 8 * 6))
    assert_stripped_equals(model, {"a": [0, 3], "heads/head/first": [1, 2, 7]})
    assert [operation.name for operation in model.operations] == names
    graph = model.get_layer("heads").head
    with pytest.raises(ValueError, match="incompatible"):
        graph(keras.Input((8, 8, 8)))


def test_code_may_ask_how_many_axes_its_inputs_have():
    class Pooled(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(6, name="dense")

        def build(self, input_shape):
            self.input_spec = layers.InputSpec(shape=(None, *input_shape[1:]))
            self.dense.build(input_shape)

        def call(self, inputs):
            x = self.dense(inputs)
            return x if self.input_spec.ndim == 4 else x[:, None]

    model = between(layers.Conv2D(6, 3, name="c"), Pooled(name="pooled"))
    assert checks.reasons(model)["c"] is None
    assert_stripped_equals(model, {"c": [1, 2], "pooled/dense": [0, 4, 5]})
    assert model.get_layer("pooled").input_spec.shape[-1] == 6


def test_scales_of_rank_four_take_part_in_the_training():
    class Scale(layers.Layer):
        def build(self, input_shape):
            shape = (1, 1, 1, input_shape[-1])
            self.gamma = self.add_weight(shape=shape, initializer="ones")

        def call(self, inputs):
            return self.gamma * inputs

    model = between(layers.Conv2D(6, 3, name="c"), Scale(name="scale"))
    wrapped = keras_chex.wrap(model)
    wrapped.compile("sgd", "mse")
    scheduler = keras_chex.ChexScheduler(
        flops=0.6, interval=1, allocation="bn_scale", verbose=0
    )
    x = checks.example_inputs(model)
    y = np.zeros(model(x).shape)
    wrapped.fit(x, y, epochs=3, verbose=0, callbacks=[scheduler])
    assert keras_chex.flops(wrapped) <= 0.6 * keras_chex.flops(model)


@keras.saving.register_keras_serializable("tests")
class Last(layers.Layer):
    """A lambda that needs the layer it was made in."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.place = -1
        self.conv = layers.Conv1D(6, 3, name="conv")
        self.last = layers.Lambda(lambda x: x[:, self.place, :], name="last")

    def call(self, inputs):
        return self.last(ops.relu(self.conv(inputs)))


def test_lambdas_inside_of_code_can_be_loaded(tmp_path):
    inputs = keras.Input((12, 5))
    outputs = layers.Dense(3, name="head")(Last(name="last")(inputs))
    model = keras.Model(inputs, outputs)
    small = assert_stripped_equals(model, {"last/conv": [1, 4]})
    small.save(tmp_path / "small.keras")
    loaded = keras.saving.load_model(tmp_path / "small.keras")
    x = checks.example_inputs(model)
    assert checks.largest_difference(loaded(x), small(x)) <= 1e-5


def test_subclasses_of_convolutions_with_one_more_weight():
    class Gain(layers.Conv2D):
        def build(self, input_shape):
            super().build(input_shape)
            self.gain = self.add_weight(shape=(self.filters,), name="gain")

        def call(self, inputs):
            return ops.conv(inputs, self.kernel * self.gain) + self.bias

    model = between(layers.Conv2D(6, 3, name="c"), Gain(7, 3, name="gained"))
    checks.randomize(model)
    assert checks.reasons(model)["c"] is None
    assert_stripped_equals(model, {"c": [0, 2, 5]})


def sliced_by_lambdas():
    """Grouped convolutions as in Keras 2: a lambda for every group."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(12, 3, padding="same", name="before")(inputs)
    half = layers.Lambda(lambda x: x[..., :6], name="half")
    rest = layers.Lambda(
        lambda x, a, b: x[:, :, :, a:b], arguments={"a": 6, "b": 12}
    )
    parts = [half(x), rest(x), half(layers.ReLU()(x))]
    parts = [
        layers.Conv2D(4, 3, name=f"part_{i}")(part)
        for i, part in enumerate(parts)
    ]
    x = layers.Concatenate()([layers.Cropping2D(1)(half(x)), *parts])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(3, name="head")(x))
    checks.randomize(model)
    return model


def test_lambdas_that_slice_are_slices(tmp_path):
    model = sliced_by_lambdas()
    (before,) = (
        g for g in keras_chex.channel_groups(model) if g.name == "before"
    )
    assert before.frozen is None and before.size == 6
    small = assert_stripped_equals(model, {"before": [0, 1, 5]})
    assert small.get_layer("before").filters == 6
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"before": [2, 4], "part_1": [0]})
    wrapped.save(tmp_path / "wrapped.keras")
    loaded = keras.saving.load_model(
        tmp_path / "wrapped.keras", safe_mode=False
    )
    x = checks.example_inputs(model)
    assert checks.largest_difference(loaded(x), wrapped(x)) <= 1e-6
    active = keras_chex.active_channels(loaded)["before"]
    assert np.flatnonzero(active).tolist() == [2, 4]
    assert [type(x).__name__ for x in model.layers].count("Lambda") == 2


def test_lambdas_that_slice_stay_where_channels_stay():
    model = sliced_by_lambdas()
    wrapped = keras_chex.wrap(model, exclude=["before"])
    keras_chex.set_active(wrapped, {"part_0": [1, 2]})
    small = keras_chex.strip(wrapped)
    x = checks.example_inputs(model)
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5


def code(function):
    """A layer of the user's that is code and nothing else."""

    class Code(layers.Layer):
        def call(self, inputs):
            return function(inputs)

    return Code(name="code")


def middle_map(inputs):
    """The third of the rows, by a name that Keras has no operation for."""
    return keras.ops.convert_to_tensor(_hidden(inputs)[:, ::2])


def _hidden(inputs):
    if isinstance(inputs, keras.KerasTensor):
        raise ValueError("only for numbers")
    return inputs


def test_code_that_cannot_be_read_is_tried():
    model = between(layers.Conv2D(6, 3, name="c"), code(middle_map))
    assert checks.reasons(model)["c"] is None
    assert_stripped_equals(model, {"c": [1, 2, 5]})


def test_code_that_cannot_be_read_may_tell_channels_apart():
    model = between(
        layers.Conv2D(6, 3, name="c"), code(lambda x: _hidden(x)[..., ::-1])
    )
    assert (
        "KerasTensor" in checks.reasons(model)["c"]
        or "numbers" in (checks.reasons(model)["c"])
    )


def test_channels_beside_an_array():
    places = np.linspace(-1, 1, 6 * 6 * 2).reshape(1, 6, 6, 2)

    def with_places(inputs):
        empty = ops.zeros_like(ops.mean(inputs, axis=-1, keepdims=True))
        grid = empty + places.astype("float32")
        return ops.concatenate([grid, inputs], axis=-1)

    model = between(
        layers.Conv2D(6, 3, name="c"), layers.Resizing(6, 6), code(with_places)
    )
    assert checks.reasons(model)["c"] is None
    assert_stripped_equals(model, {"c": [1, 2, 5]})


def test_an_array_beside_channels():
    corner = np.ones((1, 1, 1, 2), "float32")
    inputs = keras.Input((8, 8, 3), batch_size=1)
    x = layers.Conv2D(6, 8, name="c")(inputs)
    x = ops.concatenate([corner, x], axis=-1)
    model = keras.Model(inputs, layers.Conv2D(5, 1, name="d")(x))
    assert checks.reasons(model)["c"] is None
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"c": [1, 5]})
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3))
    small = keras_chex.strip(wrapped)
    assert small.get_layer("d").kernel.shape[2] == 4
    assert checks.largest_difference(small(x), wrapped(x)) <= 1e-5


def test_pictures_moved_by_what_a_layer_says():
    class Warp(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.where = layers.Dense(8, name="where")

        def call(self, inputs):
            where = ops.tanh(self.where(ops.mean(inputs, (1, 2))))
            return ops.image.affine_transform(inputs, where)

    model = between(layers.Conv2D(6, 3, name="c"), Warp(name="warp"))
    reasons = checks.reasons(model)
    assert reasons["c"] is None and "moves pixels" in reasons["warp/where"]
    assert_stripped_equals(model, {"c": [0, 3]})
