"""Files on disk: SavedModel and TFLite, verified, and how fast they run."""

from .latency import Comparison as Comparison
from .latency import Latency as Latency
from .latency import benchmark as benchmark
from .latency import compare_latency as compare_latency
from .saved_model import export_saved_model as export_saved_model
from .tflite import export_tflite as export_tflite
