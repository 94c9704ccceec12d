"""`strip`: the plain, physically smaller model behind a wrapped one."""

from keras_chex.graph.channels import read_channels
from keras_chex.graph.keras_nodes import sync_state
from keras_chex.graph.selection import Selection
from keras_chex.layers.active import read_active, require_wrapped
from keras_chex.surgery.narrowing import narrow_model
from keras_chex.surgery.verification import verify_equal


def strip(model):
    """Cuts a wrapped model down to its active channels.

    The result holds no object of this package. It is run beside `model` on
    random input before it is returned.

    Args:
        model: a model with `ChexWrapper` layers.

    Returns:
        A new functional `keras.Model`, not compiled, with nested models
        flattened; it computes exactly what `model` computes in inference.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If `model` is not built or has no `ChexWrapper` layer.
        RuntimeError: If the outputs of both models differ.

    Example:

    >>> import keras, keras_chex
    >>> model = keras_chex.wrap(keras.Sequential([
    ...     keras.Input((4,)),
    ...     keras.layers.Dense(6, name="hidden"),
    ...     keras.layers.Dense(2),
    ... ]))
    >>> keras_chex.set_active(model, {"hidden": [0, 2, 5]})
    >>> strip(model).get_layer("hidden").units
    3
    """
    graph = read_channels(model)
    require_wrapped(model)
    sync_state(model)
    try:
        return _stripped(model, graph)
    except RuntimeError:
        # That has called the model. Code may give its layers values in every
        # call, as masked convolutions do; now they have them.
        return _stripped(model, graph)


def _stripped(model, graph):
    stripped = narrow_model(model, Selection(graph, read_active(graph)))
    verify_equal(model, stripped, graph.program.by_name)
    return stripped
