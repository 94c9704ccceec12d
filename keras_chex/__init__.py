"""Prunes and regrows channels of Keras models while they train (CHEX)."""

# First: it decides whether TensorFlow is heard while it is imported.
import keras_chex.cli.startup as _startup  # noqa: F401
from keras_chex.analysis.summary import flops as flops
from keras_chex.analysis.summary import summary as summary
from keras_chex.callbacks.chex_scheduler import ChexScheduler as ChexScheduler
from keras_chex.compression.compress import compress as compress
from keras_chex.export.latency import benchmark as benchmark
from keras_chex.export.latency import compare_latency as compare_latency
from keras_chex.export.latency_measurement import (
    measure_latency as measure_latency,
)
from keras_chex.export.latency_table import LatencyTable as LatencyTable
from keras_chex.export.onnx_model import export_onnx as export_onnx
from keras_chex.export.quantization_training import (
    export_qat_tflite as export_qat_tflite,
)
from keras_chex.export.quantization_training import (
    float_layers as float_layers,
)
from keras_chex.export.quantization_training import (
    quantize_aware as quantize_aware,
)
from keras_chex.export.saved_model import (
    export_saved_model as export_saved_model,
)
from keras_chex.export.tf_keras_model import from_tf_keras as from_tf_keras
from keras_chex.export.tf_keras_model import to_tf_keras as to_tf_keras
from keras_chex.export.tflite import export_tflite as export_tflite
from keras_chex.graph.channel_ids import Channels as Channels
from keras_chex.graph.channel_ids import Opaque as Opaque
from keras_chex.graph.groups import ChannelGroup as ChannelGroup
from keras_chex.graph.rule import Axis as Axis
from keras_chex.graph.rule import Rule as Rule
from keras_chex.graph.rule import register_rule as register_rule
from keras_chex.layers.active import active_channels as active_channels
from keras_chex.layers.active import channel_groups as channel_groups
from keras_chex.layers.active import set_active as set_active
from keras_chex.layers.chex_wrapper import ChexWrapper as ChexWrapper
from keras_chex.layers.wrapped_model import refresh as refresh
from keras_chex.report.write_report import write_report as write_report
from keras_chex.surgery.removal import remove_channels as remove_channels
from keras_chex.surgery.strip import strip as strip
from keras_chex.surgery.wrap import wrap as wrap

__version__ = "0.1.0"
