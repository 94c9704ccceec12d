"""The training recipe of the CHEX paper for ImageNet."""

import dataclasses

import keras

# Images of the batch for which learning rates are given.
REFERENCE_BATCH = 1024
# Warm-up of runs too short for the usual one: one part in this many.
SHORT_RUN = 10


@dataclasses.dataclass(frozen=True)
class ImagenetRecipe:
    """SGD with momentum, warm-up, cosine to zero, mixtures, smooth labels.

    Attributes:
        epochs: int, length of the run.
        batch_size: int, images in a batch of all devices together.
        base_lr: float, largest learning rate for a batch of 1024 images.
        warmup_epochs: float, epochs in which the rate rises from zero; `None`
            for 8, or a tenth of a run of fewer than 80 epochs.
        momentum: float.
        weight_decay: float, factor of L2 regularisation (gradient
            `weight_decay * w`); not on biases and BatchNorm.
        label_smoothing: float, share of a label that goes to all classes.
        mixup: float, parameter of the Beta distribution of mixtures.
        seed: int, decides initialisation, order and augmentation.
    """

    epochs: int = 250
    batch_size: int = 1024
    base_lr: float = 1.024
    warmup_epochs: float | None = None
    momentum: float = 0.875
    weight_decay: float = 2**-15
    label_smoothing: float = 0.1
    mixup: float = 0.2
    seed: int = 0

    @property
    def lr(self):
        """Largest learning rate, in proportion to the batch.

        >>> ImagenetRecipe(batch_size=256).lr
        0.256
        """
        return self.base_lr * self.batch_size / REFERENCE_BATCH

    @property
    def warmup(self):
        """Epochs of warm-up.

        >>> ImagenetRecipe(epochs=250).warmup, ImagenetRecipe(epochs=20).warmup
        (8, 2.0)
        """
        if self.warmup_epochs is not None:
            return self.warmup_epochs
        return min(8, self.epochs / SHORT_RUN)


def compile_model(model, recipe, steps_per_epoch):
    """Gives a model optimizer, loss and metrics of the recipe.

    The gradient of L2 regularisation passes through the momentum and comes out
    `1 / (1 - momentum)` times as large. Keras decays weights outside of it, by
    `weight_decay * learning_rate`: the factor is converted, the rate is not.

    Metrics are weighted: images of weight 0 fill up the last batch of an
    evaluation.

    Args:
        model: a `keras.Model` with logits.
        recipe: an `ImagenetRecipe`.
        steps_per_epoch: int, optimizer steps in one epoch.
    """
    optimizer = keras.optimizers.SGD(
        learning_rate(recipe, steps_per_epoch),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay / (1 - recipe.momentum),
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        weighted_metrics=accuracies(),
    )


def accuracies():
    """New metrics for labels that are shares of the classes."""
    return [
        keras.metrics.CategoricalAccuracy(name="accuracy"),
        keras.metrics.TopKCategoricalAccuracy(k=5, name="top5_accuracy"),
    ]


def learning_rate(recipe, steps_per_epoch):
    """The rate as a function of the step.

    Args:
        recipe: an `ImagenetRecipe`.
        steps_per_epoch: int, optimizer steps in one epoch.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    Raises:
        ValueError: If the warm-up takes the whole run.

    Example:

    >>> rate = learning_rate(ImagenetRecipe(epochs=18, warmup_epochs=8), 10)
    >>> [round(float(rate(step)), 3) for step in (0, 40, 80, 130, 180)]
    [0.0, 0.512, 1.024, 0.512, 0.0]
    """
    if not 0 <= recipe.warmup < recipe.epochs:
        raise ValueError(
            "Argument `warmup_epochs` must be shorter than the run. Received: "
            f"warmup_epochs={recipe.warmup} for {recipe.epochs} epochs"
        )
    steps = recipe.epochs * steps_per_epoch
    warmup_steps = round(recipe.warmup * steps_per_epoch)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else recipe.lr,
        decay_steps=steps - warmup_steps,
        warmup_target=recipe.lr if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
