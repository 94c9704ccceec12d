"""Keras' private parts of training: optimizers' variables, several machines.

Keras 3.15 cannot `fit` under `MultiWorkerMirroredStrategy`, see
https://github.com/keras-team/keras/issues/20585; what a wrapped model needs to
do it nevertheless is here.
"""

import keras

# Where optimizers keep the moving averages of `use_ema=True`.
AVERAGES = "_model_variables_moving_average"
# Where they collect gradients with `gradient_accumulation_steps`.
ACCUMULATORS = "_accumulated_gradients"


def optimizers_of(optimizer):
    """An optimizer and those that it hands its work to."""
    if optimizer is None:
        return []
    inner = [
        getattr(optimizer, "inner_optimizer", None),
        *getattr(optimizer, "optimizers", ()),
    ]
    return [optimizer, *(o for one in inner for o in optimizers_of(one))]


def slots(optimizer, weight):
    """Variables of an optimizer with an element per element of a weight.

    Keras' optimizers keep lists that run along their trainable variables.

    Returns:
        `{attribute of the optimizer: variable}`.
    """
    lists = {
        name: value
        for name, value in vars(optimizer).items()
        if isinstance(value, (list, tuple))
    }
    trained = lists.get("_trainable_variables", [])
    places = [i for i, v in enumerate(trained) if v is weight]
    if not places:
        return {}
    found = {
        name: value[places[0]]
        for name, value in lists.items()
        if len(value) == len(trained)
    }
    return {
        name: slot
        for name, slot in found.items()
        if isinstance(slot, keras.Variable)
        and slot is not weight
        and tuple(slot.shape) == tuple(weight.shape)
    }


def has_workers(model):
    """Tells whether a TensorFlow model trains on several machines."""
    strategy = getattr(model, "_distribute_strategy", None)
    extended = getattr(strategy, "extended", None)
    return extended is not None and extended._in_multi_worker_mode()


def local_batch(model, iterator):
    """The first batch of an epoch, as the first device of this worker has it.

    Args:
        model: a model under a distribution strategy.
        iterator: Keras' iterator over the steps of an epoch.
    """
    _, _, batches = next(iter(iterator))
    local_results = model.distribute_strategy.experimental_local_results
    return keras.tree.map_structure(
        lambda x: local_results(x)[0], next(batches)
    )


def with_axis(model, logs):
    """Gives the numbers of a step an axis where several workers made them."""
    if not has_workers(model):
        return logs
    return keras.tree.map_structure(lambda x: keras.ops.reshape(x, (1,)), logs)
