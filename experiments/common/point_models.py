"""Networks for point clouds: PointNet and PointNet++."""

import dataclasses

import keras
from keras import layers, ops

from .point_layers import BallQuery, FarthestPoints, GatherNeighbours


@dataclasses.dataclass(frozen=True)
class Grouping:
    """One level of PointNet++: local regions and the network in them.

    Attributes:
        centres: int, regions; `0` for a single one that holds all points.
        radius: float, of a region.
        neighbours: int, points taken from a region.
        widths: tuple of ints, channels of the shared layers.
    """

    centres: int
    radius: float
    neighbours: int
    widths: tuple


# As published for ModelNet40: clouds of 1,024 points in the unit sphere.
MODELNET = (
    Grouping(512, 0.2, 32, (64, 64, 128)),
    Grouping(128, 0.4, 64, (128, 128, 256)),
    Grouping(0, 0.0, 0, (256, 512, 1024)),
)
HEAD = (512, 256)
POINTNET = (64, 64, 64, 128, 1024)
TRANSFORM = (64, 128, 1024)


def make_groupings(centres, radii, neighbours, share=1.0):
    """The levels of a PointNet++ with other regions or widths.

    Args:
        centres: two numbers, regions of the first two levels; strings of them
            will do, for all three.
        radii: two numbers.
        neighbours: two numbers.
        share: float, factor of the published widths.

    Returns:
        Tuple of `Grouping`, the last one over everything.

    Raises:
        ValueError: If an argument has not one positive number for every level.

    Example:

    >>> make_groupings([64, 16], ["0.5", "1"], [8, 8], share=0.5)[1]
    Grouping(centres=16, radius=1.0, neighbours=8, widths=(64, 64, 128))
    """
    regions = zip(
        _per_level("centres", centres, int),
        _per_level("radii", radii, float),
        _per_level("neighbours", neighbours, int),
        MODELNET,
        strict=True,
    )
    return tuple(
        Grouping(*region, scaled(level.widths, share))
        for *region, level in regions
    )


def _per_level(name, values, kind):
    """One positive number for every local level, and 0 for the last one."""
    local = len(MODELNET) - 1
    try:
        numbers = [kind(value) for value in values]
    except ValueError:
        numbers = []
    if len(numbers) != local or min(numbers) <= 0:
        raise ValueError(
            f"Argument `{name}` must have {local} positive numbers, one for "
            f"every level. Received: {name}={list(values)}"
        )
    return [*numbers, kind(0)]


def scaled(widths, share):
    """Widths times a factor, rounded, at least 1.

    >>> scaled((64, 128), 0.3)
    (19, 38)
    """
    return tuple(max(1, round(width * share)) for width in widths)


def pointnet2(
    points, classes, groupings=MODELNET, head=HEAD, dropout=0.4, name=None
):
    """PointNet++ with single-scale grouping.

    Args:
        points: int, points of a cloud.
        classes: int, number of logits.
        groupings: tuple of `Grouping`; the last one holds all points.
        head: tuple of ints, widths of the dense layers behind.
        dropout: float, behind each of them.
        name: string.

    Returns:
        A functional `keras.Model` from `(batch, points, 3)` to logits.

    Reference:

    - [Qi et al., 2017](https://arxiv.org/abs/1706.02413), section 3 and
      appendix B.1
    """
    inputs = keras.Input((points, 3), name="points")
    places, features = inputs, None
    for number, grouping in enumerate(groupings, start=1):
        prefix = f"level{number}"
        if grouping.centres:
            places, x = _regions(places, features, grouping, prefix)
        else:
            x = _joined(places, features, f"{prefix}_join")
        x = _shared(x, grouping.widths, prefix)
        features = ops.max(x, axis=-2)
    logits = _head(features, head, classes, dropout)
    return keras.Model(inputs, logits, name=name or "pointnet2")


def pointnet(
    points,
    classes,
    widths=POINTNET,
    head=HEAD,
    transform=TRANSFORM,
    dropout=0.4,
    name=None,
):
    """PointNet with a learned transform of the coordinates.

    The transform of the features is left out: the layer before its 64 x 64
    matrices would have to keep all its channels.

    Args:
        points: int, points of a cloud.
        classes: int, number of logits.
        widths: tuple of ints, channels of the shared layers.
        head: tuple of ints, widths of the dense layers behind.
        transform: tuple of ints, shared layers of the network that finds the
            transform; none for a network without.
        dropout: float, behind each layer of the head.
        name: string.

    Returns:
        A functional `keras.Model` from `(batch, points, 3)` to logits.

    Reference:

    - [Qi et al., 2017](https://arxiv.org/abs/1612.00593)
    """
    inputs = keras.Input((points, 3), name="points")
    x = _transformed(inputs, transform, head) if transform else inputs
    x = ops.max(_shared(x, widths, "point"), axis=-2)
    logits = _head(x, head, classes, dropout)
    return keras.Model(inputs, logits, name=name or "pointnet")


def _regions(places, features, grouping, prefix):
    """Coordinates of the centres; neighbours relative to them."""
    gather = GatherNeighbours(name=f"{prefix}_centres", dtype="float32")
    chosen = FarthestPoints(grouping.centres, name=f"{prefix}_sample")(places)
    centres = gather(places, chosen)
    query = BallQuery(
        grouping.radius, grouping.neighbours, name=f"{prefix}_query"
    )
    indices = query(places, centres)
    gather = GatherNeighbours(name=f"{prefix}_places", dtype="float32")
    relative = gather(places, indices) - ops.expand_dims(centres, 2)
    if features is not None:
        gather = GatherNeighbours(name=f"{prefix}_features")
        features = gather(features, indices)
    return centres, _joined(relative, features, f"{prefix}_join")


def _joined(places, features, name):
    if features is None:
        return places
    return layers.Concatenate(name=name)([places, features])


def _shared(x, widths, prefix):
    """Dense layers that all points share, each with BatchNorm and ReLU."""
    for number, width in enumerate(widths, start=1):
        x = _dense(x, width, f"{prefix}_dense{number}")
    return x


def _dense(x, width, name):
    x = layers.Dense(
        width, use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    norm = layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=f"{name}_bn"
    )
    return layers.ReLU(name=f"{name}_relu")(norm(x))


def _head(x, widths, classes, dropout):
    for number, width in enumerate(widths, start=1):
        x = _dense(x, width, f"head_dense{number}")
        x = layers.Dropout(dropout, name=f"head_dropout{number}")(x)
    return layers.Dense(classes, name="logits", dtype="float32")(x)


def _transformed(places, widths, head):
    """Coordinates times a matrix that a small PointNet finds for them."""
    x = ops.max(_shared(places, widths, "transform"), axis=-2)
    for number, width in enumerate(head, start=1):
        x = _dense(x, width, f"transform_head{number}")
    # Begins as the identity.
    x = layers.Dense(9, kernel_initializer="zeros", name="transform_values")(x)
    matrix = layers.Reshape((3, 3), name="transform_matrix")(x)
    return places + ops.matmul(places, matrix)
