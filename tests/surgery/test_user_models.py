"""Models as users write them: many inputs, dicts, own steps, losses."""

import math

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_chex
from tests import checks
from tests.zoo_blocks import Block, registered
from tests.zoo_custom import ChannelGain
from tests.zoo_topologies import IMAGE

X = np.random.default_rng(0).normal(size=(4, *IMAGE)).astype("float32")


def conv(filters, name):
    return layers.Conv2D(filters, 3, padding="same", name=name)


@registered
class TwoPictures(keras.Model):
    """Takes a dict, returns a dict."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.left, self.right = conv(6, "left"), conv(6, "right")
        self.last, self.head = conv(5, "last"), layers.Dense(3, name="head")

    def call(self, pictures, training=None):
        x = ops.relu(self.left(pictures["a"])) + self.right(pictures["b"])
        x = self.last(x)
        return {
            "logits": self.head(ops.mean(x, axis=(1, 2))),
            "strength": ops.mean(x, axis=(1, 2, 3)),
        }


@registered
class OwnStep(keras.Model):
    """Halves the loss in a `train_step` of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.net = keras.Sequential(
            [
                conv(6, "conv"),
                layers.BatchNormalization(name="bn"),
                layers.GlobalAveragePooling2D(name="pool"),
                layers.Dense(3, name="head"),
            ],
            name="net",
        )
        self.steps = 0

    def call(self, inputs, training=None):
        return self.net(inputs, training=training)

    def compute_loss(self, *args, **kwargs):
        self.steps += 1
        return 0.5 * super().compute_loss(*args, **kwargs)


@registered
class LossBlock(Block):
    """Adds a loss in its `call`."""

    def __init__(self, filters=6, **kwargs):
        super().__init__(filters, **kwargs)
        self.first = self.conv(filters, "first")

    def call(self, inputs):
        x = self.first(inputs)
        self.add_loss(ops.mean(ops.square(x)))
        return ops.relu(x)


@registered
class Head(layers.Layer):
    """A convolution and another, for every level of a pyramid."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        self.first, self.last = conv(6, "first"), conv(self.filters, "last")
        self.first.build(input_shape)
        self.last.build((*input_shape[:-1], 6))

    def call(self, inputs):
        return self.last(ops.relu(self.first(inputs)))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@registered
class Places(layers.Layer):
    """Stands outside the graph; it turns raw outputs into boxes."""

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def call(self, raw, pictures):
        return self.size * raw + ops.mean(pictures)


@registered
class Detector(keras.Model):
    """A functional model that makes its own graph, as tasks of KerasHub do.

    It holds a nested model, one head for two levels, a layer beside its graph,
    and has a loss and a decoder of its own.
    """

    losses_taken = 0

    def __init__(self, scale, backbone=None, **kwargs):
        if backbone is None:
            image = keras.Input(IMAGE)
            fine = conv(5, "fine")(image)
            coarse = layers.AveragePooling2D(2)(conv(5, "coarse")(fine))
            backbone = keras.Model(
                image, {"P1": fine, "P2": coarse}, name="backbone"
            )
        image = keras.Input(IMAGE)
        head = Head(8, name="head")
        found = [
            layers.Reshape((-1, 4), name=f"flat_{name}")(head(level))
            for name, level in backbone(image).items()
        ]
        boxes = layers.Concatenate(1, name="all")(found)
        pooled = ops.max(ops.reshape(boxes, (-1, 6, 20, 4)), axis=2)
        super().__init__(image, {"boxes": pooled}, **kwargs)
        self.scale, self.backbone, self.head = scale, backbone, head
        self.places = Places(scale)

    def compute_loss(self, x, y, y_pred, sample_weight, **kwargs):
        self.losses_taken += 1
        y = {"boxes": self.scale * y["boxes"]}
        return super().compute_loss(x, y, y_pred, sample_weight, **kwargs)

    def decode(self, raw, pictures):
        return self.places(raw["boxes"], pictures)

    def predict_step(self, *args):
        return self.decode(super().predict_step(*args), args[0])

    def get_config(self):
        return {
            "scale": self.scale,
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        backbone = keras.saving.deserialize_keras_object(config["backbone"])
        return cls(config["scale"], backbone, name=config["name"])


class NoConfig(keras.Model):
    """Takes neither a name nor anything else of Keras."""

    def __init__(self, width=6):
        super().__init__()
        self.convs = [conv(width + i, f"conv{i}") for i in range(2)]
        self.head = layers.Dense(3, name="head")

    def call(self, inputs):
        for layer in self.convs:
            inputs = ops.gelu(layer(inputs))
        return self.head(ops.max(inputs, axis=(1, 2)))


class WrongConfig(NoConfig):
    """Its config is that of a wider model."""

    def get_config(self):
        return {"width": 9}


class OneByOne(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = layers.Dense(3)

    def call(self, first, second):
        return self.head(first + second)


def halved(model, x):
    """The model wrapped, half of its channels active."""
    model(x)
    checks.randomize(model)
    wrapped = keras_chex.wrap(model)
    difference = checks.largest_difference(wrapped(x), model(x))
    assert difference <= checks.TOLERANCE
    groups = keras_chex.channel_groups(wrapped)
    keras_chex.set_active(wrapped, checks.random_active(groups))
    return wrapped


def assert_strips(wrapped, x):
    stripped = keras_chex.strip(wrapped)
    difference = checks.largest_difference(stripped(x), wrapped(x))
    assert difference <= checks.TOLERANCE
    return stripped


def test_dicts_of_inputs_and_outputs():
    x = {"a": X, "b": X[:, ::-1].copy()}
    wrapped = halved(TwoPictures(), x)
    stripped = assert_strips(wrapped, x)
    assert stripped.get_layer("left").filters == 3


def test_own_training_code_stays_in_force(tmp_path):
    wrapped = halved(OwnStep(), X)
    wrapped.compile("sgd", "mse")
    wrapped.fit(X, np.ones((4, 3)), verbose=0)
    assert wrapped.steps > 0
    stripped = assert_strips(wrapped, X)
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert checks.largest_difference(loaded(X), stripped(X)) <= 1e-5
    loaded.fit(X, np.ones((4, 3)), verbose=0)
    assert loaded.steps > 0


def test_losses_of_a_block_are_trained_with():
    image = keras.Input(IMAGE)
    x = LossBlock(name="block")(conv(5, "c1")(image))
    pooled = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(3, name="head")(pooled))
    wrapped = halved(model, X)
    wrapped.compile("sgd", "mse")
    y = checks.as_numpy(wrapped(X))
    assert wrapped.evaluate(X, y, verbose=0) > 1e-3
    assert_strips(wrapped, X)


def test_a_functional_task_with_parts_of_its_own(tmp_path):
    wrapped = halved(Detector(2), X)
    assert isinstance(wrapped, Detector)
    assert wrapped.places.size == 2
    # Attributes are the layers that the graph runs.
    assert type(wrapped.head.first).__name__ == "ChexWrapper"
    y = {"boxes": np.ones((4, 6, 4))}
    wrapped.compile("sgd", "mse")
    expected = wrapped.evaluate(X, y, verbose=0)
    boxes = wrapped.decode(wrapped(X), X)
    assert checks.largest_difference(boxes, wrapped.predict(X, verbose=0)) == 0
    stripped = assert_strips(wrapped, X)
    assert not isinstance(stripped, Detector)
    assert checks.largest_difference(wrapped.decode(stripped(X), X), boxes) < (
        checks.TOLERANCE
    )
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(X, y, verbose=0) == pytest.approx(expected)
    loaded.fit(X, y, verbose=0)
    assert loaded.losses_taken > 0


@registered
class OwnCompile(Detector):
    """Has a `compile` with arguments of its own, as tasks of KerasHub do."""

    def compile(self, optimizer="auto", box_loss="auto", **kwargs):
        optimizer = "sgd" if optimizer == "auto" else optimizer
        box_loss = "mse" if box_loss == "auto" else box_loss
        super().compile(optimizer, loss={"boxes": box_loss}, **kwargs)


@pytest.mark.parametrize("compiled_first", [True, False])
def test_a_class_with_a_compile_of_its_own(compiled_first):
    model = OwnCompile(2)
    settings = {"box_loss": "mae", "loss_weights": {"boxes": 3.0}}
    if compiled_first:
        model.compile(keras.optimizers.SGD(0.01), **settings)
    wrapped = halved(model, X)
    assert wrapped.compiled is compiled_first
    if not compiled_first:
        wrapped.compile(keras.optimizers.SGD(0.01), **settings)
    assert float(wrapped.optimizer.learning_rate) == pytest.approx(0.01)
    y = {"boxes": np.ones((4, 6, 4))}
    error = np.abs(checks.as_numpy(wrapped(X)["boxes"]) - 2).mean()
    loss = wrapped.evaluate(X, y, verbose=0)
    assert loss == pytest.approx(3 * error, rel=1e-5)
    wrapped.fit(X, y, verbose=0)
    assert_strips(wrapped, X)


def test_a_class_without_a_config_of_its_own_is_copied():
    wrapped = halved(NoConfig(), X)
    stripped = assert_strips(wrapped, X)
    assert stripped.get_layer("conv1").filters in (3, 4)


def test_arguments_given_one_by_one_are_refused():
    model = OneByOne()
    model(np.ones((2, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="takes first, second one by one"):
        keras_chex.channel_groups(model)


def test_a_model_that_is_not_what_its_config_says_is_refused():
    model = WrongConfig()
    model(X)
    with pytest.raises(TypeError, match="must be what its config says"):
        keras_chex.wrap(model)


def test_a_layer_out_of_reach_is_refused():
    class Hidden(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            layer = conv(6, "hidden")
            self.known = layer
            self.apply_it = lambda x: layer(x)
            self.head = layers.Dense(3, name="head")

        def call(self, inputs):
            return self.head(ops.mean(self.apply_it(inputs), axis=(1, 2)))

    model = Hidden()
    model(X)
    with pytest.raises(TypeError, match="'hidden'.*cannot be replaced"):
        keras_chex.wrap(model)


def test_a_layer_that_keras_gives_no_config_for():
    policy = keras.dtype_policies.DTypePolicy("float32")
    image = keras.Input(IMAGE)
    x = layers.Identity(dtype=policy, name="same")(conv(5, "c1")(image))
    pooled = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, layers.Dense(3, name="head")(pooled))
    with pytest.raises(NotImplementedError):
        model.get_layer("same").get_config()
    assert_strips(halved(model, X), X)


def test_a_raw_operation_that_keras_gives_no_config_for():
    image = keras.Input(IMAGE)
    x = conv(5, "c1")(image)
    x = ops.reshape(x, (-1, np.int64(math.prod(x.shape[1:3])), np.int64(5)))
    outputs = layers.Dense(3, name="head")(ops.mean(x, axis=1))
    model = keras.Model(image, outputs)
    with pytest.raises(NotImplementedError):
        model.operations[2].get_config()
    assert_strips(halved(model, X), X)


def test_an_unregistered_layer_inside_of_another():
    class Gain(ChannelGain):
        def compute_output_shape(self, input_shape):
            return input_shape

    frames = keras.Input((2, *IMAGE))
    x = layers.TimeDistributed(conv(5, "c1"), name="every")(frames)
    x = layers.TimeDistributed(Gain(), name="gains")(x)
    outputs = layers.Dense(3, name="head")(ops.mean(x, axis=(1, 2, 3)))
    wrapped = halved(keras.Model(frames, outputs), np.stack([X, -X], axis=1))
    assert_strips(wrapped, np.stack([X, -X], axis=1))
    (gain,) = keras_chex.strip(wrapped).get_layer("gains").weights
    assert tuple(gain.shape) == (2,)


@registered
class Nameless(layers.Layer):
    """Lets Keras name its layers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Conv2D(6, 3, padding="same")
        self.second = layers.Conv2D(7, 3, padding="same")

    def call(self, inputs):
        return self.second(self.first(inputs))


@pytest.mark.filterwarnings("ignore:`build..` was called on:UserWarning")
def test_names_given_by_keras_stay_those_of_the_model(tmp_path):
    block = Nameless(name="block")
    image = keras.Input(IMAGE)
    x = layers.GlobalAveragePooling2D()(block(conv(5, "c1")(image)))
    model = keras.Model(image, layers.Dense(3, name="head")(x))
    names = [g.name for g in keras_chex.channel_groups(model)]
    assert names[1] == f"block/{block.first.name}"
    wrapped = keras_chex.wrap(model, exclude=block.second)
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for copy in (wrapped, loaded):
        groups = keras_chex.channel_groups(copy)
        assert [g.name for g in groups] == names
        assert groups[1].frozen is None and "excluded" in groups[2].frozen
