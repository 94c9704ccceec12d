import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.algorithms.latency_cost import LatencyCost, LatencyTerm
from keras_chex.analysis.layer_shapes import LayerShape
from keras_chex.export import layer_files, layer_timing
from keras_chex.export.latency_measurement import _calibrated, fit_line
from keras_chex.export.latency_table import LatencyTable, LayerTimes
from keras_chex.export.litert import open_interpreter
from keras_chex.export.quiet import quiet_stderr

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def model():
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(16, 3, padding="same", name="first"),
            keras.layers.DepthwiseConv2D(3, padding="same"),
            keras.layers.Conv2D(32, 1, activation="relu", name="second"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, name="logits"),
        ]
    )


def test_a_small_network_is_measured(model, tmp_path):
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"first": np.arange(4)})
    table = keras_chex.measure_latency(wrapped, rounds=5)
    assert len(table.layers) == 4
    assert table.threads == 1
    assert table.scale > 0
    active = keras_chex.active_channels(wrapped)
    assert int(active["first"].sum()) == 4
    dense, narrow = table.predict(model), table.predict(wrapped)
    assert 0 < narrow <= dense < 50
    table.save(tmp_path / "here.json")
    assert keras_chex.LatencyTable.load(tmp_path / "here.json") == table


@pytest.mark.parametrize(
    ("shape", "inputs", "outputs", "before", "after"),
    [
        (
            LayerShape("convolution", 8, 8, (9, 8), (3, 3), (2, 2)),
            5,
            7,
            (1, 9, 8, 5),
            (1, 4, 3, 7),
        ),
        (
            LayerShape("convolution", 8, 8, (6, 6), padding="same", groups=2),
            4,
            6,
            (1, 6, 6, 4),
            (1, 6, 6, 6),
        ),
        (
            LayerShape("depthwise", 8, 16, (6, 6), (3, 3), padding="same"),
            None,
            10,
            (1, 6, 6, 5),
            (1, 6, 6, 10),
        ),
        (LayerShape("dense", 8, 4, (3, 1)), 6, 12, (3, 6), (3, 12)),
    ],
)
def test_files_of_one_layer(tmp_path, shape, inputs, outputs, before, after):
    path = tmp_path / "layer.tflite"
    path.write_bytes(layer_files.layer_file(shape, inputs, outputs, copies=2))
    interpreter = open_interpreter(path, 1)
    with quiet_stderr():
        interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    targets = interpreter.get_output_details()
    assert tuple(source["shape"]) == before
    assert [tuple(target["shape"]) for target in targets] == [after, after]
    interpreter.set_tensor(source["index"], np.ones(before, "float32"))
    interpreter.invoke()
    results = [interpreter.get_tensor(t["index"]) for t in targets]
    assert all((result >= 0).all() and result.any() for result in results)


def test_every_layer_file_holds_all_channels_of_its_table(monkeypatch):
    asked = []

    def time_widths(shape, widths, threads, rounds):
        asked.extend(widths)
        return np.array([a * b for a, b in widths], float)

    monkeypatch.setattr(layer_timing, "time_widths", time_widths)
    shape = LayerShape("convolution", 12, 100, groups=3)
    times = layer_timing.layer_times(shape, 1, 1, 1.0, 1, 1)
    assert times.inputs == (12,)
    assert all(a % 3 == 0 and b % 3 == 0 for a, b in asked)
    times = layer_timing.layer_times(
        LayerShape("convolution", 3, 64), 32, 16, 2.0, 1, 1
    )
    assert times.inputs == (3,)
    assert times.outputs == (16, 32, 64)
    assert (times.output_tile, times.output_least) == (32, 16)
    assert times.nanoseconds == ((96, 192, 384),)


def test_tiles_are_found_in_the_times(monkeypatch):
    def time_widths(shape, widths, threads, rounds):
        padded = [32 * -(-b // 32) if b > 16 else 16 for _, b in widths]
        return 3.0 + np.array(padded)

    monkeypatch.setattr(layer_timing, "time_widths", time_widths)
    shape = LayerShape("convolution", 64, 64, (14, 14), (3, 3))
    assert layer_timing.find_tile(shape, 1, 1) == (32, 16)
    grouped = LayerShape("convolution", 64, 64, groups=4)
    assert layer_timing.find_tile(grouped, 1, 1) == (1, 1)


def test_the_fast_runs_count():
    ticks = iter([0, 10, 10, 20, 20, 70, 70, 80, 80, 90])
    times = layer_timing.fast_times([lambda: None], 5, lambda: next(ticks))
    assert times == [10]


def test_networks_that_do_not_get_faster_are_scaled_by_the_dense_one():
    assert fit_line((100, 40), (130, 130)) == (1.3, 0)
    assert fit_line((100, 100), (120, 110)) == (1.2, 0)


def test_networks_count_by_their_relative_errors():
    scale, constant = fit_line((100, 50, 25), (100, 50, 28))
    assert scale * 25 + constant == pytest.approx(27.5, abs=0.1)
    assert scale * 100 + constant == pytest.approx(98.1, abs=0.1)


def test_the_table_is_right_where_it_is_used():
    """A network faster by a half than its layers say, but dense as they say."""
    shape = LayerShape("dense", 4, 64)
    columns = tuple(range(64, 64 * 65, 64))
    times = LayerTimes((4,), tuple(range(1, 65)), (columns,))
    table = LatencyTable("here", 1, "runtime", {str(shape): times})
    timed = []

    def cost_with(table):
        term = LatencyTerm(
            *([0], 4, [1], 0, times.inputs, times.outputs),
            table.scale * np.array(times.nanoseconds),
        )
        return LatencyCost([term], 1, table.constant)

    def time_networks(networks):
        timed.append([int(widths[0]) for widths in networks])
        return np.array([64.0 * w * (1 if w == 64 else 0.5) for w in timed[-1]])

    sizes = np.array([64])
    found = _calibrated(table, time_networks, sizes, cost_with, 0.4)
    assert timed[0] == [64, 32, 24] and timed[1][0] == 64
    cost = cost_with(found)
    for widths, nanoseconds in zip(
        timed[1], time_networks([sizes, [timed[1][1]]]), strict=True
    ):
        assert cost([widths]) == pytest.approx(nanoseconds, abs=2)


def test_a_model_that_cannot_shrink_is_measured_too():
    only = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    table = keras_chex.measure_latency(only, rounds=3, share=0.5)
    assert table.predict(only) > 0


def test_a_share_out_of_range_is_refused(model):
    with pytest.raises(ValueError, match="`share` must"):
        keras_chex.measure_latency(model, share=1.5)


@pytest.mark.parametrize("argument", ["threads", "rounds"])
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_wrong_numbers_are_refused(model, argument, value):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive"):
        keras_chex.measure_latency(model, **{argument: value})


def test_models_without_layers_to_measure_are_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.ReLU()])
    with pytest.raises(ValueError, match="a convolution or a Dense layer"):
        keras_chex.measure_latency(model)


def test_a_missing_litert_is_named(monkeypatch, model):
    def no_module(name):
        raise ImportError(name)

    monkeypatch.setattr(layer_files.importlib, "import_module", no_module)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        keras_chex.measure_latency(model)


def test_wrong_models_are_refused():
    with pytest.raises(TypeError, match=r"must be a `keras\.Model`"):
        keras_chex.measure_latency("model.keras")
