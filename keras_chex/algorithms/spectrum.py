"""Spectral quantities of Gram matrices, faster than a full decomposition.

Only projections on leading eigenspaces are needed, never the eigenvectors
themselves, so the cheaper of "the leading ones" and "all but the others" is
computed, by tridiagonal reduction and relatively robust representations.
"""

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

# Singular values below this share of the largest count as zero. It is above
# the rounding of float32 weights (1e-7), and its square is above the rounding
# of a float64 Gram matrix (1e-15).
RANK_TOLERANCE = 1e-5

# Panel width for which LAPACK gets workspace; without it, it runs unblocked.
_BLOCK = 64

# From one of so many eigenvectors on, all of them are computed.
_WORTH_ALL = 3


def leading_space_diagonal(gram, rank):
    """Diagonal of the projector on the leading eigenvectors of `gram`.

    Args:
        gram: symmetric positive semi-definite array of shape `(n, n)`.
        rank: int, at least 1; cut at the numerical rank of `gram`.

    Returns:
        Float64 array of shape `(n,)`, between 0 and 1 up to rounding.

    Example:

    >>> leading_space_diagonal(np.diag([4.0, 1.0, 9.0]), rank=2)
    array([1., 0., 1.])
    """
    size = len(gram)
    tridiagonal = Tridiagonal(gram)
    rank = min(rank, numerical_rank(tridiagonal.eigenvalues()))
    if rank == 0:
        return np.zeros(size)
    if rank == size:
        return np.ones(size)
    if 2 * rank <= size:
        _, vectors = tridiagonal.eigenpairs(size - rank, size - 1)
        return np.einsum("ij,ij->i", vectors, vectors)
    _, vectors = tridiagonal.eigenpairs(0, size - rank - 1)
    return 1.0 - np.einsum("ij,ij->i", vectors, vectors)


def leading_row_energy(columns, rank):
    """Leverage of the columns of a wide matrix, from its small row side.

    Args:
        columns: float64 array of shape `(rows, channels)`.
        rank: int, at least 1; cut at the numerical rank.

    Returns:
        Float64 array of shape `(channels,)`: the squared entries of the
        leading right singular vectors, summed for each channel.

    Example:

    >>> leading_row_energy(np.array([[3.0, 4.0]]), rank=2).round(2)
    array([0.36, 0.64])
    """
    tridiagonal = Tridiagonal(columns @ columns.T)
    size = len(columns)
    rank = min(rank, numerical_rank(tridiagonal.eigenvalues()))
    if rank == 0:
        return np.zeros(columns.shape[1])
    values, vectors = tridiagonal.eigenpairs(size - rank, size - 1)
    coordinates = (vectors / np.sqrt(values)).T @ columns
    return np.einsum("ij,ij->j", coordinates, coordinates)


def numerical_rank(eigenvalues):
    """Counts the eigenvalues of a Gram matrix that are not noise.

    Args:
        eigenvalues: float array, ascending.

    Returns:
        Int, at least 1 unless the matrix is zero.

    >>> numerical_rank(np.array([-1e-17, 1e-12, 0.5, 1.0]))
    2
    """
    largest = eigenvalues[-1]
    return int(np.sum(eigenvalues > RANK_TOLERANCE**2 * max(largest, 0.0)))


class Tridiagonal:
    """A symmetric matrix reduced to tridiagonal form `Q T Q^T`.

    All eigenvalues and a slice of the eigenvectors then come separately, for
    a fraction of the cost of `scipy.linalg.eigh(subset_by_index=...)`, which
    reorthogonalises the vectors of close eigenvalues one by one.

    Args:
        matrix: symmetric float64 array of shape `(n, n)`.
    """

    def __init__(self, matrix):
        size = len(matrix)
        # The transpose is the same matrix in the order that LAPACK reads.
        self._reflectors, self._diagonal, self._off_diagonal, self._tau, _ = (
            lapack.dsytrd(matrix.T, lower=1, lwork=size * _BLOCK)
        )

    def eigenvalues(self):
        """Returns all eigenvalues, ascending."""
        return scipy.linalg.eigh_tridiagonal(
            self._diagonal,
            self._off_diagonal,
            eigvals_only=True,
            lapack_driver="sterf",
        )

    def eigenpairs(self, first, last):
        """Returns eigenvalues and vectors `first..last` (both included)."""
        count = last - first + 1
        # To find where a part of them begins and ends costs as much as many
        # vectors do: for half of 2,048 twice as much as all vectors together.
        every = _WORTH_ALL * count > len(self._diagonal)
        values, vectors = scipy.linalg.eigh_tridiagonal(
            self._diagonal,
            self._off_diagonal,
            select="a" if every else "i",
            select_range=None if every else (first, last),
            lapack_driver="stemr",
        )
        if every:
            values = values[first : last + 1]
            vectors = vectors[:, first : last + 1]
        if len(vectors) > 1:
            # Q acts on all rows but the first (the reflectors of `lower=1`).
            vectors[1:], _, _ = lapack.dormqr(
                "L",
                "N",
                self._reflectors[1:, :-1],
                self._tau,
                vectors[1:],
                lwork=vectors.shape[1] * _BLOCK,
            )
        return values, vectors
