"""The program as a whole: help, exit codes, one line per error, silence."""

import json
import subprocess
import sys
import warnings

import pytest

import keras_chex
from keras_chex.cli import inspect_model
from keras_chex.cli.main import COMMANDS, build_parser, main

NAMES = ("inspect", "compress", "strip", "export", "benchmark", "report")


def test_the_module_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "keras_chex", "--help"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0
    assert done.stdout.startswith("usage: keras_chex")
    assert done.stderr == ""


def test_the_help_teaches_every_command(command):
    text = command("--help").out
    assert len(COMMANDS) == len(NAMES)
    for name in NAMES:
        assert f"\n    {name}" in text
        own = command(name, "--help")
        assert own.code == 0
        assert "example:" in own.out and f"$ keras_chex {name}" in own.out
        for option in ("--json", "--import MODULE", "--debug"):
            assert option in own.out


def test_examples_of_the_help_can_be_parsed(command):
    texts = [command(*words).out for words in [["--help"], *helps()]]
    lines = {
        line.split("$ keras_chex ")[1]
        for text in texts
        for line in text.splitlines()
        if "$ keras_chex " in line
    }
    assert len(lines) > len(NAMES)
    for line in lines:
        build_parser().parse_args(line.split())


def helps():
    return [[name, "--help"] for name in NAMES]


def test_the_version_is_that_of_the_package(command):
    assert command("--version").out.strip() == keras_chex.__version__


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["train"],
        ["inspect"],
        ["inspect", "a.keras", "--input-shape=8x8"],
        ["compress", "a.keras", "-o", "b.keras"],
        ["compress", "a.keras", "-o", "b.keras", "--flops=half"],
        ["compress", "a.keras", "-o", "b.keras", "--flops=.5", "--params=.5"],
        ["compress", "a.keras", "-o", "b.keras", "--flops=.5", "--round-to=0"],
        ["compress", "a.keras", "-o", "b.keras", "--flops=.5", "--foo"],
        ["benchmark", "a.tflite", "--runs=-1"],
    ],
)
def test_wrong_usage_is_code_2(command, words):
    done = command(*words)
    assert done.code == 2
    assert "usage: keras_chex" in done.err and done.out == ""


def test_an_error_is_one_line_and_debug_shows_where(refused, files):
    assert "There is no file" in refused("inspect", files / "none.keras")
    with pytest.raises(ValueError, match="There is no file"):
        main(["inspect", "none.keras", "--debug"])


def test_a_mistake_of_the_package_is_one_line_too(monkeypatch, refused, files):
    def fails(path):
        raise KeyError("first\nsecond")

    monkeypatch.setattr(inspect_model, "read_model", fails)
    line = refused("inspect", files / "plain.keras")
    assert "KeyError" in line and "--debug" in line


def test_what_libraries_say_is_not_heard(monkeypatch, command, files):
    read = inspect_model.read_model

    def chatty(path):
        subprocess.run(["sh", "-c", "echo from C >&2"], check=True)
        sys.stdout.write("from stdout")
        sys.stderr.write("from stderr")
        warnings.warn("from warnings", stacklevel=1)
        return read(path)

    monkeypatch.setattr(inspect_model, "read_model", chatty)
    done = command("inspect", files / "plain.keras", "--json")
    assert json.loads(done.out)["name"] == "tiny"
    assert done.err == ""


OWN_LAYER = """
import keras


@keras.saving.register_keras_serializable(package="{package}")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs
"""


@pytest.fixture
def own_layer(tmp_path, monkeypatch):
    """A file with a layer class that is not known; returns its folder."""
    import keras

    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_layers.py").write_text(OWN_LAYER.format(package="mine"))
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_layers

    inputs = keras.Input((4,))
    x = own_layers.Doubled()(keras.layers.Dense(8, name="hidden")(inputs))
    keras.Model(inputs, keras.layers.Dense(2)(x)).save(tmp_path / "own.keras")
    forget(own_layers)
    yield tmp_path
    forget(own_layers)


def forget(module):
    import keras

    sys.modules.pop(module.__name__, None)
    keras.saving.get_custom_objects().pop("mine>Doubled", None)


def test_an_unknown_class_is_named_with_its_remedy(own_layer, refused):
    line = refused("inspect", "own.keras")
    assert "'Doubled'" in line and "--import MODULE" in line


def test_import_makes_a_class_known(own_layer, command):
    done = command("inspect", "own.keras", "--import", "own_layers")
    assert done.code == 0 and "hidden" in done.out


def test_a_module_that_cannot_be_imported_is_refused(own_layer, refused):
    line = refused("inspect", "own.keras", "--import=no_such_module")
    assert "`--import`" in line and "no_such_module" in line
    (own_layer / "broken.py").write_text("1 / 0")
    line = refused("inspect", "own.keras", "--import=broken")
    assert "ZeroDivisionError" in line
