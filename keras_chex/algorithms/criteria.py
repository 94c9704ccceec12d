"""Decides which channels of one group are worth keeping.

A group is a matrix of shape `(rows, channels)`: column `j` holds everything
that produces channel `j`. Dormant channels are columns of zeros.
"""

import numpy as np

from keras_chex.algorithms.spectrum import (
    leading_row_energy,
    leading_space_diagonal,
)

CRITERIA = (
    "css",
    "css_consumers",
    "l1",
    "l2",
    "bn_scale",
    "fisher",
    "random",
)
# What these need, in words.
GIVEN = {"bn_scale": "a BatchNorm scale", "fisher": "the Fisher information"}

# Leverage scores are rounded to this many decimals: far above the error of
# double precision, far below any difference that means something in float32
# weights. Equal columns get equal scores on every machine.
SCORE_DECIMALS = 9


def leverage_scores(columns, rank, *, gram=None):
    """Scores each column by its share of the top-`rank` right singular space.

    `psi_j = ||V[j, :]||^2`, where the columns of `V` are the right singular
    vectors of the `min(rank, numerical rank)` largest singular values. The
    scores lie in [0, 1] and sum to that effective rank.

    The rank is cut at the numerical rank because singular vectors of the null
    space are arbitrary. This also settles matrices with fewer rows than
    channels (wide 1x1 convolutions): asked for more channels than there are
    rows, the scores are the leverage over the whole row space. They still
    prefer channels that others cannot replace, so no other criterion is
    needed there; `l1_norm` is available as a criterion of its own.

    Args:
        columns: float array of shape `(rows, channels)`.
        rank: int, number of leading singular vectors.
        gram: optional float64 array of shape `(channels, channels)`, equal to
            `columns.T @ columns`, where the caller has it already.

    Returns:
        Float64 array of shape `(channels,)`. All-zero columns score 0.

    Raises:
        ValueError: If `columns` is not a finite matrix or `rank` is negative.

    Example:

    >>> columns = np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 2.0]])
    >>> leverage_scores(columns, rank=2)
    array([1. , 0.5, 0.5])

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), Algorithm 2
    """
    columns = as_columns(columns)
    if rank < 0:
        raise ValueError(
            f"Argument `rank` must not be negative. Received: rank={rank}"
        )
    scores = np.zeros(columns.shape[1])
    live = columns.any(axis=0)
    if rank == 0 or not live.any():
        return scores
    rows = columns.shape[0]
    if live.sum() <= rows:
        gram = gram_of(columns, live, gram)
        scores[live] = leading_space_diagonal(gram, rank)
    else:
        scores[live] = leading_row_energy(columns[:, live], rank)
    return np.clip(np.round(scores, SCORE_DECIMALS), 0.0, 1.0)


def column_subset(columns, k):
    """Keeps the `k` columns that best span the others.

    The `k` largest leverage scores of rank `k` win. Equal scores are decided
    by the larger L2 norm, then by the lower index. A score of 1 (a column
    that no other can replace) is never decided this way: at most `k` columns
    have it. Ties below the cut are copies of one direction, where the longer
    column carries more of the layer's output, or columns outside of the
    leading space, where a live column must win over a dormant one.

    Args:
        columns: float array of shape `(rows, channels)`.
        k: int, `0 <= k <= channels`.

    Returns:
        Bool array of shape `(channels,)` with exactly `k` true entries.

    Raises:
        ValueError: If `k` is outside `[0, channels]`.

    Example:

    >>> column_subset(np.array([[3.0, 0.0, 0.1], [0.0, 2.0, 0.1]]), k=2)
    array([ True,  True, False])

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), Algorithm 2
    """
    columns = as_columns(columns)
    return top_k_mask(
        leverage_scores(columns, min(k, columns.shape[1]) if k > 0 else 0),
        k,
        tie_break=l2_norm(columns),
    )


def top_k_mask(scores, k, *, tie_break=None):
    """Marks the `k` largest scores.

    Args:
        scores: float array of shape `(channels,)`.
        k: int, `0 <= k <= channels`.
        tie_break: optional array of shape `(channels,)`; among equal scores
            the larger value wins.

    Returns:
        Bool array of shape `(channels,)` with exactly `k` true entries;
        remaining ties go to the lower index.

    Raises:
        ValueError: If `k` is outside `[0, channels]` or a score is NaN.

    Example:

    >>> top_k_mask([1.0, 3.0, 1.0, 2.0], k=3)
    array([ True,  True, False,  True])
    """
    scores = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores).any():
        raise ValueError(
            "Argument `scores` must not contain NaN. Received NaN at channels "
            f"{np.flatnonzero(np.isnan(scores))[:5].tolist()}. The training "
            "probably diverged; lower the learning rate"
        )
    if not 0 <= k <= scores.size:
        raise ValueError(
            "Argument `k` must be between 0 and the number of scores. "
            f"Received: k={k} for {scores.size} scores"
        )
    if tie_break is None:
        tie_break = np.zeros(scores.size)
    # lexsort is stable: what still ties stays in index order.
    order = np.lexsort((-np.asarray(tie_break), -scores))
    mask = np.zeros(scores.size, dtype=bool)
    mask[order[:k]] = True
    return mask


def l1_norm(columns):
    """Sums the absolute values of each column.

    >>> l1_norm(np.array([[3.0, 0.0], [-4.0, 1.0]]))
    array([7., 1.])
    """
    return np.abs(as_columns(columns)).sum(axis=0)


def l2_norm(columns):
    """Returns the Euclidean length of each column.

    >>> l2_norm(np.array([[3.0, 0.0], [-4.0, 1.0]]))
    array([5., 1.])
    """
    columns = as_columns(columns)
    return np.sqrt(np.einsum("ij,ij->j", columns, columns))


def score_channels(criterion, columns, given, k, rng, *, gram=None):
    """Scores the channels of a group; higher means keep.

    Args:
        criterion: `"css"` (leverage scores of rank `k`, the paper's),
            `"css_consumers"` (the same, for columns of consumers), `"l1"`,
            `"l2"`, `"bn_scale"` (absolute BatchNorm scale), `"fisher"`
            (squared gradients times squared weights) or `"random"`.
        columns: float array of shape `(rows, channels)`, zero where dormant.
        given: float array of shape `(channels,)` or `None`: the scales for
            `"bn_scale"`, the information for `"fisher"`; no other reads it.
        k: int, how many channels will be kept; read by `"css"` only.
        rng: `np.random.Generator`; read by `"random"` only.
        gram: optional `columns.T @ columns` in float64; read by `"css"` only.

    Returns:
        Float64 array of shape `(channels,)`; dormant channels score 0.

    Raises:
        ValueError: If `criterion` is unknown, or needs what is not given.

    Example:

    >>> columns = np.array([[3.0, 0.0, 1.0], [0.0, 0.0, 2.0]])
    >>> score_channels("l1", columns, None, k=1, rng=None)
    array([3., 0., 3.])
    """
    check_criterion(criterion)
    columns = as_columns(columns)
    if criterion in ("css", "css_consumers"):
        return leverage_scores(columns, k, gram=gram)
    if criterion == "l1":
        return l1_norm(columns)
    if criterion == "l2":
        return l2_norm(columns)
    live = columns.any(axis=0)
    if criterion == "random":
        # (0, 1], so that a live channel always beats a dormant one
        return np.where(live, 1.0 - rng.random(live.size), 0.0)
    if given is None:
        raise ValueError(
            f"Argument `criterion={criterion!r}` needs {GIVEN[criterion]}. Use "
            "`criterion='css'` or `criterion='l2'`. Received: given=None"
        )
    return np.where(live, np.abs(np.asarray(given, dtype=np.float64)), 0.0)


def check_criterion(criterion):
    """Raises a `ValueError` if `criterion` is not one of `CRITERIA`."""
    if criterion not in CRITERIA:
        raise ValueError(
            f"Argument `criterion` must be one of {list(CRITERIA)}. "
            f"Received: criterion={criterion!r}"
        )


def as_columns(columns, group=None):
    """Returns `columns` as a finite float64 matrix `(rows, channels)`.

    Args:
        columns: array.
        group: optional str, named in error messages.

    Raises:
        ValueError: If `columns` is not a matrix or not finite.
    """
    columns = np.asarray(columns, dtype=np.float64)
    argument = "Argument `columns`"
    if group is not None:
        argument += f" of group {group!r}"
    if columns.ndim != 2:
        raise ValueError(
            f"{argument} must have shape `(rows, channels)`. Reshape "
            "the kernel so that its output channels are the last axis. "
            f"Received: shape {columns.shape}"
        )
    if not np.isfinite(columns).all():
        raise ValueError(
            f"{argument} must be finite. Received NaN or infinity: the "
            "training probably diverged; lower the learning rate"
        )
    return columns


def gram_of(columns, chosen, gram=None):
    """Returns the float64 Gram matrix of the `chosen` (bool) columns."""
    if gram is not None:
        return gram if chosen.all() else gram[np.ix_(chosen, chosen)]
    if not chosen.all():
        columns = columns[:, chosen]
    return columns.T @ columns
