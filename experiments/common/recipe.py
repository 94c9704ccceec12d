"""The training recipe that every contender of an experiment shares."""

import dataclasses

import keras

MOMENTUM = 0.9


@dataclasses.dataclass(frozen=True)
class Recipe:
    """SGD with Nesterov momentum, warm-up, then cosine to zero.

    Attributes:
        epochs: int, length of the run.
        batch_size: int.
        lr: float, the largest learning rate.
        warmup: float, share of the run in which the rate rises from zero.
        weight_decay: float, the factor of L2 regularisation (gradient
            `weight_decay * w`); not on biases and BatchNorm.
        shift: int, augmentation: largest shift in pixels.
        seed: int, decides initialisation, order and augmentation.
    """

    epochs: int
    batch_size: int = 128
    lr: float = 0.1
    warmup: float = 0.05
    weight_decay: float = 5e-4
    shift: int = 4
    seed: int = 0


def compile_model(model, recipe, steps_per_epoch):
    """Gives a model optimizer, loss and metric of the recipe.

    Keras applies weight decay outside the momentum, where the gradient of L2
    regularisation would pass through it and come out `1 / (1 - momentum)`
    times as large in the long run: the factor is converted here.

    Args:
        model: a `keras.Model` with logits.
        recipe: a `Recipe`.
        steps_per_epoch: int, optimizer steps in one epoch.
    """
    optimizer = keras.optimizers.SGD(
        learning_rate(recipe, steps_per_epoch),
        momentum=MOMENTUM,
        nesterov=True,
        weight_decay=recipe.weight_decay / (1 - MOMENTUM),
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )


def learning_rate(recipe, steps_per_epoch):
    """The rate as a function of the step.

    Args:
        recipe: a `Recipe`.
        steps_per_epoch: int, optimizer steps in one epoch.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    Example:

    >>> rate = learning_rate(Recipe(epochs=10, lr=1.0, warmup=0.2), 10)
    >>> [round(float(rate(step)), 2) for step in (0, 10, 20, 60, 100)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    steps = recipe.epochs * steps_per_epoch
    warmup_steps = round(recipe.warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else recipe.lr,
        decay_steps=steps - warmup_steps,
        warmup_target=recipe.lr if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
