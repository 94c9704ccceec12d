"""The learning rate of detectors, and the losses and decay they get."""

import keras
import numpy as np
import pytest

from experiments.common.detection_recipe import (
    DetectionRecipe,
    WarmedUp,
    compile_detector,
    learning_rate,
)


class Task(keras.Sequential):
    """Takes what `compile_detector` gives."""

    def compile(self, box_loss, loss_weights, **kwargs):
        self.given = box_loss, loss_weights
        super().compile(**kwargs)


def task():
    return Task([keras.Input((2,)), keras.layers.Dense(2, name="d")])


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_biases_do_not_decay(kind):
    model = task()
    recipe = DetectionRecipe(epochs=2, optimizer=kind, warmup=0.0)
    compile_detector(model, recipe, 10)
    assert type(model.optimizer).__name__.lower() == kind
    kernel, bias = model.trainable_variables
    model.optimizer.build([kernel, bias])
    assert model.optimizer._use_weight_decay(kernel)
    assert not model.optimizer._use_weight_decay(bias)
    assert model.optimizer.global_clipnorm == 10


def test_errors_of_boxes_count_as_they_are():
    model = task()
    compile_detector(model, DetectionRecipe(), 10)
    loss, weights = model.given
    error = loss(np.zeros((1, 4)), np.full((1, 4), 0.5))
    # The mean over four offsets of 0.5 - 0.1 / 2.
    assert weights["bbox_regression"] * float(error) == pytest.approx(0.45)


def test_the_rate_ends_and_is_kept_in_configs():
    rate = learning_rate(DetectionRecipe(epochs=10, fall="cosine"), 10)
    copy = WarmedUp.from_config(rate.get_config())
    for step in (0, 3, 50, 100, 130):
        assert float(copy(step)) == float(rate(step))
    assert float(rate(130)) == pytest.approx(0, abs=1e-8)
