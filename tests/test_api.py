"""A snapshot of the public names: changing one is a decision, not a slip."""

import inspect
import subprocess
import sys
import types

import pytest

import keras_chex

# Functions and layers with the arguments they take, in order.
SIGNATURES = {
    "wrap": "model exclude",
    "compress": (
        "model flops params sparsity criterion allocation min_channels "
        "max_channels round_to exclude input_shape data blend floor seed "
        "latency latency_table budget_scope"
    ),
    "write_report": "folder model history scheduler tflite title",
    "strip": "model",
    "remove_channels": "model channels",
    "channel_groups": "model",
    "active_channels": "model",
    "set_active": "model active",
    "refresh": "model",
    "flops": "model input_shape",
    "summary": "model input_shape",
    "register_rule": "layer_classes",
    "export_saved_model": "model path representative_data",
    "export_tflite": "model path quantize representative_data metadata",
    "to_tf_keras": "model",
    "from_tf_keras": "model",
    "quantize_aware": "model exclude",
    "float_layers": "model",
    "export_qat_tflite": "model path representative_data metadata",
    "export_onnx": "model path opset_version representative_data",
    "measure_latency": "model threads input_shape rounds share",
    "benchmark": "path_or_model threads batch_size runs warmup memory",
    "compare_latency": "paths_or_models threads batch_size runs warmup memory",
    "ChexWrapper": "layer exclude kwargs",
    "ChexScheduler": (
        "flops params sparsity regrow interval end unit criterion sampling "
        "restore allocation min_channels round_to exclude seed verbose "
        "schedule probability blend floor input_shape max_channels initial "
        "latency latency_table budget_scope streams"
    ),
}
# What rules are written with, and what functions return.
TYPES = {
    "Axis",
    "Channels",
    "ChannelGroup",
    "LatencyTable",
    "Opaque",
    "Rule",
}
HEAVY = {
    "matplotlib",
    "sklearn",
    "tensorflow_datasets",
    "tensorflow_model_optimization",
    "ai_edge_litert",
    "onnx",
    "onnxruntime",
    "tf2onnx",
    "tf_keras",
}


def public_names():
    return {
        name
        for name, value in vars(keras_chex).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }


def test_public_names_are_those_of_the_snapshot():
    assert public_names() == SIGNATURES.keys() | TYPES


@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments_are_those_of_the_snapshot(name):
    parameters = inspect.signature(getattr(keras_chex, name)).parameters
    assert list(parameters) == SIGNATURES[name].split()


@pytest.mark.parametrize("name", sorted(SIGNATURES.keys() | TYPES))
def test_public_names_are_documented(name):
    text = inspect.getdoc(getattr(keras_chex, name))
    assert text.splitlines()[0].endswith((".", ":"))
    for argument in SIGNATURES.get(name, "").split():
        assert f"{argument}:" in text or argument == "kwargs"


def test_public_names_are_the_only_names_of_a_thing():
    values = [getattr(keras_chex, name) for name in public_names()]
    assert len({id(value) for value in values}) == len(values)


def test_import_loads_no_heavy_library_and_says_nothing():
    script = (
        "import sys, keras; before = set(sys.modules); import keras_chex; "
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert "keras_chex" in loaded
    assert not HEAVY & set(loaded)
