"""Quantisation-aware training: a network that feels int8 while it is tuned.

TensorFlow Model Optimization (TFMOT) does it, for `tf_keras` models. It refuses
a network with one layer that it does not know; here such a layer keeps its
float arithmetic, its output is quantized, and its name is told.
"""

import contextlib
import io
import pathlib
import tempfile

import numpy as np
from absl import logging

from keras_chex.export.litert import open_interpreter, run_interpreter
from keras_chex.export.quiet import quiet_stderr
from keras_chex.export.report import (
    SUFFIX,
    check_metadata,
    metadata_json,
    report_of,
)
from keras_chex.export.saved_model import load_saved_model
from keras_chex.export.staging import staged_pair, write_staged
from keras_chex.export.tf_keras_model import convert_to_tf_keras, plain_keras_3
from keras_chex.export.tfmot import import_tfmot
from keras_chex.export.verification import (
    Differences,
    input_batches,
    named_outputs,
)
from keras_chex.surgery.removal import remove_channels

# How far outputs of the file may be from those of the model, as a share of the
# largest. The model rounds as the file does, so that most differences are of
# one step of 1/255; steps add up over the layers.
TOLERANCE = 0.2
MODE = "qat"
# Activations that TFMOT quantizes inside another layer, and on their own.
_INSIDE = ("linear", "relu", "sigmoid", "softmax", "tanh")
_ALONE = (*_INSIDE, "silu", "swish")
_FOLDED_INTO = ("Conv2D", "DepthwiseConv2D", "Dense")
# LiteRT's kernels want one scale for both ends; TFMOT would measure two.
_ONE_SCALE = ("AveragePooling1D", "AveragePooling2D", "UpSampling2D")
# TFMOT does not list them; with quantized ends LiteRT runs them in int8.
_INTEGER_BY_THEIR_ENDS = ("Maximum", "Minimum", "Multiply", "Subtract")


def quantize_aware(model, exclude=()):
    """Makes a `tf_keras` model that trains with the rounding of int8.

    `compile` and `fit` it with `tf_keras` for a few epochs at a small learning
    rate: besides tuning the weights this measures the ranges of all
    activations, without which the model is of no use. Then write it with
    `export_qat_tflite`. Nested models are flattened. Layers that stay float32
    are named in a warning of `absl.logging`; `float_layers` lists them.

    Args:
        model: built functional or Sequential Keras 3 model. A wrapped one is
            stripped first.
        exclude: list of names of layers that stay float32.

    Returns:
        A `tf_keras.Model`, not compiled, with layers of TFMOT.

    Raises:
        ImportError: If `tf_keras` or TFMOT is not installed.
        TypeError: If `model` is not a Keras 3 model.
        ValueError: If `exclude` names no layer, a layer is called several
            times, or `to_tf_keras` cannot convert `model`.

    Example:

    ```python
    tuned = keras_chex.quantize_aware(keras_chex.strip(model))
    tuned.compile("adam", "sparse_categorical_crossentropy")
    tuned.fit(images, labels, epochs=3)
    keras_chex.export_qat_tflite(tuned, "model.tflite")
    ```
    """
    tfmot = import_tfmot("Quantisation-aware training")
    model = plain_keras_3(model)
    flat = remove_channels(model, {})
    legacy = convert_to_tf_keras(flat, _INSIDE)
    _require_supported(legacy, exclude)
    annotated = _annotated(legacy, exclude, tfmot)
    with tfmot.quantization.keras.quantize_scope():
        tuned = tfmot.quantization.keras.quantize_apply(annotated)
    kept = float_layers(tuned)
    if kept:
        logging.warning("Layers that stay float32: %s", ", ".join(kept))
    return tuned


def float_layers(model):
    """Names the layers of a quantisation-aware model that compute in float32.

    Args:
        model: what `quantize_aware` returned.

    Returns:
        Tuple of str, names as in the Keras 3 model.

    Raises:
        TypeError: If `model` is no quantisation-aware `tf_keras` model.

    Example:

    ```python
    keras_chex.float_layers(keras_chex.quantize_aware(model))
    ```
    """
    _require_quantized(model)
    found = []
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("InputLayer", "QuantizeLayer"):
            continue
        if kind != "QuantizeWrapperV2":
            found.append(layer.name)
            continue
        config = type(layer.quantize_config).__name__
        if config == "OutputOnlyConfig" or (
            config == "Default8BitOutputQuantizeConfig"
            and not _is_integer(layer)
        ):
            found.append(layer.layer.name)
    return tuple(found)


def export_qat_tflite(model, path, representative_data=None, metadata=None):
    """Writes a quantisation-aware model as an int8 `.tflite` file.

    Weights and arithmetic are int8, inputs and outputs float32. The file is
    run, on batches of several sizes, and compared with the model before it is
    moved to `path`. A JSON file beside it says what was found.

    Args:
        model: what `quantize_aware` returned, trained.
        path: `str` or `os.PathLike`, ending in `.tflite`.
        representative_data: real examples on which to compare, as for
            `export_tflite`. `None` compares on random numbers.
        metadata: dict of what else the JSON file shall hold.

    Returns:
        An `ExportReport`.

    Raises:
        TypeError: If `model` is no quantisation-aware `tf_keras` model.
        ValueError: If `path` cannot be written, or `representative_data` does
            not fit.
        RuntimeError: If the written file does not compute what the model
            computes, or nothing in it is int8.

    Example:

    ```python
    keras_chex.export_qat_tflite(tuned, "model.tflite").bytes
    ```
    """
    _require_quantized(model)
    check_metadata(metadata)
    with (
        staged_pair(path, ".tflite", SUFFIX) as (staged, staged_metadata),
        tempfile.TemporaryDirectory() as folder,
    ):
        saved_model = pathlib.Path(folder) / "saved_model"
        # `export` lists the endpoints on stdout.
        with quiet_stderr(), contextlib.redirect_stdout(io.StringIO()):
            model.export(str(saved_model))
        _, specs = load_saved_model(saved_model)
        batches = input_batches(specs, representative_data)
        content = _convert(saved_model)
        write_staged(staged, content)
        found = _differences(model, specs, batches, staged)
        found.check(TOLERANCE)
        real = representative_data is not None
        report = report_of(path, MODE, content, found, real)
        entries = {
            **(metadata or {}),
            "float_layers": list(float_layers(model)),
        }
        text = metadata_json(report, model, TOLERANCE, entries)
        write_staged(staged_metadata, text.encode())
    return report


def _default_8bit():
    from tensorflow_model_optimization.python.core.quantization.keras import (
        default_8bit,
    )

    return default_8bit


def _is_known(layer):
    """Whether TFMOT quantizes what a layer computes."""
    registry = _default_8bit().default_8bit_quantize_registry
    if type(layer).__name__ == "Activation":
        return getattr(layer.activation, "__name__", None) in _ALONE
    return (
        registry.Default8BitQuantizeRegistry().supports(layer)
        or type(layer).__name__ == "SeparableConv2D"
    )


def _require_quantized(model):
    wrappers = [
        layer
        for layer in getattr(model, "layers", ())
        if type(layer).__name__ == "QuantizeWrapperV2"
    ]
    if not wrappers:
        raise TypeError(
            "Argument `model` must be a model that `quantize_aware` made. "
            f"Received: {type(model).__module__}.{type(model).__name__} "
            "without layers of TFMOT"
        )


def _require_supported(legacy, exclude):
    names = [layer.name for layer in legacy.layers]
    unknown = [name for name in exclude if name not in names]
    if isinstance(exclude, str) or unknown:
        raise ValueError(
            "Argument `exclude` must be a list of names of layers. Received: "
            f"exclude={exclude!r} for a model with the layers {names}"
        )
    shared = [x.name for x in legacy.layers if len(x._inbound_nodes) > 1]
    if shared:
        raise ValueError(
            "Argument `model` must call every layer once: TFMOT quantizes no "
            f"shared ones. Received: {shared}, called several times. Give each "
            "call a layer of its own."
        )


def _annotated(legacy, exclude, tfmot):
    import tf_keras

    annotate = tfmot.quantization.keras.quantize_annotate_layer

    # TFMOT writes it with lambdas, which Keras then refuses to load.
    untouched = tf_keras.layers.SeparableConv1D
    configs = _default_8bit().default_8bit_quantize_configs

    def chosen(layer):
        if layer.name in exclude or isinstance(layer, untouched):
            return layer
        if type(layer).__name__ in _ONE_SCALE:
            return annotate(layer, configs.NoOpQuantizeConfig())
        if _is_folded(layer) or _is_known(layer):
            return annotate(layer)
        return annotate(layer, configs.Default8BitOutputQuantizeConfig())

    return tf_keras.models.clone_model(legacy, clone_function=chosen)


def _is_folded(layer):
    """Whether TFMOT folds a normalisation into the layer before it."""
    if type(layer).__name__ != "BatchNormalization":
        return False
    before = layer._inbound_nodes[0].inbound_layers
    return (
        type(before).__name__ in _FOLDED_INTO
        and before.activation.__name__ == "linear"
        and len(before._outbound_nodes) == 1
    )


def _is_integer(wrapper):
    """Whether LiteRT computes in int8 what has only its output quantized."""
    known = type(wrapper.layer).__name__ in _INTEGER_BY_THEIR_ENDS
    return known or _is_known(wrapper.layer) or _was_folded(wrapper)


def _was_folded(wrapper):
    """Whether the layer before leaves its output to this one."""
    before = wrapper._inbound_nodes[0].inbound_layers
    activation = getattr(getattr(before, "layer", None), "activation", None)
    return (
        "NoOp" in type(getattr(activation, "activation", activation)).__name__
    )


def _convert(saved_model):
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with quiet_stderr():
        try:
            return converter.convert()
        except ConverterError as error:
            failure = error
    reason = str(failure).splitlines()[0].rsplit("error: ", 1)[-1]
    raise RuntimeError(
        "The TFLite converter refuses the quantized model. Exclude the layer "
        f"that it names from `quantize_aware`: {reason}"
    ) from failure


def _differences(model, specs, batches, staged):
    import tensorflow as tf

    names = [spec.name for spec in tf.nest.flatten(specs)]
    interpreter = open_interpreter(staged)
    found = Differences("int8 file")
    for batch in batches:
        expected = named_outputs(model(*batch, training=False))
        inputs = dict(zip(names, tf.nest.flatten(batch), strict=True))
        found.add(expected, run_interpreter(interpreter, inputs))
    details = interpreter.get_tensor_details()
    if not any(detail["dtype"] is np.int8 for detail in details):
        raise RuntimeError(
            "The converter left all tensors of the file float32. Nothing was "
            "kept. Train the model for an epoch before it is exported."
        )
    return found
