"""Decides which dormant channels of one group come back."""

import numpy as np
import scipy.linalg
from scipy.linalg import lapack

from keras_chex.algorithms.criteria import as_columns, gram_of
from keras_chex.algorithms.spectrum import (
    RANK_TOLERANCE,
    Tridiagonal,
    numerical_rank,
)

FORMS = ("softmax", "scale_free", "unsquared", "uniform")

# Reciprocal condition of the Gram matrix above which its Cholesky factor gives
# residuals that are exact to the tolerance below.
_SAFE_CONDITION = 1e-7


def residuals(columns, kept, *, gram=None):
    """Squared distance of every column to the span of the kept ones.

    `eps_j = ||w_j - W_T W_T^+ w_j||^2`. The kept columns are scaled to unit
    length (their span stays the same) and directions with a singular value
    below 1e-5 of the largest do not count as spanned: what is left there is
    rounding of float32 weights. A column whose distance is below 1e-5 of its
    own length is in the span and gets exactly 0.

    Args:
        columns: float array of shape `(rows, channels)`, with the remembered
            values of dormant channels filled in.
        kept: bool array of shape `(channels,)`.
        gram: optional float64 array `columns.T @ columns`.

    Returns:
        Float64 array of shape `(channels,)`, 0 for kept channels.

    Raises:
        ValueError: If `kept` does not match `columns`.

    Example:

    >>> columns = np.array([[2.0, 1.0, 5.0], [0.0, 3.0, 0.0]])
    >>> residuals(columns, kept=np.array([True, False, False]))
    array([0., 9., 0.])

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), equation 2
    """
    columns = as_columns(columns)
    kept = _as_mask("kept", kept, columns.shape[1])
    result = np.zeros(kept.size)
    free = ~kept
    lengths = np.einsum("ij,ij->j", columns, columns)
    span = kept & (lengths > 0)
    if not free.any():
        return result
    spanned = np.zeros(free.sum())
    if span.any():
        spanned = _spanned_energy(columns, span, free, lengths, gram)
    distance = np.maximum(lengths[free] - spanned, 0.0)
    distance[distance <= RANK_TOLERANCE**2 * lengths[free]] = 0.0
    result[free] = distance
    return result


def regrow_probabilities(residuals, candidates, form="softmax"):
    """Turns residuals into the probability that a channel is regrown.

    | form           | weight of candidate `j`                               |
    |----------------|-------------------------------------------------------|
    | `"softmax"`    | `exp(eps_j)`, the paper's                             |
    | `"scale_free"` | `exp(eps_j / mean(eps))`, mean over the candidates    |
    | `"unsquared"`  | `exp(sqrt(eps_j))`, the authors' ImageNet code        |
    | `"uniform"`    | 1                                                     |

    The first and third depend on the unit in which weights are measured:
    columns divided by a matrix norm give nearly uniform probabilities.
    `"scale_free"` does not. If all residuals are 0, every form is uniform.

    Args:
        residuals: float array of shape `(channels,)`, not negative.
        candidates: bool array of shape `(channels,)`, the channels not kept;
            the weights are normalised over these.
        form: one of the names above.

    Returns:
        Float64 array of shape `(channels,)`, 0 outside of the candidates,
        positive inside, of sum 1 (all 0 without candidates).

    Raises:
        ValueError: If `form` is unknown or a residual is negative or NaN.

    Example:

    >>> candidates = np.array([False, True, True])
    >>> regrow_probabilities([0.0, 0.0, np.log(3)], candidates)
    array([0.  , 0.25, 0.75])

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), Algorithm 3
    """
    if form not in FORMS:
        raise ValueError(
            f"Argument `form` must be one of {list(FORMS)}. "
            f"Received: form={form!r}"
        )
    residuals = np.asarray(residuals, dtype=np.float64)
    candidates = _as_mask("candidates", candidates, residuals.size)
    result = np.zeros(residuals.size)
    if not candidates.any():
        return result
    energy = residuals[candidates]
    if not (energy >= 0).all():
        raise ValueError(
            "Argument `residuals` must not be negative or NaN. Pass squared "
            f"distances. Received a minimum of {energy.min()}"
        )
    weights = np.exp(_logits(energy, form))
    # A candidate is never impossible, or a draw could run out of channels.
    weights = np.maximum(weights / weights.sum(), np.finfo(np.float64).tiny)
    result[candidates] = weights
    return result


def sample_channels(probabilities, count, rng):
    """Draws `count` channels one after the other, without replacement.

    Each draw takes a channel with its probability among those left. Done as
    a race of exponential clocks, which needs one uniform number per channel:
    the draw depends on the state of `rng` and the probabilities only.

    Args:
        probabilities: float array of shape `(channels,)`; channels of
            probability 0 are never drawn.
        count: int, at most the number of positive probabilities.
        rng: `np.random.Generator`.

    Returns:
        Bool array of shape `(channels,)` with exactly `count` true entries.

    Raises:
        ValueError: If fewer than `count` channels can be drawn.

    Example:

    >>> rng = np.random.default_rng([0, 7, 2])  # seed, step, group
    >>> sample_channels(np.array([0.0, 0.5, 0.5]), 2, rng)
    array([False,  True,  True])
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    possible = np.flatnonzero(probabilities > 0)
    if not 0 <= count <= possible.size:
        raise ValueError(
            "Argument `count` must be between 0 and the number of channels "
            "with a positive probability. "
            f"Received: count={count} for {possible.size} channels"
        )
    uniform = rng.random(probabilities.size)[possible]
    clocks = np.maximum(-np.log1p(-uniform), np.finfo(np.float64).tiny)
    arrival = np.log(clocks) - np.log(probabilities[possible])
    mask = np.zeros(probabilities.size, dtype=bool)
    mask[possible[np.argsort(arrival, kind="stable")[:count]]] = True
    return mask


def _logits(energy, form):
    if form == "uniform":
        return np.zeros_like(energy)
    if form == "unsquared":
        energy = np.sqrt(energy)
    if form == "scale_free" and energy.max() > 0:
        # By the maximum first: a mean of tiny numbers could underflow.
        energy = energy / energy.max()
        energy = energy / energy.mean()
    return energy - energy.max()


def _spanned_energy(columns, span, free, lengths, gram):
    """Squared length of the free columns' projections on the span."""
    scale = 1.0 / np.sqrt(lengths[span])
    rows = len(columns)
    if span.sum() <= rows:
        if gram is None:
            basis = columns[:, span]
            inner, cross = basis.T @ basis, basis.T @ columns[:, free]
        else:
            inner = gram_of(columns, span, gram)
            cross = gram[np.ix_(span, free)]
        inner = inner * scale[:, None] * scale
        cross = cross * scale[:, None]
        factor = _cholesky_if_well_conditioned(inner)
        if factor is not None:
            return _solved_energy(factor, cross)
    else:
        inner = None
    basis = _orthonormal_basis(columns[:, span] * scale, inner)
    if basis is None:
        return lengths[free]
    coordinates = basis.T @ columns[:, free]
    return np.einsum("ij,ij->j", coordinates, coordinates)


def _cholesky_if_well_conditioned(gram):
    factor, info = lapack.dpotrf(gram, lower=1)
    if info != 0:
        return None
    norm = np.abs(gram).sum(axis=0).max()
    reciprocal_condition, _ = lapack.dpocon(factor, norm, uplo="L")
    return factor if reciprocal_condition > _SAFE_CONDITION else None


def _solved_energy(factor, cross):
    coordinates = scipy.linalg.solve_triangular(
        factor, cross, lower=True, check_finite=False
    )
    return np.einsum("ij,ij->j", coordinates, coordinates)


def _orthonormal_basis(columns, gram):
    """Basis of the numerical column space, `None` if that is everything.

    Args:
        columns: float64 array of shape `(rows, channels)`, unit columns.
        gram: `columns.T @ columns`, or `None` to work on the row side.

    Returns:
        Float64 array of shape `(rows, numerical rank)` or `None`.
    """
    by_rows = gram is None
    tridiagonal = Tridiagonal(columns @ columns.T if by_rows else gram)
    rank = numerical_rank(tridiagonal.eigenvalues())
    if rank == len(columns):
        return None
    size = len(columns) if by_rows else len(gram)
    values, vectors = tridiagonal.eigenpairs(size - rank, size - 1)
    if by_rows:
        return vectors
    basis = columns @ (vectors / np.sqrt(values))
    # Orthonormal up to the relative error of the smallest kept eigenvalue;
    # one Cholesky step makes it so to working precision.
    factor = scipy.linalg.cholesky(basis.T @ basis, lower=True)
    return scipy.linalg.solve_triangular(factor, basis.T, lower=True).T


def _as_mask(name, mask, size):
    mask = np.asarray(mask)
    if mask.dtype != bool or mask.shape != (size,):
        raise ValueError(
            f"Argument `{name}` must be a bool array with one entry per "
            f"channel. Received: shape {mask.shape}, dtype {mask.dtype} for "
            f"{size} channels"
        )
    return mask
