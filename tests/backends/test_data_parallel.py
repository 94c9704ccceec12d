"""`keras.distribution.DataParallel` on JAX chooses what one device chooses."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.backends import reference_run

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "jax",
    reason="keras.distribution.DataParallel needs the JAX backend",
)

SCRIPT = """
import json, sys
import jax, keras

keras.distribution.set_distribution(keras.distribution.DataParallel())
from tests.backends import reference_run

found = reference_run.run()
model = found.pop("model")
found["devices"] = jax.device_count()
found["spread"] = sorted(
    {len(v.value.sharding.device_set)
     for v in [*model.variables, *model.optimizer.variables]}
)
with open(sys.argv[1], "w") as file:
    json.dump(found, file)
"""


def test_two_devices_choose_what_one_chooses(tmp_path, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    path = tmp_path / "found.json"
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True)
    found = json.loads(path.read_text(encoding="utf-8"))
    expected = json.loads(reference_run.FILE.read_text(encoding="utf-8"))
    assert found["devices"] == 2
    # Every variable, those of the wrappers included, lies on both.
    assert found["spread"] == [2]
    assert found["channels"] == expected["channels"]
    np.testing.assert_allclose(
        found["outputs"], expected["outputs"], rtol=0, atol=1e-3
    )
