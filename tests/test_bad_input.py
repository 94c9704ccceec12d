"""What cannot work is refused before training starts, with a remedy.

Every message names the argument, says what was received and what to do.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from tests import checks, zoo_topologies


def plain():
    return zoo_topologies.plain()


def unprunable():
    """A model whose only convolution is its output."""
    image = keras.Input((8, 6, 3), name="image")
    return keras.Model(image, layers.Conv2D(5, 3, name="only")(image))


def fit(model, scheduler, epochs=2):
    """Starts training; the refusal must come before a weight changes."""
    x, y = np.ones((4, 8, 6, 3)), np.ones((4, 4))
    model.compile("sgd", "mse")
    before = [checks.as_numpy(w) for w in model.weights]
    try:
        model.fit(x, y, epochs=epochs, verbose=0, callbacks=[scheduler])
    finally:
        after = [checks.as_numpy(w) for w in model.weights]
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)


def fake_tf_keras_model():
    """An object that looks like a Keras 2 model; `tf_keras` is not needed."""
    cls = type("Functional", (), {"__module__": "tf_keras.src.engine"})
    return cls()


# Budgets.


@pytest.mark.parametrize(
    ("budgets", "received"),
    [
        ({}, "none"),
        ({"flops": 0.5, "params": 0.4}, "'flops': 0.5, 'params': 0.4"),
        ({"flops": 0.5, "sparsity": 0.4}, "'flops': 0.5, 'sparsity': 0.4"),
        (
            {"flops": 0.5, "params": 0.4, "sparsity": 0.3},
            "'flops': 0.5, 'params': 0.4, 'sparsity': 0.3",
        ),
    ],
)
def test_exactly_one_budget_must_be_given(budgets, received):
    rule = f"`flops`, `params`.*`sparsity`.*Received: .*{received}"
    with pytest.raises(ValueError, match=rule):
        keras_chex.ChexScheduler(**budgets)


@pytest.mark.parametrize("name", ["flops", "params", "sparsity"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 1.5, 50, float("nan")])
def test_a_budget_must_be_a_share(name, value):
    rule = f"`{name}`.*between 0 and 1.*Received: {name}={value}"
    with pytest.raises(ValueError, match=rule):
        keras_chex.ChexScheduler(**{name: value})


@pytest.mark.parametrize("name", ["flops", "params"])
def test_an_unreachable_budget_names_what_can_be_reached(name):
    model = keras_chex.wrap(plain())
    scheduler = keras_chex.ChexScheduler(**{name: 0.02}, min_channels=4)
    rule = rf"`{name}`.*min_channels=4.*Received: {name}=0\.02"
    with pytest.raises(ValueError, match=rule) as error:
        fit(model, scheduler)
    reachable = smallest_share(name, min_channels=4)
    assert f"{reachable:.3f}"[:4] in str(error.value)
    assert "smaller `min_channels`" in str(error.value)


def smallest_share(name, min_channels):
    model = keras_chex.wrap(plain())
    groups = keras_chex.channel_groups(model)
    smallest = {g.name: range(min_channels) for g in groups if g.frozen is None}
    dense = keras_chex.strip(model)
    keras_chex.set_active(model, smallest)
    narrow = keras_chex.strip(model)
    if name == "params":
        return narrow.count_params() / dense.count_params()
    return keras_chex.flops(narrow) / keras_chex.flops(dense)


# Schedules.


def test_an_interval_longer_than_the_run_is_refused():
    model = keras_chex.wrap(plain())
    scheduler = keras_chex.ChexScheduler(flops=0.5, interval=5)
    with pytest.raises(ValueError, match="`interval`.*Received: interval=5"):
        fit(model, scheduler, epochs=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("regrow", -0.1),
        ("regrow", 1.5),
        ("interval", 0),
        ("end", -1),
        ("unit", "batches"),
        ("criterion", "magic"),
        ("sampling", "magic"),
        ("restore", "magic"),
        ("allocation", "magic"),
        ("min_channels", 0),
        ("round_to", 0),
        ("round_to", "fast"),
    ],
)
def test_an_option_outside_its_range_is_refused(option, value):
    rule = f"`{option}`.*Received: {option}={value!r}"
    with pytest.raises(ValueError, match=rule):
        keras_chex.ChexScheduler(flops=0.5, **{option: value})


@pytest.mark.parametrize("option", ["blend", "floor"])
def test_an_option_of_scores_is_refused_for_uniform_widths(option):
    rule = f"^Argument `{option}`.*Received: {option}=0.5 and allocation="
    with pytest.raises(ValueError, match=rule):
        keras_chex.ChexScheduler(
            flops=0.5, allocation="uniform", **{option: 0.5}
        )
    keras_chex.ChexScheduler(flops=0.5, **{option: 0.5})


@pytest.mark.parametrize(
    ("sampling", "named"),
    [
        ("none", ["restore", "probability"]),
        ("gradual", ["restore", "probability"]),
        ("uniform", ["probability"]),
        ("importance", []),
    ],
)
def test_the_plan_names_options_that_decide_nothing(sampling, named):
    model = keras_chex.wrap(plain())
    model.compile("sgd", "mse")
    chosen = {"restore": "mru", "probability": "softmax"}
    for options in ({}, chosen):
        scheduler = keras_chex.ChexScheduler(
            flops=0.5, sampling=sampling, **options
        )
        lines = str(scheduler.plan(model, epochs=8)).splitlines()
        found = [line for line in lines if "decides nothing" in line]
        expected = [
            f"Option {name}={chosen[name]!r} decides nothing with "
            f"sampling={sampling!r}."
            for name in named
        ]
        assert found == (expected if options else [])


# Models.


def test_a_model_that_is_not_wrapped_is_refused_by_the_scheduler():
    scheduler = keras_chex.ChexScheduler(flops=0.5)
    with pytest.raises(ValueError, match=r"keras_chex\.wrap\(model\)"):
        fit(plain(), scheduler)


@pytest.mark.parametrize(
    "function",
    [
        keras_chex.active_channels,
        keras_chex.strip,
        lambda model: keras_chex.set_active(model, {"c1": [0]}),
    ],
)
def test_a_model_that_is_not_wrapped_is_refused_by_functions(function):
    rule = r"`model`.*keras_chex\.wrap"
    with pytest.raises(ValueError, match=rule):
        function(plain())


@pytest.mark.parametrize("function", [keras_chex.wrap, keras_chex.flops])
def test_a_model_that_is_not_built_is_refused(function):
    model = keras.Sequential([layers.Conv2D(5, 3), layers.Conv2D(4, 3)])
    with pytest.raises(ValueError, match=r"`model`.*built.*keras\.Input"):
        function(model)


def test_a_model_without_prunable_layers_is_refused():
    rule = "`model`.*Received: .*every channel is kept: model output"
    with pytest.raises(ValueError, match=rule):
        keras_chex.wrap(unprunable())


def test_excluding_everything_leaves_nothing_to_prune():
    rule = "`model`.*Received: .*every channel is kept: .*'c1' is excluded"
    with pytest.raises(ValueError, match=rule):
        keras_chex.wrap(plain(), exclude=("c1", "c2", "c3"))
    model = keras_chex.wrap(plain())
    scheduler = keras_chex.ChexScheduler(flops=0.5, exclude=("c1", "c2", "c3"))
    with pytest.raises(
        ValueError,
        match="`exclude`.*Received: 4 groups, all kept.*'c1' is excluded",
    ):
        fit(model, scheduler)


class Hidden(keras.Model):
    """Its code converts to an array, which no symbolic tensor can be."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(4)

    def call(self, inputs):
        return self.dense(keras.ops.convert_to_numpy(inputs))


def test_a_model_whose_code_cannot_be_read_is_refused():
    model = Hidden()
    model(np.ones((2, 3)))
    # On JAX such a call leaves no shape behind either.
    rule = "(?s)code can be read.*Received: .*Hidden.*(symbolic|its input is)"
    with pytest.raises(ValueError, match=rule):
        keras_chex.wrap(model)


def test_a_model_that_was_never_called_is_refused():
    with pytest.raises(ValueError, match="must be built.*Hidden"):
        keras_chex.wrap(Hidden())


@pytest.mark.parametrize(
    "function",
    [
        keras_chex.wrap,
        keras_chex.channel_groups,
        keras_chex.flops,
        keras_chex.strip,
        keras_chex.summary,
    ],
)
def test_a_keras_2_model_is_refused(function):
    rule = "`model`.*Keras 3 model.*Received: .*tf_keras.*`tf_keras` is Keras 2"
    with pytest.raises(TypeError, match=rule):
        function(fake_tf_keras_model())


@pytest.mark.parametrize("value", [None, "resnet50", 3, layers.ReLU])
def test_what_is_no_model_is_refused(value):
    with pytest.raises(TypeError, match="`model`.*Keras 3 model.*Received: "):
        keras_chex.wrap(value)


def test_wrapping_a_model_twice_is_refused():
    with pytest.raises(ValueError, match="`model`.*Received: .*already.*strip"):
        keras_chex.wrap(keras_chex.wrap(plain()))


def test_wrapping_a_layer_twice_is_refused():
    wrapper = keras_chex.ChexWrapper(layers.Conv2D(5, 3))
    with pytest.raises((TypeError, ValueError), match="`layer`.*ChexWrapper"):
        keras_chex.ChexWrapper(wrapper)


@pytest.mark.parametrize("value", [None, "conv", 3])
def test_what_is_no_layer_is_refused(value):
    with pytest.raises((TypeError, ValueError), match="`layer`.*Received: "):
        keras_chex.ChexWrapper(value)


# Names and indices.


def test_wrap_refuses_to_exclude_a_layer_that_is_not_there():
    with pytest.raises(ValueError, match="`exclude`.*Received: .*c_one"):
        keras_chex.wrap(plain(), exclude=("c1", "c_one"))


def test_the_scheduler_refuses_to_exclude_a_layer_that_is_not_there():
    scheduler = keras_chex.ChexScheduler(flops=0.5, exclude=("c_one",))
    with pytest.raises(ValueError, match="`exclude`.*Received: .*c_one"):
        fit(keras_chex.wrap(plain()), scheduler)


@pytest.mark.parametrize(
    ("active", "received"),
    [
        ({"c_one": [0]}, "c_one"),
        ({"c1": []}, "c1"),
        ({"c1": np.zeros(7, bool)}, "c1"),
        ({"c1": np.ones(6, bool)}, "c1"),
        ({"c1": [0, 7]}, "c1"),
        ({"c1": [-1]}, "c1"),
        ({"c1": [0.5]}, "c1"),
        ({"logits": [0]}, "logits"),
    ],
)
def test_set_active_refuses_what_does_not_fit(active, received):
    model = keras_chex.wrap(plain())
    before = keras_chex.active_channels(model)
    with pytest.raises((TypeError, ValueError), match=received):
        keras_chex.set_active(model, active)
    for name, units in keras_chex.active_channels(model).items():
        np.testing.assert_array_equal(units, before[name])


@pytest.mark.parametrize("choice", [["hidden"], [0, 1], None, "hidden"])
def test_a_choice_of_channels_must_be_a_dict(choice):
    with pytest.raises(TypeError, match="`channels` must be a dict"):
        keras_chex.remove_channels(plain(), choice)
    with pytest.raises(TypeError, match="`active` must be a dict"):
        keras_chex.set_active(keras_chex.wrap(plain()), choice)
