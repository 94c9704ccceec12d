import json

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.analysis.layer_shapes import LayerShape
from keras_chex.export.latency_table import LatencyTable, LayerTimes
from tests.callbacks.latency_tables import made_up_table


def network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, name="first"),
            keras.layers.DepthwiseConv2D(3, depth_multiplier=2),
            keras.layers.SeparableConv2D(12, 3, strides=2, padding="same"),
            keras.layers.Conv2D(12, 3, groups=2, padding="same", name="two"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )


def table_of_one(**times):
    fields = {"inputs": [1], "outputs": [8], "nanoseconds": [[5]], **times}
    return LatencyTable("phone", 1, "LiteRT", {"dense": LayerTimes(**fields)})


def test_shapes_of_all_kinds_of_layers():
    assert list(made_up_table(network()).layers) == [
        "convolution 3x3, strides 1x1, valid, 8x8x3 -> 8",
        "depthwise 3x3, strides 1x1, valid, 6x6x8 -> 16",
        "depthwise 3x3, strides 2x2, same, 4x4x16 -> 16",
        "convolution 1x1, strides 1x1, valid, 2x2x16 -> 12",
        "convolution 3x3, strides 1x1, same, groups 2, 2x2x12 -> 12",
        "dense, 1x1x48 -> 4",
    ]


def test_layers_over_one_axis_count_as_over_two():
    model = keras.Sequential(
        [keras.Input((9, 3)), keras.layers.Conv1D(8, 3, dilation_rate=2)]
    )
    (name,) = made_up_table(model).layers
    assert (
        name == "convolution 1x3, strides 1x1, valid, dilation 1x2, 1x9x3 -> 8"
    )


def test_output_sizes():
    shape = LayerShape("convolution", 3, 8, (9, 8), (3, 2), (2, 2))
    assert shape.output_size == (4, 4)


def test_a_prediction_sums_the_layers_at_their_widths():
    model = keras_chex.wrap(network())
    table = made_up_table(model, tile=1, scale=2.0, constant=70)

    # Times are 1000 + 100 * inputs * outputs; inputs of a depthwise layer
    # count once.
    def expected(first, second):
        products = (
            (3, first),
            (1, 2 * first),
            (1, 2 * first),
            (2 * first, second),
            (second, 12),
            (48, 4),
        )
        return sum(2 * (1000 + 100 * a * b) for a, b in products) + 70

    assert table.predict(model) == expected(8, 12) / 1e6
    keras_chex.set_active(model, {"first": np.arange(5)})
    assert table.predict(model) == pytest.approx(expected(5, 12) / 1e6)


def test_saved_tables_are_the_same(tmp_path):
    table = made_up_table(network(), scale=1.25, constant=-40)
    table.save(tmp_path / "phone.json")
    assert LatencyTable.load(tmp_path / "phone.json") == table
    assert [path.name for path in tmp_path.iterdir()] == ["phone.json"]
    content = json.loads((tmp_path / "phone.json").read_text())
    assert content["format"] == "keras_chex latency table"
    assert content["unit"] == "ns"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("threads"), "KeyError: 'threads'"),
        (lambda c: c.update(format="other"), '"format" must be'),
        (lambda c: c.update(version=2), '"version" must be 1'),
        (lambda c: c.update(scale=0), "`scale` must be a number above 0"),
        (lambda c: c.update(threads="one"), "`threads` must be a whole"),
        (lambda c: c.update(constant=0.5), "`constant` must be a whole"),
        (lambda c: c.update(device=None), "`device` must be a string"),
        (lambda c: c.update(runtime=3), "`runtime` must be a string"),
        (lambda c: c.update(layers=[]), "AttributeError"),
        (lambda c: c["layers"]["dense"].pop("inputs"), "inputs"),
    ],
)
def test_files_with_something_wrong_are_refused(tmp_path, change, message):
    path = tmp_path / "phone.json"
    table_of_one().save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        LatencyTable.load(path)


@pytest.mark.parametrize("text", ["", '{"format": ', "[1, 2]", "\x80"])
def test_broken_files_are_refused(tmp_path, text):
    path = tmp_path / "phone.json"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(ValueError, match="must be a JSON file"):
        LatencyTable.load(path)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"inputs": []}, "`inputs` must hold rising"),
        ({"outputs": [8, 8]}, "`outputs` must hold rising"),
        ({"outputs": [8, 16]}, "one row per entry"),
        ({"nanoseconds": [[-1]]}, "numbers of at least 0"),
        ({"nanoseconds": [["5"]]}, "numbers of at least 0"),
        ({"output_tile": 0}, "`output_tile` must be"),
    ],
)
def test_wrong_times_are_refused(times, message):
    with pytest.raises(ValueError, match=message):
        table_of_one(**times)


def test_layers_must_be_times():
    with pytest.raises(ValueError, match="dict from layer shapes"):
        LatencyTable("phone", 1, "LiteRT", {"dense": 5})


def test_a_table_is_not_written_where_there_is_no_folder(tmp_path):
    with pytest.raises(ValueError, match="existing folder"):
        table_of_one().save(tmp_path / "none" / "phone.json")
    with pytest.raises(ValueError, match=r"must end with '\.json'"):
        table_of_one().save(tmp_path / "phone.txt")
