"""What a row of the zoo says of a small model."""

import dataclasses
from collections.abc import Callable, Mapping

import keras


def _keep_class(model):
    return model


@dataclasses.dataclass(frozen=True)
class Row:
    """One small model and what is true of it.

    Attributes:
        build: function without arguments that returns the model.
        groups: the groups that must come out unfrozen, each as the names of
            its producers joined by `+`. No other group may be unfrozen.
        frozen: a part of the reason that must be given for each frozen
            producer; the classifier, frozen as output, is not repeated here.
        zero_preserving: whether a channel of zeros stays zeros up to the next
            layer that makes channels.
        as_trained: gives the stripped model, a plain Functional, the training
            step that the class of this model has.
        runs_in_litert: whether LiteRT has all the operations.
        seed: for the weights and inputs, such that the outputs differ between
            examples, with half of the channels too.
    """

    build: Callable[[], keras.Model]
    groups: tuple[str, ...]
    frozen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    zero_preserving: bool = True
    as_trained: Callable[[keras.Model], keras.Model] = _keep_class
    runs_in_litert: bool = True
    seed: int = 0
