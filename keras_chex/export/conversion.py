"""Turns SavedModels into TFLite files, in floats or in 8-bit integers."""

import re

from keras_chex.export.quiet import no_word_of_litert, quiet_stderr

FULL_INTEGER = "int8_full"
CALIBRATED = ("int8", FULL_INTEGER)
# Operations that only bring numbers into another form.
FORMS = {"QUANTIZE", "DEQUANTIZE"}
# What the converter says of a recurrent layer where the batch size is open.
OPEN_BATCH = "requires element_shape to be static"


class ConversionError(RuntimeError):
    """The converter failed. A known batch size may be all that it needs."""


def convert(saved_model, quantize, calibration=None):
    """Returns the contents of a TFLite file.

    Args:
        saved_model: path of a SavedModel.
        quantize: see `export_tflite`.
        calibration: function that returns an iterator over dicts of arrays,
            on which the ranges of activations are measured; for the modes in
            `CALIBRATED`.

    Raises:
        ConversionError: If LiteRT lacks an operation, or the converter fails.
        RuntimeError: If LiteRT lacks an operation in integers.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize in CALIBRATED:
        converter.representative_dataset = calibration
    if quantize == FULL_INTEGER:
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    content = _converted(converter)
    if quantize == FULL_INTEGER:
        _check_integers(content)
    return content


def float_operations(content):
    """Names the operations of a TFLite file that compute in floats.

    Args:
        content: bytes of the file.

    Returns:
        Sorted list of LiteRT's names, such as `"CONV_3D"`.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    names = {
        number: name for name, number in vars(schema.BuiltinOperator).items()
    }
    floats = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
    found = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            outputs = [graph.tensors[i] for i in operator.outputs if i >= 0]
            if any(tensor.type in floats for tensor in outputs):
                # Old files have their number in the other field.
                number = max(code.builtinCode, code.deprecatedBuiltinCode)
                found.add(names[number])
    return sorted(found - FORMS)


def _converted(converter):
    from tensorflow.lite.python.convert_phase import ConverterError

    with quiet_stderr(), no_word_of_litert():
        try:
            return converter.convert()
        except ConverterError as error:
            failure = error
    told = str(failure)
    if OPEN_BATCH in told:
        raise ConversionError(
            "LiteRT runs the recurrent layers of this model with a fixed batch "
            "size only. Give its inputs one, `keras.Input(..., batch_size=1)`, "
            "or write a SavedModel with `export_saved_model`"
        ) from failure
    lacking = sorted(set(re.findall(r"'tf\.(\w+)' op is neither", told)))
    if lacking:
        raise ConversionError(
            f"LiteRT lacks operations of this model: {', '.join(lacking)}. "
            "Replace them, or write a SavedModel with `export_saved_model`"
        ) from failure
    raise ConversionError(
        f"The TFLite converter failed: {_first_error(told)}. Replace what it "
        "names, or write a SavedModel with `export_saved_model`"
    ) from failure


def _first_error(told):
    """What the converter minds, without where in its code that is.

    >>> _first_error("<unknown>:0: error: loc(fused['a']): 'tfl.prelu' op fell")
    "'tfl.prelu' op fell"
    """
    line = next((x for x in told.splitlines() if "error:" in x), told)
    operation = re.search(r"'tfl?\.\w+' op .*", line)
    return operation.group() if operation else line[:200]


def _check_integers(content):
    """Raises where operations stay in floats; the converter does not tell."""
    left = float_operations(content)
    if left:
        raise RuntimeError(
            "LiteRT cannot compute these operations of the model in integers: "
            f"{', '.join(left)}. Replace them, or choose quantize='int8', "
            "which leaves them in floats. Nothing was kept"
        )
