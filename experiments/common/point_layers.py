"""Layers that sample and group points, and their channel rules.

The worked example of extending `keras_chex`: `GatherNeighbours` moves features
from point to point and leaves the channels as they are, which one short rule
says. The other layers make indices, which have no channels: with `NoChannels`
whatever reaches them stays dense.

All layers compute in float32, whatever the policy of the model: a coordinate
in half precision is another point.
"""

import keras
from keras import ops

import keras_chex

PACKAGE = "pointcloud"
_register = keras.saving.register_keras_serializable(package=PACKAGE)


class _IndexLayer(keras.layers.Layer):
    """A layer that makes indices of points from coordinates."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def compute_output_spec(self, *args):
        shapes = [tuple(x.shape) for x in keras.tree.flatten(args)]
        shape = (*self.index_shape(shapes), self.count)
        return keras.KerasTensor(shape, dtype="int32")

    def get_config(self):
        return {**super().get_config(), "count": self.count}


@_register
class FarthestPoints(_IndexLayer):
    """Chooses points that are far from each other.

    The first point of the cloud comes first; after that always the point whose
    distance to all chosen ones is largest, of equal ones the first.

    Args:
        count: int, points to choose; at most as many as there are.

    Input shape:
        `(batch, points, 3)`.

    Output shape:
        `(batch, count)`, int32.

    Example:

    >>> line = [[[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0], [9.0, 0, 0]]]
    >>> FarthestPoints(3)(ops.array(line)).numpy()
    array([[0, 3, 2]], dtype=int32)
    """

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def build(self, input_shape):
        _check_count("FarthestPoints", self.count, input_shape[1])

    def index_shape(self, shapes):
        return shapes[0][:1]

    def call(self, points):
        points = ops.stop_gradient(points)
        batch, size = ops.shape(points)[0], points.shape[1]
        places = ops.arange(size, dtype="int32")
        slots = ops.arange(self.count, dtype="int32")

        def choose(step, state):
            chosen, distances = state
            last = ops.max(ops.where(slots == step - 1, chosen, 0), axis=-1)
            # A product with a row of zeros and one 1: no gather in the loop.
            at_last = ops.cast(places == last[:, None], points.dtype)
            newest = ops.sum(points * at_last[:, :, None], axis=1)
            distances = ops.minimum(
                distances, _squared_distances(newest[:, None], points)[:, 0]
            )
            farthest = _first_largest(distances)
            chosen = ops.where(slots == step, farthest[:, None], chosen)
            return chosen, distances

        start = (
            ops.zeros((batch, self.count), "int32"),
            ops.full((batch, size), float("inf"), points.dtype),
        )
        return ops.fori_loop(1, self.count, choose, start)[0]


@_register
class BallQuery(_IndexLayer):
    """Finds points within a radius of each centre.

    The first `count` of them in the order of the cloud. If there are fewer, the
    first one stands in the places left over; if there are none, the nearest
    point of all.

    Args:
        radius: float; points at exactly this distance belong to the ball.
        count: int, points to find; at most as many as there are.

    Call arguments:
        points: tensor of shape `(batch, points, 3)`.
        centres: tensor of shape `(batch, centres, 3)`.

    Output shape:
        `(batch, centres, count)`, int32.

    Example:

    >>> line = ops.array([[[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]]])
    >>> BallQuery(radius=1.5, count=3)(line, line[:, :2]).numpy()
    array([[[0, 1, 0],
            [0, 1, 2]]], dtype=int32)
    """

    def __init__(self, radius, count, **kwargs):
        super().__init__(**kwargs)
        if radius <= 0:
            raise ValueError(
                "Argument `radius` of `BallQuery` must be positive. Received: "
                f"radius={radius}"
            )
        self.radius = radius
        self.count = count

    def build(self, points_shape, centres_shape):
        _check_count("BallQuery", self.count, points_shape[1])

    def index_shape(self, shapes):
        return shapes[1][:2]

    def call(self, points, centres):
        points, centres = ops.stop_gradient(points), ops.stop_gradient(centres)
        size = points.shape[1]
        distances = _squared_distances(centres, points)
        places = ops.arange(size, dtype="int32")
        inside = distances <= self.radius**2
        # Places in the ball, in order; `size` for none.
        order = ops.where(inside, places, size)
        found = -ops.top_k(-order, self.count)[0]
        nearest = _first_largest(-distances)
        first = ops.where(
            found[..., :1] == size, nearest[..., None], found[..., :1]
        )
        return ops.where(found == size, first, found)

    def get_config(self):
        return {**super().get_config(), "radius": self.radius}


@_register
class GatherNeighbours(keras.layers.Layer):
    """Takes the features of chosen points.

    Call arguments:
        features: tensor of shape `(batch, points, channels)`.
        indices: int tensor of shape `(batch, ...)`.

    Output shape:
        `(batch, ..., channels)`.

    Example:

    >>> features = ops.array([[[5.0], [6.0], [7.0]]])
    >>> GatherNeighbours()(features, ops.array([[2, 0]])).numpy()
    array([[[7.],
            [5.]]], dtype=float32)
    """

    def call(self, features, indices):
        size, channels = features.shape[1:]
        first = ops.arange(ops.shape(features)[0], dtype="int32") * size
        first = ops.reshape(first, (-1, *[1] * (len(indices.shape) - 1)))
        rows = ops.reshape(features, (-1, channels))
        return ops.take(rows, indices + first, axis=0)

    def compute_output_shape(self, features_shape, indices_shape):
        return (*indices_shape, features_shape[-1])


@keras_chex.register_rule(GatherNeighbours)
class GatherNeighboursRule(keras_chex.Rule):
    """Channels of the features go on along the last axis.

    The layer has no weights and its config names no width: `flow` is all.
    """

    def flow(self, call):
        features, indices = call.inputs
        if isinstance(indices, keras_chex.Channels):
            call.ids.freeze(indices.ids, f"'{call.name}' uses it as indices")
        if not isinstance(features, keras_chex.Channels):
            return [features]
        if features.axis != 2:
            return call.barrier(f"'{call.name}' works along another axis")
        return [
            keras_chex.Channels(features.ids, len(call.output_shapes[0]) - 1)
        ]


@keras_chex.register_rule(FarthestPoints, BallQuery)
class NoChannels(keras_chex.Rule):
    """Indices depend on all coordinates, and have no channels."""

    def flow(self, call):
        return call.barrier(f"'{call.name}' measures distances")


def _squared_distances(centres, points):
    """`(batch, centres, points)`; the direct form loses no digits."""
    return sum(
        ops.square(centres[:, :, None, axis] - points[:, None, :, axis])
        for axis in range(3)
    )


def _first_largest(values):
    """`argmax` along the last axis; Keras' own needs what LiteRT lacks."""
    size = values.shape[-1]
    largest = ops.max(values, axis=-1, keepdims=True)
    places = ops.arange(size, dtype="int32")
    return ops.min(ops.where(values >= largest, places, size), axis=-1)


def _check_count(name, count, points):
    if not 1 <= count <= points:
        raise ValueError(
            f"Argument `count` of `{name}` must be between 1 and the number of "
            f"points. Received: count={count} for {points} points"
        )
