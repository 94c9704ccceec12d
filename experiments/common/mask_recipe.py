"""The training recipe that is usual for Mask R-CNN on COCO."""

import dataclasses

import keras

# Pictures of the batch for which learning rates are given.
REFERENCE_BATCH = 16


@dataclasses.dataclass(frozen=True)
class MaskRecipe:
    """SGD with momentum, warm-up, a rate that falls at two points of the run.

    Attributes:
        epochs: int, length of the run.
        batch_size: int, pictures in a batch.
        base_lr: float, learning rate for a batch of 16 pictures.
        warmup_steps: int, steps in which the rate rises from zero; at most a
            tenth of the run.
        falls: tuple of floats, shares of the run after which the rate is a
            tenth of what it was.
        momentum: float.
        weight_decay: float, factor of L2 regularisation (gradient
            `weight_decay * w`); not on biases and BatchNorm.
        clip: float, largest norm of all gradients together.
        seed: int, decides initialisation, order, augmentation and samples.
    """

    epochs: int = 12
    batch_size: int = 16
    base_lr: float = 0.02
    warmup_steps: int = 500
    falls: tuple = (2 / 3, 8 / 9)
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float = 10.0
    seed: int = 0

    @property
    def lr(self):
        """Learning rate, in proportion to the batch.

        >>> MaskRecipe(batch_size=4).lr
        0.005
        """
        return self.base_lr * self.batch_size / REFERENCE_BATCH


@keras.saving.register_keras_serializable(package="maskrcnn")
class FallingRate(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises in a line and falls in steps to a tenth.

    Args:
        rate: float, after the rise.
        warmup: int, steps of the rise.
        falls: list of ints, steps at which it falls.

    Example:

    >>> rate = FallingRate(1.0, 10, [50, 80])
    >>> [round(float(rate(step)), 3) for step in (0, 5, 20, 50, 90)]
    [0.0, 0.5, 1.0, 0.1, 0.01]
    """

    def __init__(self, rate, warmup, falls):
        self.rate = rate
        self.warmup = warmup
        self.falls = list(falls)

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        rate = self.rate * keras.ops.minimum(1.0, step / max(1, self.warmup))
        for fall in self.falls:
            rate = keras.ops.where(step >= fall, rate / 10, rate)
        return rate

    def get_config(self):
        return {"rate": self.rate, "warmup": self.warmup, "falls": self.falls}


def compile_model(model, recipe, steps_per_epoch):
    """Gives a model the optimizer of the recipe; the model has its own loss.

    The gradient of L2 regularisation passes through the momentum and comes out
    `1 / (1 - momentum)` times as large. Keras decays weights outside of it, by
    `weight_decay * learning_rate`: the factor is converted, the rate is not.

    Args:
        model: a `MaskRCNN`, wrapped or plain.
        recipe: a `MaskRecipe`.
        steps_per_epoch: int, optimizer steps in one epoch.
    """
    optimizer = keras.optimizers.SGD(
        learning_rate(recipe, steps_per_epoch),
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay / (1 - recipe.momentum),
        global_clipnorm=recipe.clip,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    # Built later, its variables would have the step traced a second time.
    optimizer.build(model.trainable_variables)
    model.compile(optimizer=optimizer)


def learning_rate(recipe, steps_per_epoch):
    """The rate as a function of the step, a `FallingRate`."""
    steps = recipe.epochs * steps_per_epoch
    return FallingRate(
        recipe.lr,
        min(recipe.warmup_steps, steps // 10),
        [round(share * steps) for share in recipe.falls],
    )
