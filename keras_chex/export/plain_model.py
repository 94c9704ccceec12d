"""Which models can be exported, and what is written for a wrapped one."""

import contextlib

import keras

from keras_chex.graph.keras_nodes import all_layers

HALF_PRECISION = ("float16", "bfloat16")


def plain_model(model):
    """Returns the model to write: the stripped one where `model` is wrapped.

    Args:
        model: a built `keras.Model`, plain or wrapped.

    Returns:
        `model` itself, or `strip(model)`.

    Raises:
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If `model` has not been built.
        RuntimeError: If Keras does not run on TensorFlow.
    """
    check_exportable(model)
    from keras_chex.layers.wrapped_model import is_wrapped
    from keras_chex.surgery.strip import strip

    return strip(model) if is_wrapped(model) else model


def check_exportable(model):
    """Raises what `plain_model` raises for a model that cannot be written."""
    if not isinstance(model, keras.Model):
        raise TypeError(
            "Argument `model` must be a `keras.Model` of Keras 3. Received: "
            f"{type(model).__module__}.{type(model).__name__}"
        )
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Exporting needs Keras on its TensorFlow backend. Received: "
            f"backend {keras.backend.backend()!r}. Save the model with "
            "`model.save('model.keras')`, then load it with `compile=False` "
            "and export it in a process started with KERAS_BACKEND=tensorflow, "
            "where TensorFlow is installed (`pip install tensorflow`)"
        )
    if not model.built:
        raise ValueError(
            "Argument `model` must be built before it is exported. Received: "
            f"the unbuilt model {model.name!r}. Call it once on a batch of data"
        )


def compute_dtypes(model):
    """Names of the types that the layers of `model` compute in.

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> compute_dtypes(model)
    {'float32'}
    """
    return {layer.compute_dtype for layer in all_layers(model)}


@contextlib.contextmanager
def computing_in_float32(model):
    """Lets half-precision layers compute in float32 for a while.

    LiteRT's own kernels are float32; the variables of a `mixed_float16` or
    `mixed_bfloat16` model are so already.
    """
    policies = [
        (layer, layer.dtype_policy)
        for layer in all_layers(model)
        if layer.compute_dtype in HALF_PRECISION
    ]
    try:
        for layer, _ in policies:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy
