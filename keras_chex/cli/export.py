"""`keras_chex export`: files that run without Keras."""

import dataclasses
import json
import os
import pathlib

import keras_chex
from keras_chex.cli.console import Outcome
from keras_chex.cli.files import read_arrays, read_model
from keras_chex.cli.options import add_command
from keras_chex.export.engines import size_of

EXAMPLE = """\
  $ keras_chex export small.keras -o small.tflite --quantize dynamic

  The ending of the output decides: .tflite, .onnx, or none for the folder of a
  SavedModel. What was written is run and compared with the model before it
  takes its place. Full 8-bit modes need `--data`, some hundred real examples.
"""


def add(commands):
    """Adds the command."""
    parser = add_command(
        commands,
        "export",
        run,
        "Write a model as TFLite, ONNX or SavedModel, and verify the file.",
        EXAMPLE,
    )
    parser.add_argument("model", help="a .keras or .h5 file, plain or wrapped")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        help="file.tflite, file.onnx, or a folder for a SavedModel",
    )
    parser.add_argument(
        "--quantize",
        metavar="MODE",
        help="of a .tflite file: float16, dynamic, int8 or int8_full "
        "(default: float32)",
    )
    parser.add_argument(
        "--data",
        metavar="FILE",
        help="real examples (.npy or .npz), to calibrate and to compare on",
    )


def run(args):
    """Loads the model and hands it to the exporter of the ending."""
    suffix = pathlib.Path(args.output).suffix
    if args.quantize is not None and suffix != ".tflite":
        raise ValueError(
            "Option `--quantize` is for '.tflite' files. Received: "
            f"--quantize={args.quantize} for '{args.output}'"
        )
    if suffix not in EXPORTERS:
        raise ValueError(
            "Option `--output` must end with '.tflite' or '.onnx', or have no "
            f"ending for a SavedModel. Received: '{args.output}'"
        )
    model = read_model(args.model)
    data = None if args.data is None else read_arrays(args.data)
    result = EXPORTERS[suffix](model, args.output, args.quantize, data)
    size = size_of(pathlib.Path(args.output))
    value = {"path": str(args.output), "bytes": size}
    text = f"written to {args.output}: {size:,} bytes"
    if dataclasses.is_dataclass(result):
        text = result.describe()
        # A report may name a path.
        told = json.dumps(dataclasses.asdict(result), default=os.fspath)
        value = json.loads(told) | value
    return Outcome(text, value)


def _tflite(model, path, quantize, data):
    return keras_chex.export_tflite(
        model, path, quantize=quantize, representative_data=data
    )


def _onnx(model, path, quantize, data):
    del quantize
    return keras_chex.export_onnx(model, path, representative_data=data)


def _saved_model(model, path, quantize, data):
    del quantize
    return keras_chex.export_saved_model(model, path, representative_data=data)


EXPORTERS = {".tflite": _tflite, ".onnx": _onnx, "": _saved_model}
