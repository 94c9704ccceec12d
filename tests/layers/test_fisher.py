import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.graph.channels import read_channels
from keras_chex.graph.keras_nodes import read_variable
from keras_chex.layers.active import read_active
from keras_chex.layers.fisher import remembers_gradients, unit_information
from tests.zoo import ROWS

NAMES = [
    *("residual_projection", "depthwise_separable", "flatten_to_dense"),
    *("grouped_convolution", "pixel_shuffle", "transposed_convolution"),
]
RNG = np.random.default_rng(3)


def compiled(model, optimizer):
    """Wrapped, with random weights and random slots of the optimizer."""
    wrapped = keras_chex.wrap(model)
    wrapped.compile(optimizer, "mse")
    wrapped.optimizer.build(wrapped.trainable_variables)
    for weight in wrapped.trainable_variables:
        weight.assign(RNG.normal(size=weight.shape))
    return wrapped


def fill(variables, low):
    for variable in variables:
        variable.assign(RNG.uniform(low, 1, size=variable.shape))


def squares(model, slots):
    """`w^2 E[g^2]` of all elements, one array per weight."""
    return [
        np.square(read_variable(weight), dtype=np.float64) * slot
        for weight, slot in zip(model.trainable_variables, slots, strict=True)
    ]


def lost(model, group, unit, values):
    """Sum of the values of those elements that die with a unit."""
    active = np.ones(group.size, bool)
    active[unit] = False
    keras_chex.set_active(model, {group.name: active})
    total = sum(
        value[read_variable(weight) == 0].sum()
        for weight, value in zip(model.trainable_variables, values, strict=True)
    )
    keras_chex.set_active(model, {group.name: np.ones(group.size, bool)})
    return total


@pytest.mark.parametrize("name", NAMES)
def test_information_is_that_of_the_elements_that_die_with_a_unit(name):
    model = compiled(ROWS[name].build(), keras.optimizers.Adam(0.01))
    fill(model.optimizer._velocities, 0.1)
    slots = [read_variable(slot) for slot in model.optimizer._velocities]
    values = squares(model, slots)
    found = unit_information(read_channels(model), model.optimizer)
    groups = [g for g in keras_chex.channel_groups(model) if g.frozen is None]
    assert groups
    for group in groups:
        for unit in (0, group.size - 1):
            np.testing.assert_allclose(
                found[group.name][unit],
                lost(model, group, unit, values),
                rtol=1e-5,
            )


def two_layers(optimizer, deep=False):
    second = [keras.layers.Dense(4, use_bias=False, name="second")]
    return compiled(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(4, use_bias=False, name="hidden"),
                keras.layers.ReLU(),
                *(second if deep else ()),
                keras.layers.Dense(2, use_bias=False, name="logits"),
            ]
        ),
        optimizer,
    )


def by_hand(model, slots):
    first, second = squares(model, slots)
    return first.sum(axis=0) + second.sum(axis=1)


def test_a_momentum_is_squared():
    model = two_layers(keras.optimizers.SGD(0.1, momentum=0.9))
    fill(model.optimizer.momentums, -1)
    slots = [np.square(read_variable(s)) for s in model.optimizer.momentums]
    found = unit_information(read_channels(model), model.optimizer)
    np.testing.assert_allclose(
        found["hidden"], by_hand(model, slots), rtol=1e-5
    )


def test_averages_and_collected_gradients_are_no_gradients():
    optimizer = keras.optimizers.Adam(
        0.1, use_ema=True, gradient_accumulation_steps=2
    )
    model = two_layers(optimizer)
    fill(optimizer._velocities, 0.1)
    fill(optimizer._model_variables_moving_average, 0.1)
    fill(optimizer._accumulated_gradients, 0.1)
    slots = [read_variable(slot) for slot in optimizer._velocities]
    found = unit_information(read_channels(model), optimizer)
    np.testing.assert_allclose(
        found["hidden"], by_hand(model, slots), rtol=1e-5
    )


def test_a_group_that_is_not_trained_has_none():
    model = two_layers(keras.optimizers.Adam(0.1))
    model.get_layer("logits").trainable = False
    found = unit_information(read_channels(model), model.optimizer)
    assert found["hidden"] is not None
    model.get_layer("hidden").trainable = False
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="remembers gradients of trained"):
        unit_information(read_channels(model), model.optimizer)


def test_groups_are_known_each_on_its_own():
    model = two_layers(keras.optimizers.Adam(0.1), deep=True)
    for name in ("hidden", "second"):
        model.get_layer(name).trainable = False
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    found = unit_information(read_channels(model), model.optimizer)
    assert found["hidden"] is None and found["second"] is not None


def test_dormant_units_have_none():
    model = two_layers(keras.optimizers.Adam(0.1))
    fill(model.optimizer._velocities, 0.1)
    keras_chex.set_active(model, {"hidden": [1, 2]})
    found = unit_information(read_channels(model), model.optimizer)["hidden"]
    np.testing.assert_array_equal(found > 0, [False, True, True, False])


@pytest.mark.parametrize("argument", ["allocation", "criterion"])
def test_an_optimizer_without_memory_is_refused_before_training(argument):
    model = two_layers(keras.optimizers.SGD(0.1))
    scheduler = keras_chex.ChexScheduler(
        flops=0.5, interval=1, verbose=0, **{argument: "fisher"}
    )
    with pytest.raises(ValueError, match="SGD.momentum=0.9. or Adam") as error:
        model.fit(
            np.ones((4, 3)),
            np.ones((4, 2)),
            epochs=3,
            verbose=0,
            callbacks=[scheduler],
        )
    assert "Received: optimizer=" in str(error.value)
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("argument", ["allocation", "criterion"])
def test_one_shot_compression_has_no_gradients(argument):
    with pytest.raises(ValueError, match=f"^Argument `{argument}='fisher'` of"):
        keras_chex.compress(
            two_layers(keras.optimizers.Adam(0.1)),
            flops=0.5,
            **{argument: "fisher"},
        )


def test_the_criterion_keeps_the_units_of_most_information():
    model = two_layers(keras.optimizers.Adam(0.1))
    fill(model.optimizer._velocities, 0.1)
    found = unit_information(read_channels(model), model.optimizer)["hidden"]
    best = np.sort(np.argsort(found)[-2:])
    scheduler = keras_chex.ChexScheduler(
        **{"sparsity": 0.5, "interval": 1, "end": 1, "initial": "dense"},
        **{"criterion": "fisher", "sampling": "none", "verbose": 0},
    )
    scheduler.start(model, epochs=2, steps_per_epoch=1)
    model.optimizer.iterations.assign(1)
    assert scheduler.step()
    active = read_active(read_channels(model))["hidden"]
    np.testing.assert_array_equal(np.flatnonzero(active), best)


def explored_widths(optimizer, **options):
    """Widths after one exploration step of a network made anew."""
    keras.utils.set_random_seed(0)
    model = keras_chex.wrap(
        keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(12, name="hidden"),
                keras.layers.Dense(12, name="second"),
                keras.layers.Dense(2, name="logits"),
            ]
        )
    )
    model.compile(optimizer, "mse")
    optimizer.build(model.trainable_variables)
    for slot in getattr(optimizer, "momentums", None) or []:
        # Nothing is to be lost in the second layer.
        rows = np.arange(len(np.atleast_1d(slot))) < 3
        slot.assign(slot + rows.reshape(-1, *[1] * (len(slot.shape) - 1)))
    scheduler = keras_chex.ChexScheduler(
        **{"flops": 0.5, "interval": 1, "end": 1, "initial": "dense"},
        **{"sampling": "none", "round_to": 1, **options},
    )
    scheduler.start(model, epochs=2, steps_per_epoch=1)
    optimizer.iterations.assign(1)
    assert scheduler.step()
    return scheduler.history[-1]["widths"]


def test_automatic_widths_follow_what_the_optimizer_remembers(capsys):
    found = explored_widths(keras.optimizers.SGD(0.1, momentum=0.9))
    assert "remembers no" not in capsys.readouterr().out
    expected = explored_widths(
        keras.optimizers.SGD(0.1, momentum=0.9), allocation="fisher"
    )
    uniform = explored_widths(keras.optimizers.SGD(0.1), allocation="uniform")
    assert found == expected != uniform


def test_automatic_widths_are_uniform_without_memory(capsys):
    found = explored_widths(keras.optimizers.SGD(0.1))
    said = capsys.readouterr().out
    assert "; uniform widths, as SGD remembers no gradients" in said
    assert found == explored_widths(
        keras.optimizers.SGD(0.1), allocation="uniform"
    )


def test_memory_of_groups_that_cannot_shrink_does_not_count():
    model = two_layers(keras.optimizers.Adam(0.1))
    graph = read_channels(model)
    assert remembers_gradients(graph, model.optimizer)
    excluded = read_channels(model, ["hidden"])
    assert not remembers_gradients(excluded, model.optimizer)
    assert not remembers_gradients(graph, keras.optimizers.SGD(0.1))
