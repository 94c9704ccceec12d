"""Reads models and arrays for the commands; says what is wrong with them."""

import pathlib
import re
import zipfile

import keras
import numpy as np

H5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNKNOWN_CLASS = re.compile(
    r"Could not (?:locate class|deserialize class) '([^']+)'"
    r"|Unknown (?:layer|object): '?([\w>]+)'?"
)


def read_model(path):
    """Loads a `.keras` or `.h5` file, without optimizer and loss.

    Raises:
        ValueError: If there is no such file, it is damaged or of another kind,
            or holds classes that are not known.
    """
    path = _existing(path)
    if path.suffix == ".keras":
        intact = zipfile.is_zipfile(path)
    elif path.suffix in (".h5", ".hdf5"):
        intact = path.read_bytes()[:8] == H5_SIGNATURE
    else:
        raise ValueError(
            "A model file must end with '.keras' or '.h5'. Received: "
            f"{str(path)!r}"
        )
    if not intact:
        raise ValueError(
            f"'{path}' is no Keras model, or damaged: it is not what a "
            f"'{path.suffix}' file starts and ends with. Save the model again"
        )
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        raise ValueError(_explained(path, error)) from error


def _explained(path, error):
    text = " ".join(str(error).split())
    unknown = UNKNOWN_CLASS.search(text)
    if unknown:
        name = unknown.group(1) or unknown.group(2)
        return (
            f"'{path}' has a layer of the class {name!r}, which is not known. "
            "Register it with `@keras.saving.register_keras_serializable()` "
            "in a module of yours, and name that with `--import MODULE`"
        )
    if "Lambda" in text and "unsafe" in text:
        return (
            f"'{path}' has a Lambda layer, whose code Keras does not run "
            "unasked. If you trust the file, write a module that calls "
            "`keras.config.enable_unsafe_deserialization()`, and name it with "
            "`--import MODULE`"
        )
    return (
        f"'{path}' cannot be loaded as a Keras model: "
        f"{type(error).__name__}: {text[:300]}"
    )


def read_arrays(path):
    """Loads a `.npy` or `.npz` file.

    Returns:
        An array; from an archive of several a list of them, if they have no
        names (`np.savez(path, a, b)`), else a dict by name.

    Raises:
        ValueError: If there is no such file, or it is damaged or of another
            kind.
    """
    path = _existing(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        if not all(isinstance(a, np.ndarray) for a in arrays.values()):
            raise ValueError("an archive of other files")
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"'{path}' is no NumPy file (.npy or .npz) of numbers, or damaged: "
            f"{error}"
        ) from error
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    numbered = [f"arr_{i}" for i in range(len(arrays))]
    if set(arrays) == set(numbered):
        return [arrays[name] for name in numbered]
    return arrays


def _existing(path):
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(
            f"A file must be named. Received: '{path}', which is a folder"
        )
    if not path.exists():
        raise ValueError(f"There is no file '{path}'")
    return path
