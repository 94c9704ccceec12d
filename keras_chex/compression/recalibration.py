"""Measures the statistics of BatchNormalization layers anew, on examples."""

import contextlib

import keras
import numpy as np

from keras_chex.graph.keras_nodes import all_layers, read_variable

BATCH_SIZE = 128


class Moments:
    """Mean and variance of what a layer has seen, over batches, exactly."""

    def __init__(self):
        self._weight = 0.0
        self._mean = 0.0
        self._square = 0.0

    def add(self, mean, variance, weight):
        """Takes in the moments of a batch of `weight` examples."""
        mean = np.asarray(mean, np.float64)
        self._weight += weight
        self._mean += weight * mean
        self._square += weight * (np.asarray(variance, np.float64) + mean**2)

    def result(self):
        """Mean and variance over all batches; `None` where there was none.

        >>> moments = Moments()
        >>> moments.add(mean=[0.0], variance=[1.0], weight=2)
        >>> moments.add(mean=[3.0], variance=[1.0], weight=1)
        >>> moments.result()
        (array([1.]), array([3.]))
        """
        if not self._weight:
            return None
        mean = self._mean / self._weight
        return mean, np.maximum(self._square / self._weight - mean**2, 0.0)


def check_calibration(model):
    """Raises where a model has nothing that could be measured anew."""
    if not _normalizations(model):
        raise ValueError(
            "Argument `data` is for the statistics of BatchNormalization "
            f"layers. Received: data for '{model.name}', which has none. Leave "
            "it out."
        )


def recalibrate(model, data):
    """Replaces the statistics of BatchNormalization layers by those of `data`.

    Runs the model in training mode and averages over batches with equal weight
    for every example; `momentum` has no part in it. Within a batch, every
    layer sees what the layers before it make of the statistics of that batch,
    as in training. Nothing but the statistics changes.

    Args:
        model: a built functional or Sequential model.
        data: see `compress`.

    Raises:
        ValueError: If `data` holds no example, or not what the model takes.
    """
    layers = _normalizations(model)
    seen = {id(layer): Moments() for layer in layers}
    others = _other_state(model, layers)
    with contextlib.ExitStack() as stack:
        weight = [0]
        for layer in layers:
            moments = seen[id(layer)]
            stack.enter_context(_recording(layer, moments, weight))
        for batch in _batches(data):
            weight[0] = len(keras.tree.flatten(batch)[0])
            _run(model, batch)
    for variable, value in others:
        variable.assign(value)
    if not weight[0]:
        raise ValueError(
            "Argument `data` must hold at least one example. Received: none"
        )
    for layer in layers:
        found = seen[id(layer)].result()
        if found is not None:
            layer.moving_mean.assign(found[0])
            layer.moving_variance.assign(found[1])


def _normalizations(model):
    return [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]


def _other_state(model, layers):
    """Whatever else a pass in training mode may change: seeds, counters."""
    statistics = {
        id(variable)
        for layer in layers
        for variable in (layer.moving_mean, layer.moving_variance)
    }
    return [
        (variable, np.copy(read_variable(variable)))
        for variable in model.variables
        if not variable.trainable and id(variable) not in statistics
    ]


@contextlib.contextmanager
def _recording(layer, moments, weight):
    """Lets a layer report the moments of every batch, call by call.

    Without momentum, its moving statistics after a call are those of the batch.
    A frozen layer is thawed meanwhile: it would use the old ones instead.
    """
    call, momentum, trainable = layer.call, layer.momentum, layer.trainable
    before = (
        read_variable(layer.moving_mean),
        read_variable(layer.moving_variance),
    )

    def recorded(*args, training=None, **kwargs):
        outputs = call(*args, training=training, **kwargs)
        if training:
            moments.add(
                read_variable(layer.moving_mean),
                read_variable(layer.moving_variance),
                weight[0],
            )
        return outputs

    layer.momentum, layer.trainable, layer.call = 0.0, True, recorded
    try:
        yield
    finally:
        layer.momentum, layer.trainable = momentum, trainable
        del layer.call
        layer.moving_mean.assign(before[0])
        layer.moving_variance.assign(before[1])


def _batches(data):
    """Yields batches of inputs."""
    leaves = keras.tree.flatten(data)
    if not all(hasattr(leaf, "shape") for leaf in leaves):
        # A data set is one leaf.
        for batch in data:
            yield keras.utils.unpack_x_y_sample_weight(batch)[0]
        return
    count = min((len(leaf) for leaf in leaves), default=0)
    for start in range(0, count, BATCH_SIZE):
        batch = slice(start, start + BATCH_SIZE)
        parts = [leaf[batch] for leaf in leaves]
        yield keras.tree.pack_sequence_as(data, parts)


def _run(model, batch):
    try:
        model(batch, training=True)
    except (ValueError, TypeError) as error:
        shapes = keras.tree.map_structure(np.shape, batch)
        raise ValueError(
            f"Argument `data` must hold inputs of '{model.name}', of shape "
            f"{model.input_shape}. Received: a batch of shape {shapes}"
        ) from error
