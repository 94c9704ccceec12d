"""Sparsity by magnitude: small weights become zero, and nothing gets faster."""

import keras
import numpy as np

from keras_chex.export.tfmot import import_tfmot


class MagnitudePruning(keras.callbacks.Callback):
    """Zeroes the smallest elements of every kernel while a model trains.

    What `prune_low_magnitude` of TensorFlow Model Optimization does to models
    of `tf_keras`, for a model of Keras 3: its schedule says when and how many;
    in every kernel the elements of largest magnitude stay, and from one change
    to the next the others are held at zero. A run that goes on reads from the
    zeros where it was.

    Args:
        schedule: a pruning schedule of TensorFlow Model Optimization, a
            function from the step to `(whether to prune, sparsity)`.

    Reference:

    - [Zhu and Gupta, 2017](https://arxiv.org/abs/1710.01878)
    """

    def __init__(self, schedule):
        super().__init__()
        self.schedule = schedule
        self._masks = None

    def on_epoch_begin(self, epoch, logs=None):
        # Not when training begins: a backup is restored then.
        if self._masks is None:
            arrays = [np.asarray(kernel) for kernel in kernels(self.model)]
            self._masks = [array != 0 for array in arrays]

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations) - 1
        due, sparsity = (float(value) for value in self.schedule(step))
        for number, kernel in enumerate(kernels(self.model)):
            array = keras.ops.convert_to_numpy(kernel)
            if due:
                self._masks[number] = largest(array, 1 - sparsity)
            if not self._masks[number].all():
                kernel.assign(array * self._masks[number])


def kernels(model):
    """Variables of the kernels of convolutions and dense layers."""
    kinds = keras.layers.Conv2D, keras.layers.Dense
    return [layer.kernel for layer in model.layers if isinstance(layer, kinds)]


def largest(array, share):
    """Marks the elements of largest magnitude.

    >>> largest(np.array([[1.0, -4.0], [3.0, 2.0]]), 0.5)
    array([[False,  True],
           [ True, False]])
    """
    count = round(share * array.size)
    order = np.argsort(-np.abs(array), axis=None, kind="stable")
    mask = np.zeros(array.size, bool)
    mask[order[:count]] = True
    return mask.reshape(array.shape)


def parameters_left(model):
    """Parameters of a model without the zeros in its kernels."""
    zeros = sum(
        int(np.sum(keras.ops.convert_to_numpy(kernel) == 0))
        for kernel in kernels(model)
    )
    return model.count_params() - zeros


def sparsity_for(model, parameters):
    """Share of every kernel that is zero if so many parameters are left.

    Raises:
        ValueError: If all other parameters alone are more.
    """
    prunable = sum(int(np.prod(kernel.shape)) for kernel in kernels(model))
    others = model.count_params() - prunable
    if not others < parameters <= model.count_params():
        raise ValueError(
            f"Argument `parameters` must be above {others} and at most "
            f"{model.count_params()}. Received: parameters={parameters}"
        )
    return 1 - (parameters - others) / prunable


def polynomial(sparsity, steps):
    """The schedule of TensorFlow Model Optimization's guide for a run.

    Args:
        sparsity: float, at the end.
        steps: int, length of the run; pruning ends after 0.72 of it, as
            exploration does by default.

    Raises:
        ImportError: Without TensorFlow Model Optimization.
    """
    tfmot = import_tfmot("The contender `magnitude`")
    return tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=sparsity,
        begin_step=steps // 10,
        end_step=round(0.72 * steps),
        frequency=max(1, steps // 40),
    )
