"""Test settings: quiet TensorFlow, fixed seeds, slow tests on request.

Tests run on the backend of Keras that `KERAS_BACKEND` names. Those marked
`tensorflow` are skipped on others, and say so.
"""

import os

# Before the first import of TensorFlow, which reads it once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

# Two processes that write one cache of JAX read halves of files.
if "JAX_COMPILATION_CACHE_DIR" in os.environ:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    os.environ["JAX_COMPILATION_CACHE_DIR"] += f"/{worker}"

import keras
import pytest

keras.config.disable_traceback_filtering()


def pytest_addoption(parser):
    parser.addoption(
        "--run_large",
        action="store_true",
        help="run all tests, also those marked `large`, which take minutes",
    )
    parser.addoption(
        "--run_slow",
        action="store_true",
        help="run the tests marked `slow`, which take ten seconds or more",
    )


def pytest_collection_modifyitems(config, items):
    reasons = {}
    if not config.getoption("--run_large"):
        reasons["large"] = "takes minutes; run it with --run_large"
        if not config.getoption("--run_slow"):
            reasons["slow"] = "takes a while; run it with --run_slow"
        if keras.backend.backend() == "jax":
            reasons["slow_on_jax"] = (
                "compiles many networks on JAX; run it with --run_large"
            )
    if keras.backend.backend() != "tensorflow":
        reasons["tensorflow"] = "needs Keras on its TensorFlow backend"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def empty_keras_state():
    """Frees the graphs of one test file before the next."""
    yield
    keras.utils.clear_session()
