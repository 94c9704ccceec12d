"""The training recipe of detectors, from random weights."""

import dataclasses

import keras

from .recipe import MOMENTUM

# Shares of the run after which the rate is a tenth of what it was.
DROPS = (0.66, 0.83)
# Errors of box offsets count as they are above this, as squares below.
BOX_DELTA = 0.1


@dataclasses.dataclass(frozen=True)
class DetectionRecipe:
    """SGD or Adam, warm-up, then a rate that falls in steps or as a cosine.

    Attributes:
        epochs: int, length of the run.
        batch_size: int.
        optimizer: `"sgd"`, with momentum, or `"adam"`.
        lr: float, the largest learning rate.
        warmup: float, share of the run in which the rate rises from zero.
        fall: `"steps"` (a tenth after 66 % and 83 % of the run) or `"cosine"`.
        weight_decay: float, the factor of L2 regularisation with SGD, of the
            weights themselves with Adam; not on biases and norms.
        clip: float, largest norm of all gradients together.
        seed: int, decides initialisation, order and augmentation.
    """

    epochs: int = 650
    batch_size: int = 16
    optimizer: str = "sgd"
    lr: float = 0.01
    warmup: float = 0.005
    fall: str = "steps"
    weight_decay: float = 1e-4
    clip: float = 10.0
    seed: int = 0


def compile_detector(task, recipe, steps_per_epoch):
    """Gives a detector optimizer and losses of the recipe.

    Args:
        task: a `keras_hub.models.RetinaNetObjectDetector`, wrapped or plain.
        recipe: a `DetectionRecipe`.
        steps_per_epoch: int, optimizer steps in one epoch.
    """
    rate = learning_rate(recipe, steps_per_epoch)
    if recipe.optimizer == "adam":
        optimizer = keras.optimizers.Adam(
            rate,
            weight_decay=recipe.weight_decay,
            global_clipnorm=recipe.clip,
        )
    else:
        # Keras applies weight decay outside the momentum.
        optimizer = keras.optimizers.SGD(
            rate,
            momentum=MOMENTUM,
            weight_decay=recipe.weight_decay / (1 - MOMENTUM),
            global_clipnorm=recipe.clip,
        )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    task.compile(
        optimizer=optimizer,
        box_loss=keras.losses.Huber(delta=BOX_DELTA, reduction="sum"),
        loss_weights={"bbox_regression": 1 / BOX_DELTA, "cls_logits": 1.0},
    )


def learning_rate(recipe, steps_per_epoch):
    """The rate as a function of the step.

    Args:
        recipe: a `DetectionRecipe`.
        steps_per_epoch: int, optimizer steps in one epoch.

    Returns:
        A `keras.optimizers.schedules.LearningRateSchedule`.

    Example:

    >>> recipe = DetectionRecipe(epochs=100, lr=1.0, warmup=0.1)
    >>> rate = learning_rate(recipe, 10)
    >>> [round(float(rate(step)), 3) for step in (0, 50, 500, 700, 900)]
    [0.0, 0.5, 1.0, 0.1, 0.01]
    >>> rate = learning_rate(dataclasses.replace(recipe, fall="cosine"), 10)
    >>> [round(float(rate(step)), 3) for step in (50, 100, 550, 1000)]
    [0.5, 1.0, 0.5, 0.0]
    """
    steps = recipe.epochs * steps_per_epoch
    return WarmedUp(recipe.lr, round(recipe.warmup * steps), steps, recipe.fall)


@keras.saving.register_keras_serializable("keras_chex_experiments")
class WarmedUp(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises from zero, then falls.

    Args:
        lr: float, the largest rate.
        warmup: int, steps in which it rises.
        steps: int, length of the run.
        fall: `"steps"` or `"cosine"`.
    """

    def __init__(self, lr, warmup, steps, fall):
        super().__init__()
        self.lr, self.warmup, self.steps, self.fall = lr, warmup, steps, fall

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        rising = step / max(1, self.warmup)
        if self.fall == "cosine":
            progress = (step - self.warmup) / max(1, self.steps - self.warmup)
            progress = keras.ops.clip(progress, 0.0, 1.0)
            falling = 0.5 * (1 + keras.ops.cos(3.141592653589793 * progress))
        else:
            falling = 1.0
            for share in DROPS:
                later = keras.ops.cast(step >= share * self.steps, "float32")
                falling = falling * (1 - 0.9 * later)
        return self.lr * keras.ops.where(step < self.warmup, rising, falling)

    def get_config(self):
        return {
            "lr": self.lr,
            "warmup": self.warmup,
            "steps": self.steps,
            "fall": self.fall,
        }
