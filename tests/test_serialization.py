"""A wrapped model survives its file: channels, memory, class, optimizer."""

import inspect
import json

import keras
import numpy as np
import pytest

import keras_chex
from tests import checks, zoo_custom
from tests.zoo import ROWS

MODELS = (
    "bottleneck",
    "sequential",
    "nested_sequential",
    "functional_subclass",
    "subclass_with_own_graph",
)


@pytest.fixture(params=MODELS)
def narrow(request):
    """A wrapped model with half its channels, and inputs for it."""
    plain, x = checks.prepare(ROWS[request.param].build)
    wrapped = keras_chex.wrap(plain)
    active = checks.random_active(keras_chex.channel_groups(plain))
    keras_chex.set_active(wrapped, active)
    return plain, wrapped, x


def compiled(model):
    model.compile(
        keras.optimizers.Adam(0.01), loss="mse", run_eagerly=checks.EAGER
    )
    return model


def saved_and_loaded(model, tmp_path):
    model.save(tmp_path / "wrapped.keras")
    return keras.saving.load_model(tmp_path / "wrapped.keras")


def assert_same(a, b):
    assert checks.largest_difference(a, b) <= checks.TOLERANCE


def assert_same_channels(model, expected):
    active = keras_chex.active_channels(model)
    for name, units in keras_chex.active_channels(expected).items():
        np.testing.assert_array_equal(active[name], units)


def test_a_loaded_file_is_narrow_without_any_call(narrow, tmp_path):
    _, wrapped, x = narrow
    loaded = saved_and_loaded(wrapped, tmp_path)
    assert_same_channels(loaded, wrapped)
    assert keras_chex.flops(loaded) == keras_chex.flops(wrapped)
    assert_same(loaded.predict(x, verbose=0), wrapped.predict(x, verbose=0))
    assert_same(loaded(x, training=False), wrapped(x, training=False))


def test_a_loaded_file_has_the_same_weights_and_no_others(narrow, tmp_path):
    _, wrapped, _ = narrow
    loaded = saved_and_loaded(wrapped, tmp_path)
    assert [w.name for w in loaded.weights] == [w.name for w in wrapped.weights]
    for ours, theirs in zip(loaded.weights, wrapped.weights, strict=True):
        np.testing.assert_array_equal(
            checks.as_numpy(ours), checks.as_numpy(theirs)
        )


def test_dormant_values_survive_the_file(narrow, tmp_path):
    plain, wrapped, x = narrow
    loaded = saved_and_loaded(wrapped, tmp_path)
    everything = {
        name: np.ones_like(units)
        for name, units in keras_chex.active_channels(loaded).items()
    }
    keras_chex.set_active(loaded, everything)
    assert_same(loaded(x, training=False), plain(x, training=False))


def test_a_file_of_a_file_is_the_same(narrow, tmp_path):
    _, wrapped, x = narrow
    twice = saved_and_loaded(saved_and_loaded(wrapped, tmp_path), tmp_path)
    assert_same_channels(twice, wrapped)
    assert_same(twice(x, training=False), wrapped(x, training=False))
    assert type(twice).__name__ == type(wrapped).__name__


def test_weights_alone_carry_the_channels(narrow, tmp_path):
    plain, wrapped, x = narrow
    path = tmp_path / "narrow.weights.h5"
    wrapped.save_weights(path)
    other = keras_chex.wrap(plain)
    other.load_weights(path)
    assert_same_channels(other, wrapped)
    assert_same(other.predict(x, verbose=0), wrapped.predict(x, verbose=0))


def test_training_goes_on_from_the_file(narrow, tmp_path):
    _, wrapped, x = narrow
    y = np.sin(checks.as_numpy(wrapped(x, training=False)))
    compiled(wrapped).train_on_batch(x, y)
    loaded = saved_and_loaded(wrapped, tmp_path)
    assert int(loaded.optimizer.iterations) == 1
    losses = [m.train_on_batch(x, y) for m in (loaded, wrapped)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert_same(loaded(x, training=False), wrapped(x, training=False))


def test_a_file_can_be_stripped(narrow, tmp_path):
    _, wrapped, x = narrow
    stripped = keras_chex.strip(saved_and_loaded(wrapped, tmp_path))
    assert_same(stripped(x, training=False), wrapped(x, training=False))
    # Written and read where the package was never imported: no custom object.
    stripped.save(tmp_path / "stripped.keras")
    registered = dict(keras.saving.get_custom_objects())
    keras.saving.get_custom_objects().clear()
    try:
        plain = keras.saving.load_model(tmp_path / "stripped.keras")
    finally:
        keras.saving.get_custom_objects().update(registered)
    assert_same(plain(x, training=False), stripped(x, training=False))


def test_the_configuration_of_a_wrapper_is_complete(narrow):
    _, wrapped, _ = narrow
    wrappers = [
        layer
        for layer in checks.layers_by_path(wrapped).values()
        if isinstance(layer, keras_chex.ChexWrapper)
    ]
    assert wrappers
    names = inspect.signature(keras_chex.ChexWrapper.__init__).parameters
    named = {
        name
        for name, parameter in names.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    } - {"self"}
    for wrapper in wrappers:
        config = wrapper.get_config()
        assert named <= set(config)
        text = json.dumps(config, sort_keys=True)
        again = keras_chex.ChexWrapper.from_config(json.loads(text))
        assert json.dumps(again.get_config(), sort_keys=True) == text


def test_a_wrapped_subclass_keeps_its_class_and_its_train_step(tmp_path):
    row = ROWS["functional_subclass"]
    plain, x = checks.prepare(row.build)
    wrapped = keras_chex.wrap(plain)
    y = np.sin(checks.as_numpy(plain(x, training=False)))
    for model in (wrapped, saved_and_loaded(wrapped, tmp_path)):
        assert isinstance(model, zoo_custom.ScaledLossModel)
        assert model.scale == 0.25
        raw = np.mean(np.square(checks.as_numpy(model(x, training=True)) - y))
        model.compile(keras.optimizers.SGD(0.0), loss="mse")
        trained = model.train_on_batch(x, y, return_dict=True)["loss"]
        assert trained == pytest.approx(0.25 * raw, rel=1e-4)


def test_a_wrapped_subclass_keeps_its_attributes_and_methods(tmp_path):
    plain, x = checks.prepare(ROWS["subclass_with_own_graph"].build)
    wrapped = keras_chex.wrap(plain)
    keras_chex.set_active(wrapped, {"stem": [1, 4]})
    for model in (wrapped, saved_and_loaded(wrapped, tmp_path)):
        assert isinstance(model, zoo_custom.SmallClassifier)
        assert (model.width, model.depth) == (7, 2)
        inside = {id(layer) for layer in model.layers}
        held = [model.stem, model.head, *model.blocks, *model.norms.values()]
        assert all(id(layer) in inside for layer in held)
        expected = checks.as_numpy(plain.features(x))[..., [1, 4]]
        assert_same(model.features(x), expected)


def test_wrapping_leaves_the_original_model_alone():
    for name in MODELS:
        plain, x = checks.prepare(ROWS[name].build)
        before = plain(x, training=False)
        layers = list(plain.layers)
        wrapped = keras_chex.wrap(plain)
        keras_chex.set_active(
            wrapped, checks.random_active(keras_chex.channel_groups(plain))
        )
        assert all(a is b for a, b in zip(plain.layers, layers, strict=True))
        assert_same(plain(x, training=False), before)
        assert type(plain).__name__ == type(ROWS[name].build()).__name__


def test_a_pickled_model_is_the_same(narrow):
    import pickle

    _, wrapped, x = narrow
    again = pickle.loads(pickle.dumps(wrapped))
    assert type(again) is type(wrapped)
    np.testing.assert_array_equal(
        again.predict(x, verbose=0), wrapped.predict(x, verbose=0)
    )


def test_a_clone_has_the_channels_of_the_original(tmp_path):
    for name in ("sequential", "bottleneck"):
        plain, x = checks.prepare(ROWS[name].build)
        wrapped = keras_chex.wrap(plain)
        active = checks.random_active(keras_chex.channel_groups(plain))
        keras_chex.set_active(wrapped, active)
        clone = keras.models.clone_model(wrapped)
        clone.set_weights(wrapped.get_weights())
        assert type(clone) is type(plain)
        assert keras_chex.flops(clone) == keras_chex.flops(wrapped)
        expected = wrapped.predict(x, verbose=0)
        assert_same(clone.predict(x, verbose=0), expected)
        assert_same(keras_chex.strip(clone)(x), expected)
        loaded = saved_and_loaded(clone, tmp_path)
        assert_same(loaded.predict(x, verbose=0), expected)


def test_a_file_that_could_not_be_loaded_is_not_written(narrow, tmp_path):
    _, wrapped, _ = narrow
    with pytest.raises(ValueError, match="must end in `.keras`"):
        wrapped.save(tmp_path / "model.h5")
    assert not list(tmp_path.iterdir())
