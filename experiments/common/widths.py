"""Widths of the stages of a network, and those of a uniformly slim one."""

import bisect
import functools

STAGE_FACTORS = (1, 2, 4)
VGG_FACTORS = (1, 2, 4, 8, 8)


def stage_widths(width, share=1.0, factors=STAGE_FACTORS):
    """Channels of the stages of a network.

    Args:
        width: int, channels of the first stage of the dense network.
        share: float, share of these channels that is kept in every stage.
        factors: ints, how many times as wide as the first each stage is;
            those of a CIFAR ResNet by default.

    Returns:
        Tuple of ints, one for each stage, each at least 1.

    Example:

    >>> stage_widths(16)
    (16, 32, 64)
    >>> stage_widths(16, share=0.7)
    (11, 22, 45)
    """
    return tuple(max(1, round(width * f * share)) for f in factors)


def slim_widths(cost, width, target, factors=STAGE_FACTORS):
    """Widths of the uniformly slim network that costs as much as `target`.

    Args:
        cost: function from the widths of the stages to the cost of the
            network; called once for each of some ten networks.
        width: int, channels of the first stage of the dense network.
        target: number, the cost to come near to.
        factors: ints, see `stage_widths`.

    Returns:
        Tuple of ints, `stage_widths(width, share, factors)` for the share
        whose cost is nearest to the target.

    Example:

    >>> slim_widths(lambda widths: sum(w * w for w in widths), 16, target=2688)
    (11, 23, 45)
    """
    cost, steps = functools.cache(cost), 8 * width * max(factors)
    candidates = sorted(
        {stage_widths(width, n / steps, factors) for n in range(1, steps + 1)}
    )
    above = bisect.bisect_left(candidates, target, key=cost)
    near = candidates[max(0, above - 1) : above + 1]
    return min(near, key=lambda widths: abs(cost(widths) - target))
