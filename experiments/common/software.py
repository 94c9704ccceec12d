"""Versions and machine, for the results of a run."""

import importlib.metadata
import os
import platform

import keras

from keras_chex.export.latency_measurement import processor

PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}


def software():
    """What a result was computed with.

    Returns:
        Dict of strings and numbers. The backend of Keras has its version
        under its own name.
    """
    backend = keras.backend.backend()
    return {
        "keras": keras.__version__,
        PACKAGES[backend]: importlib.metadata.version(PACKAGES[backend]),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }


def hardware():
    """Names the processor and the devices that Keras sees.

    Returns:
        Dict with `processor`, a string, and `devices`, a list of strings.
    """
    return {"processor": processor(), "devices": _devices()}


def _devices():
    if keras.backend.backend() == "torch":
        # Keras 3.15 has no distribution, and so no list, for PyTorch.
        import torch

        kind = "cuda" if torch.cuda.is_available() else "cpu"
        return [f"{kind}:{i}" for i in range(max(1, torch.cuda.device_count()))]
    return [str(d) for d in keras.distribution.list_devices()]
