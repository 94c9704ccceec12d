"""Every command: what it writes, what it says, what it refuses."""

import errno
import pathlib

import keras
import numpy as np
import pytest

import keras_chex
from keras_chex.cli import files as cli_files
from tests.callbacks.latency_tables import made_up_table

needs_tensorflow = pytest.mark.tensorflow


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


# inspect


def test_inspect_shows_groups_reasons_and_costs(command, files):
    done = command("inspect", files / "wrapped.keras")
    assert done.code == 0 and done.err == ""
    assert "first   10 / 16" in done.out
    assert "kept: model output" in done.out
    assert "Model 'tiny'" in done.out


def test_inspect_as_json(command, files):
    value = command("inspect", files / "wrapped.keras", "--json").value
    model = keras.models.load_model(files / "plain.keras")
    assert value["dense"]["flops"] == keras_chex.flops(model)
    groups = {group["name"]: group for group in value["groups"]}
    assert groups["first"]["active"] == 10
    assert groups["first"]["frozen"] is None
    assert groups["logits"]["frozen"] == "model output"
    assert value["layers"][0]["channels"] == 10


def test_inspect_takes_a_model_without_prunable_layers(command, files):
    assert "kept" in command("inspect", files / "unprunable.keras").out


# What every command that reads a model refuses.

WRONG_FILES = {
    "none.keras": "There is no file",
    "damaged.keras": "no Keras model, or damaged",
    "half.keras": "no Keras model, or damaged",
    "damaged.h5": "no Keras model, or damaged",
    "notes.txt": "must end with '.keras' or '.h5'",
    ".": "which is a folder",
}


@pytest.mark.parametrize("name", WRONG_FILES)
@pytest.mark.parametrize("words", ["inspect", "compress", "strip", "export"])
def test_a_wrong_file_is_refused(refused, files, tmp_path, words, name):
    outputs = {
        "inspect": [],
        "compress": ["-o", tmp_path / "new.keras", "--flops=0.5"],
        "strip": ["-o", tmp_path / "new.keras"],
        "export": ["-o", tmp_path / "new.tflite"],
    }
    line = refused(words, files / name, *outputs[words])
    assert WRONG_FILES[name] in line
    assert listed(tmp_path) == []


def test_a_file_that_keras_cannot_read_is_refused(refused, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    line = refused("inspect", tmp_path / "other.keras")
    assert "cannot be loaded as a Keras model" in line


def test_a_lambda_layer_has_its_own_remedy(refused, tmp_path):
    inputs = keras.Input((4,))
    x = keras.layers.Lambda(lambda x: x * 2)(inputs)
    keras.Model(inputs, x).save(tmp_path / "own.keras")
    line = refused("inspect", tmp_path / "own.keras")
    assert "enable_unsafe_deserialization" in line


# compress


def test_compress_writes_a_plain_model(command, files, tmp_path):
    output = tmp_path / "small.keras"
    done = command(
        *("compress", files / "plain.keras", "--flops=0.5", "-o", output),
        *("--data", files / "x.npy"),
    )
    assert done.code == 0 and f"written to {output}" in done.out
    small = keras.models.load_model(output)
    dense = keras.models.load_model(files / "plain.keras")
    assert 0.4 < keras_chex.flops(small) / keras_chex.flops(dense) <= 0.5
    norm = small.get_layer("norm")
    assert np.any(keras.ops.convert_to_numpy(norm.moving_mean))
    assert listed(tmp_path) == ["small.keras"]


def test_compress_hands_its_options_on(command, files, tmp_path):
    done = command(
        *("compress", files / "plain.keras", "-o", tmp_path / "a.keras"),
        *("--params=0.7", "--criterion=random", "--seed=1", "--round-to=4"),
        *("--exclude=second", "--min-channels=4", "--max-channels=12"),
        *("--allocation=uniform", "--json"),
    )
    assert done.code == 0
    assert done.value["layers"]["first"] in (4, 8, 12)
    assert done.value["layers"]["second"] == 16
    before, after = done.value["before"], done.value["after"]
    assert after["params"] <= 0.7 * before["params"]
    assert done.value["path"] == str(tmp_path / "a.keras")


def test_compress_takes_a_latency_table(command, files, tmp_path):
    model = keras.models.load_model(files / "plain.keras")
    table = made_up_table(model)
    table.save(tmp_path / "phone.json")
    done = command(
        *("compress", files / "plain.keras", "-o", tmp_path / "a.keras"),
        *("--latency=0.6", "--latency-table", tmp_path / "phone.json"),
    )
    assert done.code == 0
    small = keras.models.load_model(tmp_path / "a.keras")
    widths = {
        name: np.arange(small.get_layer(name).filters)
        for name in ("first", "second")
    }
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, widths)
    share = table.predict(wrapped) / table.predict(model)
    assert 0.4 < share <= 0.6


def test_compress_counts_a_part_of_the_model(command, files, tmp_path):
    done = command(
        *("compress", files / "plain.keras", "-o", tmp_path / "a.keras"),
        *("--flops=0.5", "--budget-scope=second", "--json"),
    )
    layers = done.value["layers"]
    assert (layers["first"], layers["second"]) == (16, 8)


REFUSED_BY_COMPRESS = {
    "a budget out of range": (["--flops=2"], "between 0 and 1"),
    "an unreachable budget": (["--flops=0.001"], "can be reached"),
    "an unknown layer": (["--flops=.5", "--exclude=x"], "must name layers"),
    "nothing left": (["--flops=.5", "--exclude=.*"], "can be removed"),
    "no data file": (["--flops=.5", "--data=none.npy"], "There is no file"),
    "damaged data": (["--flops=.5", "--data={}/damaged.npy"], "no NumPy file"),
    "objects": (["--flops=.5", "--data={}/objects.npy"], "no NumPy file"),
    "a model": (["--flops=.5", "--data={}/plain.keras"], "no NumPy file"),
    "no table": (["--latency=.5", "--latency-table=no.json"], "`path`"),
    "a table too many": (
        ["--flops=.5", "--latency-table={}/x.npy"],
        "must come with a budget `latency`",
    ),
    "an unknown part": (["--flops=.5", "--budget-scope=x"], "must name layers"),
    "negative seed": (["--flops=.5", "--seed=-1"], "`seed`"),
}


@pytest.mark.parametrize("case", REFUSED_BY_COMPRESS)
def test_compress_refuses(refused, files, tmp_path, case):
    options, message = REFUSED_BY_COMPRESS[case]
    options = [option.format(files) for option in options]
    output = tmp_path / "small.keras"
    output.write_text("earlier")
    line = refused("compress", files / "plain.keras", "-o", output, *options)
    assert message in line
    assert listed(tmp_path) == ["small.keras"]
    assert output.read_text() == "earlier"


def test_a_model_without_prunable_layers_is_refused(refused, files, tmp_path):
    output = tmp_path / "small.keras"
    line = refused(
        "compress", files / "unprunable.keras", "--flops=0.5", "-o", output
    )
    assert "must have channels that can be removed" in line
    assert listed(tmp_path) == []


# Where it cannot be written.


@pytest.mark.parametrize("words", [["compress", "--flops=0.5"], ["strip"]])
@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("none/small.keras", "existing folder"),
        ("small.h5", "must end with '.keras'"),
        ("folder.keras", "which is a folder"),
    ],
)
def test_a_wrong_output_is_refused(
    refused, files, tmp_path, words, output, message
):
    (tmp_path / "folder.keras").mkdir()
    line = refused(*words, files / "wrapped.keras", "-o", tmp_path / output)
    assert message in line
    assert listed(tmp_path) == ["folder.keras"]


def test_a_folder_that_cannot_be_written_to_is_refused(
    refused, files, tmp_path, monkeypatch
):
    def denied(**kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", denied)
    output = tmp_path / "small.keras"
    line = refused("strip", files / "wrapped.keras", "-o", output)
    assert "Permission denied" in line and listed(tmp_path) == []


def test_a_full_disk_leaves_nothing_half_written(
    refused, files, tmp_path, monkeypatch
):
    def full(self, path):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(keras.Model, "save", full)
    output = tmp_path / "small.keras"
    output.write_text("earlier")
    line = refused("strip", files / "wrapped.keras", "-o", output)
    assert "No space left on device" in line
    assert listed(tmp_path) == ["small.keras"]
    assert output.read_text() == "earlier"


# strip


def test_strip_writes_the_plain_model(command, files, tmp_path):
    output = tmp_path / "plain.keras"
    done = command("strip", files / "wrapped.keras", "-o", output, "--json")
    assert done.value["layers"]["first"] == 10
    wrapped = keras.models.load_model(files / "wrapped.keras")
    plain = keras.models.load_model(output)
    x = np.load(files / "x.npy")
    np.testing.assert_allclose(
        wrapped.predict(x, verbose=0), plain.predict(x, verbose=0), atol=1e-5
    )


def test_strip_refuses_a_plain_model(refused, files, tmp_path):
    output = tmp_path / "plain.keras"
    line = refused("strip", files / "plain.keras", "-o", output)
    assert "must have `ChexWrapper` layers" in line and listed(tmp_path) == []


# export


@needs_tensorflow
@pytest.mark.parametrize("data", [[], ["--data={}/x.npy"], ["--data={}/x.npz"]])
def test_export_writes_tflite(command, files, tmp_path, data):
    output = tmp_path / "small.tflite"
    data = [option.format(files) for option in data]
    done = command(
        "export", files / "wrapped.keras", "-o", output, "--json", *data
    )
    assert done.code == 0, done.err
    assert done.value["bytes"] == output.stat().st_size


@needs_tensorflow
def test_export_quantizes(command, files, tmp_path):
    sizes = {}
    for mode in ("float32", "dynamic"):
        output = tmp_path / f"{mode}.tflite"
        options = [] if mode == "float32" else ["--quantize", mode]
        done = command("export", files / "plain.keras", "-o", output, *options)
        assert done.code == 0 and done.err == ""
        assert done.out.startswith(f"{output}: ")
        assert f" {output.stat().st_size:,} bytes\n" in done.out
        sizes[mode] = output.read_bytes()
    assert sizes["float32"] != sizes["dynamic"]


@needs_tensorflow
def test_export_writes_a_saved_model(command, files, tmp_path):
    output = tmp_path / "served"
    done = command("export", files / "plain.keras", "-o", output, "--json")
    assert (output / "saved_model.pb").is_file()
    assert done.value["bytes"] > (output / "saved_model.pb").stat().st_size


def test_export_hands_onnx_to_its_exporter(
    command, files, tmp_path, monkeypatch
):
    received = []

    def export_onnx(model, path, representative_data=None):
        received.append((model.name, representative_data.shape))
        pathlib.Path(path).write_bytes(b"onnx")
        return path

    monkeypatch.setattr(keras_chex, "export_onnx", export_onnx, raising=False)
    output = tmp_path / "small.onnx"
    done = command(
        *("export", files / "plain.keras", "-o", output),
        *("--data", files / "x.npy"),
    )
    assert done.out == f"written to {output}: 4 bytes\n"
    assert received == [("tiny", (20, 8, 8, 1))]


REFUSED_BY_EXPORT = {
    "an unknown mode": (["m.tflite", "--quantize=int3"], "`quantize`"),
    "a mode of another format": (["m.onnx", "--quantize=dynamic"], "'.tflite'"),
    "an unknown ending": (["m.pb"], "must end with"),
    "data that do not fit": (["m.tflite", "--data={}/y.npy"], "representative"),
}


@needs_tensorflow
@pytest.mark.parametrize("case", REFUSED_BY_EXPORT)
def test_export_refuses(refused, files, tmp_path, case):
    (name, *options), message = REFUSED_BY_EXPORT[case]
    np.save(files / "y.npy", np.ones((4, 3)))
    options = [option.format(files) for option in options]
    line = refused(
        "export", files / "plain.keras", "-o", tmp_path / name, *options
    )
    assert message in line and listed(tmp_path) == []


# benchmark


@needs_tensorflow
def test_benchmark_compares_files(command, files, tmp_path):
    for name in ("plain", "wrapped"):
        model = keras.models.load_model(files / f"{name}.keras")
        keras_chex.export_tflite(model, tmp_path / f"{name}.tflite")
    words = (
        "benchmark",
        tmp_path / "plain.tflite",
        tmp_path / "wrapped.tflite",
    )
    value = command(*words, "--runs=3", "--warmup=1", "--json").value
    assert [r["name"] for r in value["results"]] == [
        "plain.tflite",
        "wrapped.tflite",
    ]
    assert value["results"][0]["ratio"] == 1.0
    assert value["results"][1]["runs"] == 3
    assert "median" in command(*words, "--runs=3", "--threads=2").out


@needs_tensorflow
@pytest.mark.parametrize("name", ["none.tflite", "notes.txt", "damaged.tflite"])
def test_benchmark_refuses(refused, files, name):
    assert len(refused("benchmark", files / name)) > 40


# report


def test_report_writes_a_page(command, tmp_path):
    rows = "epoch,accuracy\n0,0.5\n1,0.75\n"
    (tmp_path / "history.csv").write_text(rows)
    done = command("report", tmp_path)
    assert done.code == 0 and "note: " in done.out
    assert listed(tmp_path) == ["curves.png", "history.csv", "report.html"]
    value = command("report", tmp_path, "--json").value
    assert value["path"] == str(tmp_path / "report.html")
    assert value["figures"] == [str(tmp_path / "curves.png")]
    assert len(value["notes"]) >= 2


def test_report_refuses_a_folder_without_a_run(refused, tmp_path):
    assert "must hold a run" in refused("report", tmp_path)
    assert "no folder" in refused("report", tmp_path / "none")
    assert listed(tmp_path) == []


# Arrays.


def test_archives_become_what_models_take(tmp_path):
    a, b = np.zeros((2, 3)), np.ones((2, 4))
    np.savez(tmp_path / "one.npz", x=a)
    np.savez(tmp_path / "list.npz", a, b)
    np.savez(tmp_path / "dict.npz", x=a, y=b)
    assert cli_files.read_arrays(tmp_path / "one.npz").shape == (2, 3)
    listed = cli_files.read_arrays(tmp_path / "list.npz")
    assert [array.shape for array in listed] == [(2, 3), (2, 4)]
    assert set(cli_files.read_arrays(tmp_path / "dict.npz")) == {"x", "y"}
