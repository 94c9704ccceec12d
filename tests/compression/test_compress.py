"""One-shot compression: the budget met, the model of the user untouched."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from tests import checks
from tests.callbacks.latency_tables import made_up_table


def trained(width=16):
    """A network whose statistics are those of `images`."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(width, 3, name="first"),
            layers.BatchNormalization(name="norm1"),
            layers.ReLU(),
            layers.Conv2D(width, 3, name="second"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, name="logits"),
        ]
    )
    for number, name in enumerate(("norm1", "norm2")):
        gamma = model.get_layer(name).gamma
        rng = np.random.default_rng(number)
        gamma.assign(rng.uniform(0.2, 2.0, gamma.shape))
    return model


def images(count=64):
    rng = np.random.default_rng(0)
    return rng.normal(1.0, 2.0, (count, 8, 8, 2)).astype("float32")


def weights(model):
    return [checks.as_numpy(weight) for weight in model.weights]


@pytest.mark.parametrize(
    ("budget", "reached"),
    [
        ({"flops": 0.5}, lambda s, d: s.flops / d.flops),
        ({"params": 0.5}, lambda s, d: s.params / d.params),
        ({"sparsity": 0.5}, lambda s, d: s.channels / d.channels),
    ],
    ids=["flops", "params", "sparsity"],
)
def test_each_budget_is_met(budget, reached):
    model = trained()
    before = weights(model)
    small = keras_chex.compress(model, **budget)
    share = reached(keras_chex.summary(small), keras_chex.summary(model))
    assert 0.42 < share <= 0.5
    assert all(type(x).__module__.startswith("keras.") for x in small.layers)
    for old, new in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_latency_is_met():
    model = trained()
    table = made_up_table(model)
    small = keras_chex.compress(model, latency=0.5, latency_table=table)
    wrapped = keras_chex.wrap(model)
    widths = {
        name: np.arange(small.get_layer(name).filters)
        for name in ("first", "second")
    }
    keras_chex.set_active(wrapped, widths)
    assert 0.3 < table.predict(wrapped) / table.predict(model) <= 0.5


def test_only_the_part_in_the_budget_gets_smaller():
    small = keras_chex.compress(trained(), flops=0.5, budget_scope="second")
    assert small.get_layer("first").filters == 16
    assert small.get_layer("second").filters == 8


def test_a_part_without_normalisation_does_not_pay_for_the_rest():
    keras.utils.set_random_seed(0)
    stack = [keras.Input((8, 8, 2))]
    for number in range(3):
        stack += [layers.Conv2D(32, 3, padding="same", name=f"body{number}")]
        stack += [layers.BatchNormalization(), layers.ReLU()]
    for number in range(3):
        stack += [layers.Conv2D(32, 3, padding="same", name=f"head{number}")]
        stack += [layers.ReLU()]
    model = keras.Sequential([*stack, layers.Conv2D(3, 1, name="logits")])
    small = keras_chex.compress(model, flops=0.4)
    widths = {
        part: sum(small.get_layer(f"{part}{n}").filters for n in range(3))
        for part in ("body", "head")
    }
    # Of equal shares; ranked together, the heads got 0.58 as much.
    assert 0.7 < widths["body"] / widths["head"] < 1.4


def test_criteria_choose_other_channels_at_equal_cost():
    model, x = trained(), images()
    criteria = ("css", "l1", "bn_scale", "random")
    small = {
        name: keras_chex.compress(model, flops=0.5, criterion=name)
        for name in criteria
    }
    assert len({keras_chex.flops(one) for one in small.values()}) == 1
    outputs = {name: one.predict(x, verbose=0) for name, one in small.items()}
    for one, other in itertools.combinations(criteria, 2):
        assert not np.allclose(outputs[one], outputs[other])


def test_l1_keeps_the_channels_of_largest_norm():
    model = trained()
    kernel = checks.as_numpy(model.get_layer("first").kernel)
    small = keras_chex.compress(
        model, sparsity=0.5, criterion="l1", allocation="uniform"
    )
    order = np.argsort(-np.abs(kernel).sum(axis=(0, 1, 2)))[:8]
    np.testing.assert_array_equal(
        checks.as_numpy(small.get_layer("first").kernel),
        kernel[..., np.sort(order)],
    )


def test_random_channels_depend_on_the_seed_alone():
    def scales(seed):
        small = keras_chex.compress(
            trained(), flops=0.5, criterion="random", seed=seed
        )
        return checks.as_numpy(small.get_layer("norm1").gamma)

    np.testing.assert_array_equal(scales(1), scales(1))
    assert not np.array_equal(scales(1), scales(2))


def test_a_wrapped_model_is_cut_further_and_stays_as_it_was():
    wrapped = keras_chex.wrap(trained())
    keras_chex.set_active(wrapped, {"first": np.arange(12)})
    before = weights(wrapped)
    small = keras_chex.compress(wrapped, flops=0.5, data=images())
    share = keras_chex.flops(small) / keras_chex.flops(wrapped)
    assert 0.42 < share <= 0.5
    for old, new in zip(before, weights(wrapped), strict=True):
        np.testing.assert_array_equal(old, new)
    active = keras_chex.active_channels(wrapped)
    assert int(active["first"].sum()) == 12


def moments(model, layer, x):
    inner = keras.Model(model.inputs, model.get_layer(layer).output)
    seen = inner.predict(x, verbose=0)
    return seen.mean(axis=(0, 1, 2)), seen.var(axis=(0, 1, 2))


def test_data_corrects_the_statistics():
    """Where those of the dense model are right, so are the new ones."""
    model, x = trained(), images()
    for layer, norm in (("first", "norm1"), ("second", "norm2")):
        mean, variance = moments(model, layer, x)
        model.get_layer(norm).moving_mean.assign(mean)
        model.get_layer(norm).moving_variance.assign(variance)
    small = keras_chex.compress(model, flops=0.5, data=x)
    as_it_was = keras_chex.compress(model, flops=0.5)
    mean, variance = moments(small, "second", x)
    norm = small.get_layer("norm2")
    np.testing.assert_allclose(
        checks.as_numpy(norm.moving_mean), mean, rtol=0.02, atol=0.02
    )
    np.testing.assert_allclose(
        checks.as_numpy(norm.moving_variance), variance, rtol=0.02
    )
    before = checks.as_numpy(as_it_was.get_layer("norm2").moving_variance)
    assert np.abs(before / variance - 1).max() > 0.2


def test_layers_before_any_cut_keep_their_statistics():
    """Examples unlike those of the training do no harm of their own."""
    model, x = trained(), 7 + 3 * images()
    model.get_layer("norm1").moving_mean.assign(np.arange(16.0))
    arguments = dict(flops=0.6, exclude="first")
    corrected = keras_chex.compress(model, data=x, **arguments)
    as_it_was = keras_chex.compress(model, **arguments)
    for name in ("moving_mean", "moving_variance"):
        one, other = (
            checks.as_numpy(getattr(m.get_layer("norm1"), name))
            for m in (corrected, as_it_was)
        )
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_widths_stay_within_bounds_on_the_grid():
    small = keras_chex.compress(
        trained(32),
        flops=0.5,
        round_to=8,
        min_channels=8,
        exclude=("second",),
    )
    assert small.get_layer("first").filters in (8, 16)
    assert small.get_layer("second").filters == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Exactly one of the arguments"),
        ({"flops": 1.5}, "`flops` must be between 0 and 1"),
        ({"flops": 0.5, "criterion": "best"}, "`criterion` must be one of"),
        ({"flops": 0.5, "exclude": "third"}, "`exclude` must name layers"),
        ({"flops": 0.5, "exclude": "first|second"}, "no channel that can be"),
        ({"flops": 0.001}, "`flops` asks for less than"),
        ({"flops": 0.5, "data": images()[..., :1]}, "`data` must hold inputs"),
    ],
)
def test_what_cannot_work_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_chex.compress(trained(), **arguments)


def test_data_without_normalization_is_refused():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8), layers.Dense(2)]
    )
    with pytest.raises(ValueError, match="`data` is for the statistics"):
        keras_chex.compress(model, flops=0.5, data=np.ones((2, 4)))
