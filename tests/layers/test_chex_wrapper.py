"""The wrapper by itself: widths, memory, regularisers, errors."""

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.layers.chex_wrapper import ChexWrapper
from tests.checks import as_numpy

X = np.random.default_rng(0).normal(size=(4, 6, 6, 3)).astype("float32")


def wrapped(**kwargs):
    wrapper = ChexWrapper(keras.layers.Conv2D(5, 3, name="conv", **kwargs))
    wrapper(X)
    return wrapper


def mask(*indices, size=5):
    found = np.zeros(size, bool)
    found[list(indices)] = True
    return found


def test_dormant_channels_are_not_computed():
    wrapper = wrapped()
    full = as_numpy(wrapper(X))
    wrapper.set_channels({"out": mask(1, 4)})
    received = as_numpy(wrapper(X))
    np.testing.assert_allclose(received, full[..., [1, 4]], atol=1e-6)


def test_dormant_inputs_are_not_read():
    wrapper = wrapped(use_bias=False)
    kernel = as_numpy(wrapper.kernel)
    wrapper.set_channels({"in": mask(0, 2, size=3)})
    expected = keras.ops.conv(X[..., [0, 2]], kernel[:, :, [0, 2]], 1, "valid")
    received = as_numpy(wrapper(X[..., [0, 2]]))
    np.testing.assert_allclose(received, as_numpy(expected), atol=1e-5)


def test_values_come_back_as_they_were_when_they_went():
    wrapper = wrapped()
    before = as_numpy(wrapper.kernel)
    wrapper.set_channels({"out": mask(0, 1)})
    wrapper.kernel.assign(before + 7)
    wrapper.set_channels({"out": mask(0, 1, 2, 3, 4)})
    after = as_numpy(wrapper.kernel)
    np.testing.assert_array_equal(after[..., 2:], before[..., 2:])
    np.testing.assert_array_equal(after[..., :2], before[..., :2] + 7)


def test_an_element_is_saved_when_its_first_end_goes_dormant():
    wrapper = wrapped()
    first = as_numpy(wrapper.kernel)
    wrapper.set_channels({"in": mask(0, 1, size=3)})
    wrapper.kernel.assign(first + 1)
    wrapper.set_channels({"out": mask(0)})
    wrapper.kernel.assign(first + 2)
    wrapper.set_channels({"in": mask(0, 1, 2, size=3), "out": np.ones(5, bool)})
    after = as_numpy(wrapper.kernel)
    np.testing.assert_array_equal(after[:, :, 2], first[:, :, 2])
    np.testing.assert_array_equal(after[:, :, :2, 1:], first[:, :, :2, 1:] + 1)
    np.testing.assert_array_equal(after[:, :, :2, 0], first[:, :, :2, 0] + 2)


@pytest.mark.parametrize("restore", ["zeros", "random"])
def test_other_values_can_come_back(restore):
    wrapper = wrapped(bias_initializer="ones")
    before = as_numpy(wrapper.kernel)
    wrapper.bias.assign(np.full(5, 3.0))
    wrapper.set_channels({"out": mask(0, 1)}, restore)
    wrapper.set_channels({"out": mask(0, 1, 2)}, restore, seed=[1, 2])
    after = as_numpy(wrapper.kernel)
    np.testing.assert_array_equal(after[..., :2], before[..., :2])
    assert (np.abs(after[..., 2]).max() == 0) == (restore == "zeros")
    assert not np.array_equal(after[..., 2], before[..., 2])
    assert as_numpy(wrapper.bias).tolist()[:3] == [3.0, 3.0, 1.0]


def test_regulariser_sees_only_active_entries():
    wrapper = wrapped(kernel_regularizer=keras.regularizers.L2(0.5))
    wrapper.set_channels({"out": mask(1, 3)})
    kernel = as_numpy(wrapper.kernel)[..., [1, 3]]
    (loss,) = wrapper.losses
    expected = 0.5 * np.square(kernel).sum()
    assert as_numpy(loss) == pytest.approx(expected, rel=1e-5)


def test_constraint_sees_only_active_entries():
    wrapper = wrapped(
        kernel_constraint=keras.constraints.MaxNorm(0.1, [0, 1, 2])
    )
    wrapper.set_channels({"in": mask(0, size=3), "out": mask(1, 3)})
    before = as_numpy(wrapper.kernel)
    after = as_numpy(wrapper.kernel.constraint(wrapper.kernel))
    block = np.ix_(range(3), range(3), [0], [1, 3])
    norms = np.sqrt(np.square(after[block]).sum((0, 1, 2)))
    np.testing.assert_allclose(norms, 0.1, rtol=1e-4)
    after[block] = before[block]
    np.testing.assert_array_equal(after, before)


def test_batch_norm_statistics_of_dormant_channels_rest():
    wrapper = ChexWrapper(keras.layers.BatchNormalization(momentum=0.5))
    wrapper(X)
    wrapper.set_channels({"in": mask(0, 2, size=3)})
    wrapper(X[..., [0, 2]] + 9, training=True)
    moving = as_numpy(wrapper.moving_mean)
    assert moving[1] == 0 and np.all(moving[[0, 2]] > 4)


def test_attributes_of_the_layer_can_be_reached():
    wrapper = wrapped()
    assert wrapper.filters == 5 and wrapper.name == "conv"
    with pytest.raises(AttributeError, match="no attribute '_nothing'"):
        wrapper._nothing  # noqa: B018


def test_config_names_every_argument_and_round_trips():
    wrapper = ChexWrapper(keras.layers.Dense(4, name="d"), exclude=True)
    config = wrapper.get_config()
    again = ChexWrapper.from_config(config)
    assert config["exclude"] is True and "layer" in config
    assert again.get_config() == config


def test_wrapping_what_cannot_be_wrapped_says_why():
    with pytest.raises(TypeError, match="must not be wrapped already"):
        ChexWrapper(wrapped())
    with pytest.raises(ValueError, match="has no channel rule for Lambda"):
        ChexWrapper(keras.layers.Lambda(abs))


def test_a_side_cannot_become_empty():
    with pytest.raises(ValueError, match="at least one of the channels"):
        wrapped().set_channels({"out": mask()})


def test_set_active_refuses_unknown_and_frozen_groups():
    model = keras_chex.wrap(
        keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(6, name="hidden"),
                keras.layers.Dense(2, name="logits"),
            ]
        )
    )
    with pytest.raises(ValueError, match="Received: 'nowhere'"):
        keras_chex.set_active(model, {"nowhere": [0]})
    with pytest.raises(ValueError, match="kept: model output"):
        keras_chex.set_active(model, {"logits": [0]})
    with pytest.raises(ValueError, match="indices below 6"):
        keras_chex.set_active(model, {"hidden": [6]})
    with pytest.raises(ValueError, match="distinct indices below 6"):
        keras_chex.set_active(model, {"hidden": [2, 2]})
    with pytest.raises(ValueError, match="at least one active unit"):
        keras_chex.set_active(model, {"hidden": np.zeros(6, bool)})
