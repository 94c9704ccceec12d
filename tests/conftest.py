"""Test settings: quiet TensorFlow, fixed seeds, slow tests on request."""

import os

# Before the first import of TensorFlow, which reads it once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import pytest

keras.config.disable_traceback_filtering()


def pytest_addoption(parser):
    parser.addoption(
        "--run_large",
        action="store_true",
        help="run the tests marked `large`, which train or export for minutes",
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--run_large"):
        return
    skip = pytest.mark.skip(reason="slow; run it with --run_large")
    for item in items:
        if "large" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def empty_keras_state():
    """Frees the graphs of one test file before the next."""
    yield
    keras.utils.clear_session()
