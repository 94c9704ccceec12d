"""`to_tf_keras` and `from_tf_keras`: one network in Keras 3 and in Keras 2."""

import keras
import numpy as np

from keras_chex.export.tf_keras_activations import (
    SHARED,
    activation_layers,
    activation_name,
)
from keras_chex.export.tf_keras_graph import graph_of, new_inputs
from keras_chex.export.tf_keras_layers import (
    both_sides,
    converted_layer,
    copy_weights,
)
from keras_chex.export.tf_keras_operations import Translator
from keras_chex.surgery.verification import (
    TOLERANCE,
    largest_difference,
    sample_inputs,
)

FLOAT32_TOLERANCE = 1e-5


def to_tf_keras(model):
    """Makes the `tf_keras` (Keras 2) model that computes what `model` computes.

    Layers keep their names, weights, regularizers and `trainable`; raw
    operations and activations that Keras 2 lacks become layers. Nested models
    stay nested. Outputs of both are compared before the new model is returned.

    Args:
        model: built functional or Sequential Keras 3 model. A wrapped one is
            stripped first.

    Returns:
        A functional `tf_keras.Model`, not compiled.

    Raises:
        ImportError: If `tf_keras` is not installed.
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If `model` is not built or no plain graph of layers, or has
            a layer, argument or operation without equivalent in Keras 2.
        RuntimeError: If the outputs of both models differ.

    Example:

    ```python
    legacy = keras_chex.to_tf_keras(keras_chex.strip(model))
    ```
    """
    return convert_to_tf_keras(plain_keras_3(model))


def convert_to_tf_keras(model, inside=SHARED):
    """Converts a plain model; `inside` are activations that layers may hold.

    Others become layers of their own, which some tools ask for.
    """
    source, target = both_sides()
    converted = _Converter(source, target, inside).model(model)
    _verify(model, converted, model)
    return converted


def from_tf_keras(model):
    """Makes the Keras 3 model that computes what a `tf_keras` model computes.

    The way into this package for a network that was trained in Keras 2.

    Args:
        model: built functional or Sequential `tf_keras.Model`.

    Returns:
        A functional `keras.Model`, not compiled.

    Raises:
        ImportError: If `tf_keras` is not installed.
        TypeError: If `model` is not a `tf_keras` model.
        ValueError: If `model` is not built or no plain graph of layers, or has
            a layer or argument without equivalent in Keras 3.
        RuntimeError: If the outputs of both models differ.

    Example:

    ```python
    model = keras_chex.wrap(keras_chex.from_tf_keras(legacy))
    ```
    """
    target, source = both_sides()
    if not isinstance(model, source.library.Model):
        raise TypeError(
            "Argument `model` must be a `tf_keras.Model`. Received: "
            f"{type(model).__module__}.{type(model).__name__}"
        )
    converted = _Converter(source, target, SHARED).model(model)
    _verify(model, converted, converted)
    return converted


def plain_keras_3(model):
    """Returns the model to convert: the stripped one of a wrapped model.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Argument `model` must be a `keras.Model` of Keras 3. Received: "
            f"{type(model).__module__}.{type(model).__name__}"
        )
    from keras_chex.layers.wrapped_model import is_wrapped
    from keras_chex.surgery.strip import strip

    return strip(model) if is_wrapped(model) else model


class _Converter:
    """Calls, in the other library, layers as they were called in the first."""

    def __init__(self, source, target, inside):
        self.inside = inside
        self.source = source
        self.target = target
        self.made = {}
        self.names = set()
        self.translator = Translator(target, self.unique)

    def unique(self, name):
        """A name that no layer of the new model has yet."""
        free, number = name, 1
        while free in self.names:
            free, number = f"{name}_{number}", number + 1
        self.names.add(free)
        return free

    def model(self, model):
        """Converts a model, its weights included."""
        graph = graph_of(model, self.source)
        # Made-up names must not take those of layers that come later.
        names = {call.operation.name for call in graph.calls}
        before, self.names = self.names, self.names | names
        tensors = new_inputs(graph, self.target)
        for call in graph.calls:
            args, kwargs = call.fill_in(tensors)
            outputs = self.call(call.operation, args, kwargs)
            outputs = keras.tree.flatten(outputs)
            tensors.update(zip(map(id, call.outputs), outputs, strict=True))
        self.names = before
        inputs, outputs = (
            keras.tree.map_structure(lambda t: tensors[id(t)], structure)
            for structure in (graph.inputs, graph.outputs)
        )
        return self.target.library.Model(inputs, outputs, name=model.name)

    def call(self, operation, args, kwargs):
        """Applies what an operation becomes, made at its first call."""
        if not isinstance(operation, self.source.library.layers.Layer):
            self.names.discard(operation.name)
            return self.translator(operation, args, kwargs)
        kwargs = {k: v for k, v in kwargs.items() if v is not None}
        if id(operation) not in self.made:
            self.made[id(operation)] = self.new(operation)
        new, after = self.made[id(operation)]
        is_first = not new.built
        outputs = new(*args, **kwargs)
        if is_first and not isinstance(operation, self.source.library.Model):
            copy_weights(operation, new)
        return after(outputs) if after else outputs

    def new(self, layer):
        """The new layer, and what is applied to its output or None."""
        if isinstance(layer, self.source.library.Model):
            return self.model(layer), None
        alone = isinstance(layer, self.source.library.layers.Activation)
        inside = SHARED if alone else self.inside
        new = converted_layer(layer, self.source, self.target, inside)
        new.trainable = layer.trainable
        if not hasattr(layer, "activation"):
            return new, None
        name = activation_name(layer, self.source)
        if name in inside:
            return new, None
        return new, activation_layers(
            name,
            self.target,
            f"{layer.name}_{name}",
            self.unique,
            f"layer '{layer.name}'",
        )


def _verify(model, converted, keras_3):
    inputs = sample_inputs(keras_3)
    difference = largest_difference(
        *(
            keras.tree.map_structure(np.asarray, each(inputs, training=False))
            for each in (model, converted)
        )
    )
    limit = max(
        TOLERANCE.get(layer.compute_dtype, FLOAT32_TOLERANCE)
        for layer in keras_3.layers
    )
    if not difference <= limit:
        raise RuntimeError(
            f"The converted model of '{model.name}' differs from it by "
            f"{difference:.1e} of the largest output, more than {limit:.0e}. "
            "Please report the model's `summary()`."
        )
