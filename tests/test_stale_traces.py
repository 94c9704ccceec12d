"""A model that was traced computes with its new channels right afterwards.

A compiled function traced before a width changed would be silently wrong.
"""

import keras
import numpy as np
import pytest

import keras_chex
from tests import checks, zoo_topologies
from tests.zoo_custom import CountedTraces

CHANGES = ("set_active", "load_weights", "set_weights")


def active_sets(model, seed):
    return checks.random_active(
        keras_chex.channel_groups(model), seed, share=0.3 + 0.2 * seed
    )


@pytest.fixture(scope="module")
def plain_and_data():
    plain, x = checks.prepare(zoo_topologies.residual_identity)
    y = np.cos(checks.as_numpy(plain(x, training=False)))
    return plain, x, y


def compiled(model):
    model.compile(keras.optimizers.SGD(0.05), loss="mse")
    return model


def wrapped_with(plain, seed):
    wrapped = keras_chex.wrap(plain)
    keras_chex.set_active(wrapped, active_sets(plain, seed))
    return compiled(wrapped)


def trace(model, x, y):
    """Traces the model for training, evaluation and prediction."""
    weights = model.get_weights()
    model.train_on_batch(x, y)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    model.set_weights(weights)


def change(model, other, how, path):
    """Gives `model` the channels of `other`, and its weights."""
    if how == "set_active":
        keras_chex.set_active(model, keras_chex.active_channels(other))
    elif how == "set_weights":
        model.set_weights(other.get_weights())
    else:
        other.save_weights(path)
        model.load_weights(path)


@pytest.fixture(scope="module", params=CHANGES)
def changed(request, plain_and_data, tmp_path_factory):
    """A traced model after its widths changed, and the stripped model."""
    plain, x, y = plain_and_data
    model, other = wrapped_with(plain, 0), wrapped_with(plain, 1)
    trace(model, x, y)
    path = tmp_path_factory.mktemp("weights") / "other.weights.h5"
    change(model, other, request.param, path)
    return model, compiled(keras_chex.strip(other)), x, y


@pytest.fixture
def trained(changed):
    """The same, with the weights put back after training."""
    before = [model.get_weights() for model in changed[:2]]
    yield changed
    for model, weights in zip(changed[:2], before, strict=True):
        model.set_weights(weights)


def assert_same(a, b):
    assert checks.largest_difference(a, b) <= checks.TOLERANCE


def test_predict_is_right_after_the_channels_changed(changed):
    model, stripped, x, _ = changed
    assert_same(model.predict(x, verbose=0), stripped.predict(x, verbose=0))
    assert_same(model.predict_on_batch(x), stripped.predict_on_batch(x))


def test_evaluate_is_right_after_the_channels_changed(changed):
    model, stripped, x, y = changed
    expected = stripped.evaluate(x, y, verbose=0)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-5)
    expected = stripped.test_on_batch(x, y)
    assert model.test_on_batch(x, y) == pytest.approx(expected, rel=1e-5)


def test_train_on_batch_is_right_after_the_channels_changed(trained):
    model, stripped, x, y = trained
    losses = [m.train_on_batch(x, y) for m in (model, stripped)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert_same(model(x, training=False), stripped(x, training=False))


def test_fit_is_right_after_the_channels_changed(trained):
    model, stripped, x, y = trained
    for one in (model, stripped):
        one.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert_same(model(x, training=False), stripped(x, training=False))


def test_eager_call_is_right_after_the_channels_changed(changed):
    model, stripped, x, _ = changed
    assert_same(model(x, training=False), stripped(x, training=False))
    assert_same(model(x, training=True), stripped(x, training=True))


def test_a_callback_may_change_the_channels_during_fit(plain_and_data):
    plain, x, y = plain_and_data
    later = active_sets(plain, 1)
    options = {"batch_size": 4, "shuffle": False, "verbose": 0}

    inside = wrapped_with(plain, 0)
    switch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: keras_chex.set_active(inside, later)
    )
    inside.fit(x, y, epochs=2, callbacks=[switch], **options)

    outside = wrapped_with(plain, 0)
    outside.fit(x, y, epochs=1, **options)
    keras_chex.set_active(outside, later)
    outside.fit(x, y, epochs=1, **options)

    assert_same(inside(x, training=False), outside(x, training=False))
    assert_same(inside.predict(x, verbose=0), outside.predict(x, verbose=0))


def test_channels_swapped_at_equal_width_are_not_retraced(plain_and_data):
    _, x, _ = plain_and_data
    image = keras.Input(zoo_topologies.IMAGE, name="image")
    outputs = zoo_topologies.plain().call(image)
    plain = keras.Model(image, CountedTraces(name="counter")(outputs))
    checks.randomize(plain)
    y = np.zeros((len(x), 4))
    model = compiled(keras_chex.wrap(plain))
    groups = keras_chex.channel_groups(plain)
    keras_chex.set_active(model, checks.random_active(groups, seed=1))
    trace(model, x, y)
    counter = checks.layers_by_path(model)["counter"]
    traces = counter.traces

    swapped = checks.random_active(groups, seed=2)
    keras_chex.set_active(model, swapped)
    model.train_on_batch(x, y)
    predicted = model.predict(x, verbose=0)

    # PyTorch runs the code of the model at every step.
    if keras.backend.backend() != "torch":
        assert counter.traces == traces
    stripped = keras_chex.strip(model)
    assert_same(predicted, stripped.predict(x, verbose=0))


def test_channels_come_back_with_the_values_they_had(plain_and_data):
    plain, x, y = plain_and_data
    model = wrapped_with(plain, 0)
    trace(model, x, y)
    everything = {
        name: np.ones_like(units)
        for name, units in keras_chex.active_channels(model).items()
    }
    keras_chex.set_active(model, everything)
    assert_same(model.predict(x, verbose=0), plain.predict(x, verbose=0))


def test_channels_may_change_within_an_epoch(plain_and_data):
    plain, x, y = plain_and_data
    later = active_sets(plain, 1)
    widths = {name: int(mask.sum()) for name, mask in later.items()}

    def switch(batch, logs):
        if batch == 0:
            keras_chex.set_active(inside, later)
        active = keras_chex.active_channels(inside)
        assert {name: int(active[name].sum()) for name in later} == widths

    inside = wrapped_with(plain, 0)
    # A function that holds the model: Keras hands no state over for it.
    callback = keras.callbacks.LambdaCallback(on_train_batch_end=switch)
    inside.fit(
        x, y, batch_size=4, shuffle=False, verbose=0, callbacks=[callback]
    )

    outside = wrapped_with(plain, 0)
    outside.train_on_batch(x[:4], y[:4])
    keras_chex.set_active(outside, later)
    outside.train_on_batch(x[4:], y[4:])
    assert_same(inside(x, training=False), outside(x, training=False))


def test_a_function_that_is_kept_does_not_run_for_a_new_one(plain_and_data):
    plain, x, y = plain_and_data
    model = wrapped_with(plain, 0)
    trace(model, x, y)
    kept = model.train_function, model.test_function, model.predict_function
    keras_chex.set_active(model, active_sets(plain, 1))
    stripped = compiled(keras_chex.strip(model))
    assert_same(model.predict(x, verbose=0), stripped.predict(x, verbose=0))
    for method in ("test_on_batch", "train_on_batch"):
        losses = [getattr(m, method)(x, y) for m in (model, stripped)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert_same(model(x, training=False), stripped(x, training=False))
    assert all(kept)
