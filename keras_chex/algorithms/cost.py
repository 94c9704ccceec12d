"""Prices a choice of widths: FLOPs, parameters or channels, exactly."""

import functools

import numpy as np


class QuadraticCost:
    """Cost of a network as a function of the widths of its channel groups.

    Every weight has at most an input and an output channel axis, so FLOPs
    and parameters are sums of products of two linear functions of the widths:

    ```
    cost(widths) = constant + sum_k coefficient[k]
        * (left[k] @ widths + left_constant[k])
        * (right[k] @ widths + right_constant[k])
    ```

    All numbers are integers that float64 holds exactly; the result is exact
    below 2**53. None is negative, so a wider network never costs less.

    Args:
        coefficient: shape `(terms,)`; for a convolution's FLOPs, kernel size
            times output positions.
        left: shape `(terms, groups)`, input channels per unit of each group.
        left_constant: shape `(terms,)`, input channels that always stay.
        right: shape `(terms, groups)`, the same for output channels.
        right_constant: shape `(terms,)`.
        constant: cost that no width changes.

    Raises:
        ValueError: If shapes differ or an entry is negative or not an integer.

    Example:

    A 3x3 convolution, 3 -> w0 channels, and a 1x1, w0 -> w1, on 8x8 positions:

    >>> cost = QuadraticCost(
    ...     coefficient=[9 * 64, 64],
    ...     left=[[0, 0], [1, 0]], left_constant=[3, 0],
    ...     right=[[1, 0], [0, 1]], right_constant=[0, 0],
    ... )
    >>> cost([16, 32])   # 576 * 3 * 16 + 64 * 16 * 32
    60416
    """

    def __init__(
        self,
        coefficient,
        left,
        left_constant,
        right,
        right_constant,
        constant=0,
    ):
        self.coefficient = _count_array("coefficient", coefficient)
        self.left = _count_array("left", left)
        self.left_constant = _count_array("left_constant", left_constant)
        self.right = _count_array("right", right)
        self.right_constant = _count_array("right_constant", right_constant)
        self.constant = int(_count_array("constant", constant))
        terms = self.coefficient.size
        if self.left.ndim != 2 or self.left.shape[0] != terms:
            raise ValueError(
                "Argument `left` must have shape `(terms, groups)`. Received: "
                f"shape {self.left.shape} for {terms} terms"
            )
        for name, shape in (
            ("coefficient", (terms,)),
            ("left_constant", (terms,)),
            ("right", self.left.shape),
            ("right_constant", (terms,)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"Argument `{name}` must have shape {shape}. "
                    f"Received: shape {getattr(self, name).shape}"
                )

    @property
    def num_groups(self):
        """Number of channel groups."""
        return self.left.shape[1]

    @functools.cached_property
    def hessian(self):
        """Second derivatives, symmetric, shape `(groups, groups)`.

        `cost(w) = cost(0) + slope @ w + w @ hessian @ w / 2`.
        """
        half = self.left.T @ (self.coefficient[:, None] * self.right)
        return half + half.T

    @functools.cached_property
    def slope(self):
        """First derivatives at zero widths, shape `(groups,)`."""
        return self.left.T @ (
            self.coefficient * self.right_constant
        ) + self.right.T @ (self.coefficient * self.left_constant)

    @functools.cached_property
    def offset(self):
        """Cost at zero widths."""
        products = self.left_constant * self.right_constant
        return self.constant + int(self.coefficient @ products)

    def gradient(self, widths):
        """First derivatives at `widths`, shape `(groups,)`."""
        return self.slope + self.hessian @ np.asarray(widths, dtype=np.float64)

    def increase(self, gradient, step):
        """Cost of adding `step[g]` units to each group `g` on its own.

        Args:
            gradient: what `gradient(widths)` returned.
            step: number or array of shape `(groups,)`, may be negative.

        Returns:
            Float64 array of shape `(groups,)`.
        """
        return step * (gradient + step * np.diagonal(self.hessian) / 2)

    def change(self, widths, group, step):
        """Cost of adding `step` units to one group."""
        gradient = self.slope[group] + self.hessian[group] @ widths
        return step * (gradient + step * self.hessian[group, group] / 2)

    def changes(self, widths, steps):
        """Cost of adding `steps[g]` units to each group `g` on its own."""
        return self.increase(self.gradient(widths), steps)

    def pair_changes(self, widths, up, down):
        """Cost of adding `up[g]` units to one group and `down[h]` to another.

        Returns:
            Float64 array of shape `(groups, groups)`; the diagonal means
            nothing.
        """
        gradient = self.gradient(widths)
        changes = self.increase(gradient, up)[:, None] + self.increase(
            gradient, down
        )
        return changes + up[:, None] * down * self.hessian

    def evaluate(self, widths):
        """Cost of each row of `widths`, shape `(..., groups)`, as float64."""
        widths = np.asarray(widths, dtype=np.float64)
        quadratic = np.einsum("...g,...g->...", widths @ self.hessian, widths)
        return self.offset + widths @ self.slope + quadratic / 2

    def __call__(self, widths):
        """Returns the exact cost of integer `widths` as an int."""
        widths = np.asarray(widths)
        if widths.shape != (self.num_groups,):
            raise ValueError(
                "Argument `widths` must hold one width per channel group. "
                f"Received: shape {widths.shape} for {self.num_groups} groups"
            )
        return round(float(self.evaluate(widths)))


def channel_count_cost(sizes, channels_per_unit=None):
    """Cost that counts channels, for a budget given as sparsity.

    Args:
        sizes: int array of shape `(groups,)`, units per group.
        channels_per_unit: optional int array of shape `(groups,)`, how many
            channels one unit of a group stands for; 1 if omitted.

    Returns:
        `QuadraticCost` whose value is the number of channels.

    Example:

    >>> channel_count_cost([16, 32])([4, 8])
    12
    """
    count = len(sizes)
    if channels_per_unit is None:
        channels_per_unit = np.ones(count)
    return QuadraticCost(
        coefficient=[1],
        left=np.asarray(channels_per_unit)[None, :],
        left_constant=[0],
        right=np.zeros((1, count)),
        right_constant=[1],
    )


def _count_array(name, value):
    array = np.asarray(value, dtype=np.float64)
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(
            f"Argument `{name}` must hold finite numbers of at least 0. "
            f"Received: {value!r}"
        )
    if (array != np.round(array)).any():
        raise ValueError(
            f"Argument `{name}` must hold whole numbers, so that costs are "
            f"exact. Received: {value!r}"
        )
    return array
