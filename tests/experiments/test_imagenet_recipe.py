"""The ImageNet recipe: its numbers by hand, decay, weights, metrics."""

import keras
import numpy as np
import pytest

from experiments.common.imagenet_recipe import (
    ImagenetRecipe,
    accuracies,
    compile_model,
    learning_rate,
)


def test_numbers_of_the_paper():
    recipe = ImagenetRecipe()
    assert (recipe.epochs, recipe.warmup, recipe.lr) == (250, 8, 1.024)
    assert (recipe.momentum, recipe.weight_decay) == (0.875, 2**-15)
    assert (recipe.label_smoothing, recipe.mixup) == (0.1, 0.2)


@pytest.mark.parametrize("batch_size, lr", [(256, 0.256), (4096, 4.096)])
def test_rate_is_in_proportion_to_the_batch(batch_size, lr):
    assert ImagenetRecipe(batch_size=batch_size).lr == pytest.approx(lr)


def test_rate_rises_for_eight_epochs_and_falls_to_zero():
    rate = learning_rate(ImagenetRecipe(), 1251)
    by_epoch = {e: float(rate(e * 1251)) for e in (0, 4, 8, 129, 250)}
    # Epoch 129 is half of the 242 epochs of the cosine.
    assert by_epoch == pytest.approx(
        {0: 0.0, 4: 0.512, 8: 1.024, 129: 0.512, 250: 0.0}, abs=1e-6
    )


def test_warm_up_can_be_left_out():
    rate = learning_rate(ImagenetRecipe(epochs=2, warmup_epochs=0), 10)
    assert float(rate(0)) == pytest.approx(1.024)


def test_warm_up_must_be_shorter_than_the_run():
    with pytest.raises(ValueError, match="Received: warmup_epochs=8 for 8"):
        learning_rate(ImagenetRecipe(epochs=8, warmup_epochs=8), 10)


def test_decay_does_in_the_long_run_what_l2_regularisation_does():
    recipe = ImagenetRecipe(epochs=2, weight_decay=1e-3, warmup_epochs=0)
    ours = model_of_one_weight()
    compile_model(ours, recipe, steps_per_epoch=10_000)
    theirs = keras.optimizers.SGD(recipe.lr, momentum=recipe.momentum)
    l2 = keras.Variable(np.ones((1, 1)))
    theirs.build([l2])
    kernel, zero = ours.layers[0].kernel, keras.ops.zeros((1, 1))
    ours.optimizer.build([kernel])
    for _ in range(100):
        ours.optimizer.apply([zero], [kernel])
        theirs.apply([recipe.weight_decay * l2], [l2])
    shrunk = [float(np.log(np.array(v).item())) for v in (kernel, l2)]
    assert shrunk[0] == pytest.approx(shrunk[1], rel=0.1)
    assert shrunk[1] < -0.7


def model_of_one_weight():
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="ones"),
        ]
    )
    return model


def test_decay_spares_biases_and_batch_norm():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, name="dense"),
            keras.layers.BatchNormalization(name="bn"),
        ]
    )
    recipe = ImagenetRecipe(weight_decay=2**-5, warmup_epochs=0)
    compile_model(model, recipe, steps_per_epoch=10)
    dense, bn = model.get_layer("dense"), model.get_layer("bn")
    dense.bias.assign(np.ones(4))
    before = keras.ops.convert_to_numpy(dense.kernel)
    variables = model.trainable_variables
    zeros = [keras.ops.zeros(v.shape) for v in variables]
    model.optimizer.apply(zeros, variables)
    # The factor is 2^-5 / (1 - 0.875) = 1 / 4.
    np.testing.assert_allclose(
        dense.kernel, before * (1 - 1.024 / 4), rtol=1e-5
    )
    for variable in (dense.bias, bn.gamma):
        np.testing.assert_array_equal(variable, 1.0)


def test_smooth_labels_cost_what_the_formula_says():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    compile_model(model, ImagenetRecipe(), steps_per_epoch=1)
    logits = np.array([[2.0, 1.0, 0.0, -1.0]])
    labels = np.array([[1.0, 0.0, 0.0, 0.0]])
    smooth = 0.9 * labels + 0.1 / 4
    log_p = logits - np.log(np.exp(logits).sum())
    loss = model.evaluate(logits, labels, verbose=0)[0]
    assert loss == pytest.approx(-(smooth * log_p).sum(), rel=1e-5)


def test_images_of_weight_zero_do_not_count():
    top1, top5 = accuracies()
    labels = np.eye(8, dtype="float32")[[0, 1, 2, 0]]
    logits = np.tile(np.arange(8, 0, -1, dtype="float32"), (4, 1))
    for metric in (top1, top5):
        metric.update_state(labels, logits, sample_weight=[1, 1, 1, 0])
    assert float(top1.result()) == pytest.approx(1 / 3)
    assert float(top5.result()) == 1.0
