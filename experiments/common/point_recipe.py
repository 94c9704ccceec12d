"""The training recipe that is usual for ModelNet40."""

import dataclasses

import keras


@dataclasses.dataclass(frozen=True)
class PointRecipe:
    """Adam, a rate that falls in steps, decoupled weight decay.

    Attributes:
        epochs: int, length of the run.
        batch_size: int.
        lr: float, learning rate of the first epochs.
        decay: float, its factor every `decay_epochs`.
        decay_epochs: int.
        weight_decay: float, share of the weights, times the learning rate,
            that every step takes away; not of biases and BatchNorm.
        label_smoothing: float, share of a label that goes to all classes.
        seed: int, decides initialisation, order and augmentation.
    """

    epochs: int = 200
    batch_size: int = 24
    lr: float = 1e-3
    decay: float = 0.7
    decay_epochs: int = 20
    weight_decay: float = 1e-4
    label_smoothing: float = 0.0
    seed: int = 0


def compile_model(model, recipe, steps_per_epoch):
    """Gives a model optimizer, loss and metric of the recipe.

    Args:
        model: a `keras.Model` with logits.
        recipe: a `PointRecipe`.
        steps_per_epoch: int, optimizer steps in one epoch.
    """
    optimizer = keras.optimizers.Adam(
        learning_rate(recipe, steps_per_epoch),
        weight_decay=recipe.weight_decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )


def learning_rate(recipe, steps_per_epoch):
    """The rate as a function of the step.

    Args:
        recipe: a `PointRecipe`.
        steps_per_epoch: int, optimizer steps in one epoch.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    Example:

    >>> rate = learning_rate(PointRecipe(lr=1.0, decay_epochs=2), 10)
    >>> [round(float(rate(step)), 2) for step in (0, 19, 20, 40)]
    [1.0, 1.0, 0.7, 0.49]
    """
    return keras.optimizers.schedules.ExponentialDecay(
        recipe.lr,
        recipe.decay_epochs * steps_per_epoch,
        recipe.decay,
        staircase=True,
    )
