"""The five losses of Mask R-CNN. All are means over what was sampled."""

from keras import ops

# Where the loss of deltas turns from a square to a line.
ANCHOR_TURN, BOX_TURN = 1 / 9, 1.0


def smooth_distance(values, targets, turn):
    """Sum over the last axis of a distance that is a square near zero.

    >>> smooth_distance(ops.array([[0.5, 3.0]]), ops.zeros((1, 2)), 1.0).numpy()
    array([2.625], dtype=float32)
    """
    gap = ops.abs(values - targets)
    square = 0.5 * gap * gap / turn
    return ops.sum(ops.where(gap < turn, square, gap - turn / 2), axis=-1)


def anchor_losses(logits, deltas, targets):
    """Losses of the region proposal network.

    Args:
        logits: tensor of shape `(batch, anchors)`.
        deltas: tensor of shape `(batch, anchors, 4)`.
        targets: as `anchor_targets` returns them.

    Returns:
        `(loss of logits, loss of deltas)`.
    """
    positive, chosen, wanted = targets
    entropy = _entropy(logits, ops.cast(positive, logits.dtype))
    distance = smooth_distance(deltas, wanted, ANCHOR_TURN)
    count = _count(chosen)
    return (
        _sum_where(chosen, entropy) / count,
        _sum_where(positive, distance) / count,
    )


def box_losses(logits, deltas, sampled):
    """Losses of the box head.

    Args:
        logits: tensor of shape `(batch, count, classes + 1)`.
        deltas: tensor of shape `(batch, count, classes, 4)`.
        sampled: `Sampled`.

    Returns:
        `(loss of logits, loss of deltas)`.
    """
    wanted = ops.one_hot(sampled.labels, logits.shape[-1])
    entropy = -ops.sum(wanted * ops.log_softmax(logits, axis=-1), axis=-1)
    own = ops.sum(deltas * wanted[..., :-1, None], axis=2)
    distance = smooth_distance(own, sampled.deltas, BOX_TURN)
    count = _count(sampled.valid)
    return (
        _sum_where(sampled.valid, entropy) / count,
        _sum_where(sampled.positive, distance) / count,
    )


def mask_loss(logits, targets, positive):
    """Loss of the mask head.

    Args:
        logits: tensor of shape `(batch, boxes, size, size)`, those of the
            object's class.
        targets: tensor of that shape, zeros and ones.
        positive: bool tensor of shape `(batch, boxes)`.

    Returns:
        Scalar; 0 if no box is positive.
    """
    entropy = ops.mean(_entropy(logits, targets), axis=(2, 3))
    return _sum_where(positive, entropy) / _count(positive)


def _entropy(logits, targets):
    return (
        ops.maximum(logits, 0)
        - logits * targets
        + ops.softplus(-ops.abs(logits))
    )


def _sum_where(mask, values):
    return ops.sum(ops.where(mask, values, 0.0))


def _count(mask):
    return ops.maximum(ops.sum(ops.cast(mask, "float32")), 1.0)
