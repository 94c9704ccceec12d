"""setup.py and requirements.txt ask for the same things."""

import pathlib
import re
import runpy

import pytest
import setuptools

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def metadata():
    """Keyword arguments that setup.py hands to `setuptools.setup`."""
    received = {}
    original = setuptools.setup
    setuptools.setup = received.update
    try:
        runpy.run_path(str(ROOT / "setup.py"))
    finally:
        setuptools.setup = original
    return received


def requirement_lines(name="requirements.txt"):
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def test_requirements_are_the_package_and_its_extras(metadata):
    extras = metadata["extras_require"]
    expected = {
        *metadata["install_requires"],
        *extras["test"],
        *extras["experiments"],
        *extras["lint"],
    }
    assert requirement_lines() == expected


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_need_the_same_without_tensorflow(metadata, backend):
    needed = {
        line
        for line in metadata["install_requires"]
        if not line.startswith("tensorflow")
    }
    assert len(needed) == len(metadata["install_requires"]) - 1
    expected = {*needed, *metadata["extras_require"][backend]}
    assert requirement_lines(f"requirements-{backend}.txt") == expected


def test_only_the_package_is_installed(metadata):
    assert "keras_chex" in metadata["packages"]
    assert all(
        name.split(".")[0] == "keras_chex" for name in metadata["packages"]
    )


def test_every_floor_is_installed(metadata):
    floors = {
        path.parent.name for path in ROOT.glob("keras_chex/*/__init__.py")
    }
    installed = {
        name.split(".")[1] for name in metadata["packages"] if "." in name
    }
    assert installed == floors


def test_version_is_that_of_the_package(metadata):
    import keras_chex

    assert metadata["version"] == keras_chex.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.?[a-z]+\d+)?", metadata["version"])
