"""Model files, made once, and a way to run a command."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_chex
from keras_chex.cli.main import main


@dataclasses.dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def value(self):
        """The JSON on stdout."""
        return json.loads(self.out)


@pytest.fixture
def command(capfd):
    """Runs `keras_chex` with these words, in this process."""

    def run(*words):
        capfd.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as left:
            code = left.code
        return Finished(code, *capfd.readouterr())

    return run


@pytest.fixture
def refused(command):
    """Runs a command that must fail with one line; returns that line."""

    def run(*words):
        done = command(*words)
        assert done.code == 1, done
        assert done.out == ""
        assert done.err.startswith("keras_chex: error: ")
        assert done.err.count("\n") == 1 and done.err.endswith("\n")
        return done.err

    return run


def network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(16, 3, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.Conv2D(16, 3, name="second"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(3, name="logits"),
        ],
        name="tiny",
    )


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """A folder with `plain.keras`, `wrapped.keras`, `x.npy` and others."""
    folder = tmp_path_factory.mktemp("files")
    keras.utils.set_random_seed(0)
    model = network()
    model.save(folder / "plain.keras")
    wrapped = keras_chex.wrap(model)
    keras_chex.set_active(wrapped, {"first": np.arange(10)})
    wrapped.save(folder / "wrapped.keras")
    only = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="only")])
    only.save(folder / "unprunable.keras")
    x = np.random.default_rng(0).normal(size=(20, 8, 8, 1)).astype("float32")
    np.save(folder / "x.npy", x)
    np.savez(folder / "x.npz", image=x)
    (folder / "damaged.keras").write_bytes(b"PK\x03\x04 and then nothing")
    whole = (folder / "plain.keras").read_bytes()
    (folder / "half.keras").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.h5").write_bytes(b"no HDF5")
    (folder / "notes.txt").write_text("no model")
    (folder / "damaged.npy").write_bytes(b"no array")
    (folder / "damaged.tflite").write_bytes(b"no flatbuffer")
    np.save(folder / "objects.npy", np.array([{}], dtype=object))
    return folder
