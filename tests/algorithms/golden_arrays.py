"""Reads the arrays that tests/golden/README.md describes."""

import functools
import pathlib

import numpy as np

_FOLDER = pathlib.Path(__file__).parents[1] / "golden"


@functools.cache
def load(name):
    """Returns `{key: array}` of one file."""
    with np.load(_FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def as_columns_oihw(kernel):
    """(out, in, kh, kw) -> (in*kh*kw, out)"""
    return kernel.reshape(len(kernel), -1).T


def mask_of(indices, size):
    mask = np.zeros(size, dtype=bool)
    mask[indices] = True
    return mask
