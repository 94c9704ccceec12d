"""The same weights and data lead to the same channels on every backend."""

import json

import numpy as np
import pytest

from tests.backends import reference_run

# What six epochs in float32 on another backend differ by, with room.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def expected():
    return json.loads(reference_run.FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found():
    return reference_run.run()


def test_channels_are_those_of_the_other_backends(found, expected):
    assert found["channels"] == expected["channels"]


def test_outputs_are_those_of_the_other_backends(found, expected):
    np.testing.assert_allclose(
        found["outputs"], expected["outputs"], rtol=0, atol=TOLERANCE
    )


@pytest.mark.large
@pytest.mark.parametrize("noise", [1e-3, -1e-3])
def test_rounding_does_not_decide(noise, expected):
    again = reference_run.run(noise=noise)
    assert again["channels"] == expected["channels"]
