"""Keras 3 to Keras 2 and back: equal outputs, names and weights."""

import sys

import keras
import numpy as np
import pytest

import keras_chex
from tests.checks import as_numpy, largest_difference, prepare
from tests.zoo import ROWS

pytest.importorskip("tf_keras", reason="needs tf_keras")
pytestmark = pytest.mark.tensorflow

OWN_LAYER = "must consist of layers that Keras 3 and tf_keras share"
OWN_OPERATION = "must use raw operations that have an equivalent in tf_keras"
OWN_CODE = "must be a built functional or Sequential model"
# Rows of the zoo that Keras 2 cannot express, and what is said of them.
REFUSED = {
    "layer_without_rule": OWN_LAYER,
    "layers_with_own_weights": OWN_LAYER,
    "blocks_with_own_weights": OWN_LAYER,
    "positions": OWN_LAYER,
    "class_token": OWN_LAYER,
    "lambda_layer": OWN_LAYER,
    "lambdas_take_parts": OWN_LAYER,
    "group_normalization": "'rms' of class RMSNormalization",
    "convnext_block": "'scale' of class LayerScale",
    "scaled_residual": "class CustomScaleLayer",
    "attention": "'heads' of class MultiHeadAttention",
    "attention_layers": "'look' of class Attention",
    "recurrent": "'both' of class Bidirectional",
    "masked_words": "operation 'not_equal'",
    "masked_attention": "'heads' of class MultiHeadAttention",
    "recurrent_video": "'every' of class ConvLSTM2D",
    "repeated_model": "'frames' of class Functional",
    "channel_slices": f"{OWN_OPERATION}.*class GetItem",
    "uneven_slice": f"{OWN_OPERATION}.*class GetItem",
    "padded_space_and_channels": f"{OWN_OPERATION}.*class GetItem",
    "channel_splits": f"{OWN_OPERATION}.*class Split",
    "patches": f"{OWN_OPERATION}.*class ExtractPatches",
    "windows": f"{OWN_OPERATION}.*class Reshape",
    "axes_moved": f"{OWN_OPERATION}.*class Mean",
    "channel_statistics": f"{OWN_OPERATION}.*class Mean",
    "dot_layers": f"{OWN_OPERATION}.*class Matmul",
    "comparisons_and_shifts": f"{OWN_OPERATION}.*class Greater",
    **{
        name: OWN_LAYER
        for name in ROWS
        if name.startswith(("block_", "code_")) or name == "residual_blocks"
    },
    "subclassed": OWN_CODE,
    "subclassed_over_graph": OWN_CODE,
}
EXPRESSIBLE = [name for name in ROWS if name not in REFUSED]


def doubled(x):
    return 2 * x


def weights_by_name(model):
    """Weights of a model by layer and weight name, whatever the library."""
    return {
        (layer.name, weight.name.split(":")[0].rsplit("/", 1)[-1]): weight
        for layer in model.layers
        for weight in layer.weights
        if "seed" not in weight.name
    }


@pytest.mark.parametrize("name", EXPRESSIBLE)
def test_model_goes_there_and_comes_back(name):
    model, x = prepare(ROWS[name].build, ROWS[name].seed)
    legacy = keras_chex.to_tf_keras(model)
    again = keras_chex.from_tf_keras(legacy)
    expected = as_numpy(model(x, training=False))
    for converted in (legacy, again):
        outputs = keras.tree.map_structure(
            np.asarray, converted(x, training=False)
        )
        assert largest_difference(outputs, expected) <= 1e-5


@pytest.mark.parametrize("name", REFUSED)
def test_what_keras_2_lacks_is_named(name):
    if name not in ROWS:
        pytest.skip("this Keras has no such row")
    with pytest.raises(ValueError, match=REFUSED[name]):
        keras_chex.to_tf_keras(ROWS[name].build())


def test_layers_keep_names_weights_regularizers_and_trainable():
    model, _ = prepare(ROWS["regularized"].build)
    model.get_layer("c1").trainable = False
    legacy = keras_chex.to_tf_keras(model)
    given, taken = weights_by_name(model), weights_by_name(legacy)
    assert given.keys() == taken.keys()
    for key, weight in given.items():
        np.testing.assert_array_equal(weight, taken[key])
    assert not legacy.get_layer("c1").trainable
    assert float(legacy.get_layer("c1").kernel_regularizer.l2) == pytest.approx(
        1e-2
    )
    activity = legacy.get_layer("c2").activity_regularizer
    assert float(activity.l2) == pytest.approx(1e-2)


def test_a_wrapped_model_is_stripped_first():
    model = keras_chex.wrap(ROWS["plain"].build())
    keras_chex.set_active(model, {"c1": [0, 2]})
    assert keras_chex.to_tf_keras(model).get_layer("c1").filters == 2


def test_dicts_and_integer_inputs_stay():
    a, b = (keras.Input((4,), name=n) for n in ("zebra", "apple"))
    difference = keras.layers.Subtract()([a, b])
    model = keras.Model({"zebra": a, "apple": b}, {"out": difference})
    legacy = keras_chex.to_tf_keras(model)
    x = {"zebra": np.full((2, 4), 3.0), "apple": np.ones((2, 4))}
    np.testing.assert_array_equal(legacy(x)["out"], np.full((2, 4), 2.0))


def test_keras_2_hard_sigmoid_is_another_function():
    import tf_keras

    legacy = tf_keras.Sequential(
        [
            tf_keras.Input((7,)),
            tf_keras.layers.Activation("hard_sigmoid", name="gate"),
        ]
    )
    x = np.linspace(-4, 4, 7, dtype="float32")[None]
    model = keras_chex.from_tf_keras(legacy)
    np.testing.assert_allclose(model(x), np.clip(0.2 * x + 0.5, 0, 1), 1e-6)
    back = keras_chex.to_tf_keras(model)
    np.testing.assert_allclose(back(x), legacy(x), atol=1e-6)


def test_statistics_of_an_adapted_layer_are_kept():
    layer = keras.layers.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (64, 5)))
    model = keras.Sequential([keras.Input((5,)), layer])
    x = np.ones((2, 5), "float32")
    legacy = keras_chex.to_tf_keras(model)
    np.testing.assert_allclose(legacy(x), model(x), rtol=1e-5)


@pytest.mark.parametrize(
    "layer, message",
    [
        (
            lambda: keras.layers.Dense(3, activation=doubled),
            "with .*doubled",
        ),
        (
            lambda: keras.layers.Dense(3, activation="squareplus"),
            "layer 'dense.*with 'squareplus', which tf_keras lacks. Use one of",
        ),
        (
            lambda: keras.layers.Resizing(4, 4, antialias=True),
            "antialias=True, which Resizing of tf_keras has not",
        ),
    ],
)
def test_arguments_without_equivalent_are_named(layer, message):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layer()(inputs))
    with pytest.raises(ValueError, match=message):
        keras_chex.to_tf_keras(model)


def test_what_is_no_model_of_the_library_is_refused():
    with pytest.raises(TypeError, match="of Keras 3. Received: builtins.int"):
        keras_chex.to_tf_keras(3)
    model = ROWS["sequential"].build()
    with pytest.raises(TypeError, match="`tf_keras.Model`. Received: keras"):
        keras_chex.from_tf_keras(model)


def test_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(ImportError, match=r"keras_chex\[tfmot\]"):
        keras_chex.to_tf_keras(ROWS["sequential"].build())


APPLICATIONS = {
    "MobileNetV2": {"alpha": 0.35},
    "MobileNetV3Small": {},
    "ResNet50": {},
    "EfficientNetB0": {},
    "DenseNet121": {},
}


@pytest.mark.large
@pytest.mark.parametrize("name", APPLICATIONS)
def test_published_architectures_are_expressible(name):
    build = getattr(keras.applications, name)
    model = build(
        weights=None,
        input_shape=(64, 64, 3),
        classes=10,
        classifier_activation=None,
        **APPLICATIONS[name],
    )
    legacy = keras_chex.to_tf_keras(model)
    assert legacy.count_params() >= model.count_params() - 10
    again = keras_chex.from_tf_keras(legacy)
    assert again.output_shape == (None, 10)
