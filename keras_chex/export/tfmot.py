"""Imports TensorFlow Model Optimization, which not everybody has."""

import warnings


def import_tfmot(purpose):
    """TensorFlow Model Optimization.

    Args:
        purpose: string, the beginning of a sentence: who needs it.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # TFMOT compares versions with `distutils`.
            warnings.filterwarnings(
                "ignore", "distutils Version", DeprecationWarning
            )
            import tensorflow_model_optimization as tfmot
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs TensorFlow Model Optimization, "
            "which is not installed: `pip install keras_chex[tfmot]`"
        ) from error
    return tfmot
