"""Writes TFLite files that are known to compute what the model computes."""

import pathlib
import tempfile

from keras_chex.export.conversion import CALIBRATED, ConversionError, convert
from keras_chex.export.examples import (
    drawn_batches,
    example_batches,
    fixed_batch_size,
    matching_examples,
    single_examples,
)
from keras_chex.export.litert import open_interpreter, run_interpreter
from keras_chex.export.plain_model import computing_in_float32, plain_model
from keras_chex.export.report import (
    SUFFIX,
    check_metadata,
    metadata_json,
    report_of,
)
from keras_chex.export.saved_model import (
    load_saved_model,
    reference_outputs,
    write_saved_model,
)
from keras_chex.export.staging import staged_pair, write_staged
from keras_chex.export.verification import Differences
from keras_chex.graph.keras_nodes import functional_graph

# How far outputs may be from those of the Keras model, as a share of the
# largest one. For quantized files this finds what is broken, not what is
# inaccurate: a sound 8-bit MobileNetV2 with random weights is off by 0.21.
TOLERANCES = {
    None: 1e-4,
    "float16": 1e-1,
    "dynamic": 5e-1,
    "int8": 5e-1,
    "int8_full": 5e-1,
}


def export_tflite(
    model,
    path,
    quantize=None,
    representative_data=None,
    metadata=None,
):
    """Writes `model` as a `.tflite` file and verifies what it wrote.

    A wrapped model is stripped first; a mixed-precision model is written with
    float32 computations. The file keeps the free batch size of the model: an
    interpreter starts with batch 1, and `resize_tensor_input` or a signature
    runner takes any other. Recurrent layers and some decoders can be converted
    for a fixed batch size only: their file takes one example at a time, and
    the report says so (`batch_size`). Before the file is moved to `path` it is
    run, on batches of several sizes, and its outputs are compared with those
    of the model. A second file, `path` with `.json` appended, says what was
    found, and the model's FLOPs, parameters and channels.

    Args:
        model: built `keras.Model`, plain or wrapped, with one or more inputs,
            whose outputs are a tensor, a list or a dict of tensors.
        path: `str` or `os.PathLike` ending with `.tflite`. A file there is
            replaced, once the new one is known to be right.
        quantize: `None` keeps float32, and outputs equal to 1e-4 of the
            largest one. `"float16"` stores weights in half the bytes and
            computes in float32. `"dynamic"` stores the weights of larger
            layers in 8 bits and computes these in 8 bits where LiteRT can.
            `"int8"` stores all weights and activations in 8 bits; inputs and
            outputs stay float32, and so do operations that LiteRT cannot
            compute in integers. `"int8_full"` takes and gives 8-bit integers
            too and is refused if one operation cannot. Quantized files are
            refused only where they are grossly wrong (0.1 of the largest
            output for `"float16"`, 0.5 for 8 bits): measure their accuracy on
            your own test data.
        representative_data: array, or list or dict of arrays as the model
            takes them, batch axis first, or an iterable of batches as for
            `fit` (a `tf.data.Dataset`, a generator): up to 512 real examples
            on which to compare. The 8-bit activations get their ranges from
            them, for which `"int8"` and `"int8_full"` need some hundred from
            the training set. `None` compares on random numbers.
        metadata: dict of what else the JSON file shall hold, such as
            `{"budget": {"flops": 0.5}}`.

    Returns:
        An `ExportReport`: the path, the size, the differences found.

    Raises:
        TypeError: If `model` is not a Keras 3 model or `path` is not a path.
        ValueError: If `model` is not built, `path` cannot be written,
            `quantize` is unknown, or `representative_data` is missing or does
            not fit.
        OSError: If the disk is full.
        RuntimeError: If Keras does not run on TensorFlow, LiteRT lacks an
            operation (3-D pooling, for one), or the written file does not
            compute what the model computes.

    Example:

    ```python
    report = keras_chex.export_tflite(
        model, "resnet20.tflite", "int8", representative_data=images[:300]
    )
    print(report.describe())
    ```
    """
    _check_quantize(quantize, representative_data)
    check_metadata(metadata)
    plain = plain_model(model)
    with (
        staged_pair(path, ".tflite", SUFFIX) as (staged, staged_metadata),
        tempfile.TemporaryDirectory() as folder,
        computing_in_float32(plain),
    ):
        content, specs, examples = _contents(
            plain, pathlib.Path(folder), quantize, representative_data
        )
        write_staged(staged, content)
        found = _differences(plain, specs, _batches(specs, examples), staged)
        found.check(TOLERANCES[quantize])
        report = report_of(
            path,
            quantize or "float32",
            content,
            found,
            examples is not None,
            fixed_batch_size(specs),
        )
        text = metadata_json(report, model, TOLERANCES[quantize], metadata)
        write_staged(staged_metadata, text.encode())
    return report


def _check_quantize(quantize, representative_data):
    if quantize not in TOLERANCES:
        raise ValueError(
            f"Argument `quantize` must be one of {list(TOLERANCES)}. "
            f"Received: quantize={quantize!r}"
        )
    if quantize in CALIBRATED and representative_data is None:
        raise ValueError(
            f"quantize={quantize!r} measures the ranges of activations on "
            "real inputs. Received: representative_data=None; give some "
            "hundred examples of the training set as `representative_data`"
        )


def _contents(model, folder, quantize, representative_data):
    """Converts a model, for one example at a time where it has to be.

    Returns:
        `(contents of the file, specs of the arguments, examples or None)`.
    """
    for batch_size in (None, 1):
        saved_model = folder / f"batch_{batch_size}"
        write_saved_model(model, saved_model, batch_size)
        _, specs = load_saved_model(saved_model)
        examples = None
        if representative_data is not None:
            examples = matching_examples(specs, representative_data)
        try:
            content = convert(
                saved_model,
                quantize,
                lambda specs=specs, examples=examples: single_examples(
                    specs, examples
                ),
            )
        except ConversionError:
            # Sizes that follow from an open batch size may be lost on the way.
            is_functional = functional_graph(model) is not None
            if batch_size or fixed_batch_size(specs) or not is_functional:
                raise
        else:
            return content, specs, examples


def _batches(specs, examples):
    if examples is None:
        return drawn_batches(specs)
    return example_batches(specs, examples)


def _differences(model, specs, batches, file):
    interpreter = open_interpreter(file)
    found = Differences("TFLite file")
    for batch in batches:
        inputs, expected = reference_outputs(model, specs, batch)
        found.add(expected, run_interpreter(interpreter, inputs))
    return found
