"""Writes ONNX files that are known to compute what the model computes."""

import contextlib
import importlib.util
import io

import keras

from keras_chex.export.plain_model import computing_in_float32
from keras_chex.export.quiet import quiet_stderr
from keras_chex.export.staging import staged_file
from keras_chex.export.verification import (
    check_same_outputs,
    full_float32,
    input_batches,
    named_outputs,
)

TOLERANCE = 1e-4
_NEEDED = {
    "tensorflow": ("onnx", "onnxruntime", "tf2onnx"),
    "torch": ("onnx", "onnxruntime", "onnxscript"),
    "jax": ("onnx", "onnxruntime", "tf2onnx", "tensorflow"),
}
