"""Latencies: numbers that follow the work, and refusals."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_chex.export.latency import Comparison, benchmark, compare_latency
from keras_chex.export.saved_model import export_saved_model
from keras_chex.export.tflite import export_tflite
from tests.export import models

pytestmark = pytest.mark.tensorflow


def conv_model(filters, name):
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(filters, 3, activation="relu"),
            keras.layers.Conv2D(filters, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
        ],
        name=name,
    )


def test_smaller_network_is_faster_and_smaller():
    small, large = conv_model(8, "small"), conv_model(64, "large")
    comparison = compare_latency([small, large], runs=20, memory=False)
    assert [result.name for result in comparison.results] == ["small", "large"]
    assert comparison.ratios[0] == 1.0
    assert comparison.ratios[1] > 2.0
    assert comparison.results[0].bytes < comparison.results[1].bytes


def test_larger_batches_take_longer(tmp_path):
    path = export_tflite(conv_model(32, "conv"), tmp_path / "conv.tflite")
    one = benchmark(path, runs=20, memory=False)
    sixteen = benchmark(path, batch_size=16, runs=20, memory=False)
    assert sixteen.median_ms > 4 * one.median_ms
    assert sixteen.batch_size == 16


def test_result_says_how_it_was_measured(tmp_path):
    path = export_tflite(models.image_model(), tmp_path / "model.tflite")
    result = benchmark(str(path), threads=2, runs=15, warmup=1)
    assert result.name == "model.tflite"
    assert result.bytes == path.bytes
    assert (result.threads, result.batch_size, result.runs) == (2, 1, 15)
    assert 0 < result.median_ms <= result.p90_ms
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.runs = 3


@pytest.mark.parametrize(
    "name",
    [
        "two_inputs_two_outputs",
        "embedding_model",
        "fixed_batch_model",
        "free_size_model",
    ],
)
def test_every_structure_of_inputs_is_timed(name):
    assert (
        benchmark(
            models.MODELS[name](), runs=1, warmup=1, memory=False
        ).median_ms
        > 0
    )


def test_table_has_one_line_per_file():
    first = benchmark(models.image_model(), runs=2, warmup=1, memory=False)
    second = dataclasses.replace(first, median_ms=2 * first.median_ms)
    lines = str(Comparison((first, second))).splitlines()
    assert len(lines) == 3
    assert lines[1].split()[5] == "1.00"
    assert lines[2].split()[5] == "2.00"


def test_unknown_file_is_refused(tmp_path):
    with pytest.raises(
        ValueError,
        match="must be an existing '.tflite' or '.keras' file, the folder of a "
        "SavedModel, or a Keras model. Received: ",
    ):
        benchmark(tmp_path / "missing.tflite")


@pytest.mark.parametrize("name", ["broken.tflite", "broken.keras"])
def test_a_broken_file_is_refused(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"no network" * 100)
    with pytest.raises(
        ValueError,
        match=f"must be a sound file. Received: .*{name}', which cannot be run",
    ):
        benchmark(path)


def test_three_forms_of_a_network_take_turns(tmp_path):
    model = conv_model(16, "conv")
    model.save(tmp_path / "model.keras")
    paths = [
        export_tflite(model, tmp_path / "model.tflite"),
        tmp_path / "model.keras",
        export_saved_model(model, tmp_path / "folder"),
    ]
    comparison = compare_latency(paths, runs=3, warmup=1, memory=False)
    results = comparison.results
    names = [result.name for result in results]
    assert names == ["model.tflite", "model.keras", "folder"]
    assert [result.threads for result in results] == [1, None, None]
    assert all(result.median_ms > 0 for result in results)
    # A SavedModel holds the graph and its weights in files of a folder.
    assert results[2].bytes > results[0].bytes
    assert str(comparison).splitlines()[1].endswith("-")


def test_peak_memory_grows_with_the_batch(tmp_path):
    path = export_tflite(conv_model(64, "conv"), tmp_path / "conv.tflite")
    one, many = (
        benchmark(path, batch_size=size, runs=1, warmup=1) for size in (1, 128)
    )
    # 128 examples of 30 x 30 x 64 floats alone are 28 MiB.
    assert many.peak_bytes - one.peak_bytes > 20 * 2**20


@pytest.mark.large
def test_peak_memory_of_every_form_is_measured(tmp_path):
    model = conv_model(16, "conv")
    model.save(tmp_path / "model.keras")
    export_saved_model(model, tmp_path / "folder")
    for name in ("model.keras", "folder"):
        result = benchmark(tmp_path / name, runs=1, warmup=1)
        assert result.peak_bytes > result.bytes


@pytest.mark.parametrize(
    "argument", ["threads", "batch_size", "runs", "warmup"]
)
@pytest.mark.parametrize("value", [0, -1, 2.0, True])
def test_numbers_must_be_positive_integers(argument, value):
    with pytest.raises(
        ValueError,
        match=f"Argument `{argument}` must be a positive integer. Received: ",
    ):
        benchmark("unread.tflite", **{argument: value})


@pytest.mark.parametrize("suffix", [".tflite", ".keras", ""])
def test_a_fixed_batch_size_must_be_asked_for(suffix, tmp_path):
    inputs = keras.Input((4, 4, 3), batch_size=2)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    path = tmp_path / f"fixed{suffix}"
    {
        ".tflite": export_tflite,
        ".keras": lambda model, path: model.save(path),
        "": export_saved_model,
    }[suffix](model, path)
    with pytest.raises(
        ValueError,
        match="Argument `batch_size` must be 2 for '.*', which takes no other"
        ". Received: batch_size=1",
    ):
        benchmark(path, batch_size=1, runs=1, memory=False)
    assert benchmark(path, runs=1, memory=False).batch_size == 2


def test_empty_list_is_refused():
    with pytest.raises(ValueError, match="at least one file or model"):
        compare_latency([])


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="must be a `keras.Model`"):
        benchmark(np.zeros(3))
