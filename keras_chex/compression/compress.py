"""`compress`: one-shot selection of channels on a trained model."""

from keras_chex.callbacks.chex_scheduler import ChexScheduler
from keras_chex.callbacks.clock import Clock
from keras_chex.callbacks.exploration import Explorer
from keras_chex.compression.recalibration import (
    check_calibration,
    measure_moments,
    normalizations,
    shift_statistics,
)
from keras_chex.graph.keras_nodes import read_variable
from keras_chex.layers.wrapped_model import is_wrapped
from keras_chex.surgery.strip import strip
from keras_chex.surgery.wrap import wrap

# A run of one exploration step, which is the last one: nothing is regrown.
AT_ONCE = Clock(interval=1, end=1, total=1)
# Ways to share widths that read what a training left in an optimizer.
GRADIENTS = ("auto", "fisher")


def compress(
    model,
    flops=None,
    params=None,
    sparsity=None,
    criterion="css",
    allocation="bn_scale",
    min_channels=1,
    max_channels=None,
    round_to="auto",
    exclude=(),
    input_shape=None,
    data=None,
    blend=None,
    floor=None,
    seed=0,
    latency=None,
    latency_table=None,
    budget_scope=None,
):
    """Cuts a trained model down to a budget without training it.

    Shares the budget between channel groups and keeps in each the channels of
    largest score, as the last exploration step of `ChexScheduler` does. For
    users who cannot train: what a network loses this way a few epochs of
    training bring back, and `ChexScheduler` loses less from the start.

    Without training, most of the damage is often done by the statistics of
    BatchNormalization layers, which are those of sums that have lost terms.
    `data`, some hundred examples without labels, has them corrected: both
    models run on them in training mode, and the statistics move as far as
    those of the examples have moved.

    Args:
        model: a built, trained model; it stays as it is. A wrapped one is
            stripped first: shares are of its active channels.
        flops: float, share of the dense model's multiply-adds that is kept.
            Exactly one of `flops`, `params`, `sparsity` and `latency` must be
            given.
        params: float, share of its parameters that is kept.
        sparsity: float, share of channels that is removed.
        criterion: what keeps a channel: `"css"` (column subset selection),
            `"css_consumers"` (the same among the slices of the next layers),
            `"l1"`, `"l2"`, `"bn_scale"` or `"random"`.
        allocation: how widths are shared between groups: `"bn_scale"`,
            `"bn_scale_raw"`, `"cost"` or `"uniform"`, see `ChexScheduler`.
        min_channels: int or dict, see `ChexScheduler`.
        max_channels: int or dict, see `ChexScheduler`.
        round_to: int or `"auto"`, see `ChexScheduler`.
        exclude: layers that keep all channels they make: names, regular
            expressions, layers or layer classes.
        input_shape: shape of one example, for a model that takes any size.
        data: examples, to correct the statistics of BatchNormalization layers
            by: an array, or list or dict of arrays as the model takes them,
            batch axis first; or an iterable of batches such as a
            `tf.data.Dataset`, of which labels are ignored. `None` leaves the
            statistics as they are.
        blend: float, how far widths follow the scores, see `ChexScheduler`.
        floor: float, no group falls below this share of its uniform width.
        seed: int, for `criterion="random"`.
        latency: float, share of its latency in LiteRT that is kept, see
            `ChexScheduler`.
        latency_table: `LatencyTable` or path of its JSON file; without one
            the latency is measured, which takes minutes for a large model.
        budget_scope: layers that the budget counts, see `ChexScheduler`.

    Returns:
        A new functional `keras.Model`, not compiled, without any object of
        this package.

    Raises:
        ImportError: If a latency has to be measured and LiteRT is missing.
        TypeError: If `model` is not a Keras 3 model, or an entry of `exclude`
            is of another kind.
        ValueError: If an argument is out of range, the budget cannot be
            reached, no channel can be removed, or `data` does not fit.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(16, 3, name="conv"),
    ...     keras.layers.BatchNormalization(),
    ...     keras.layers.GlobalAveragePooling2D(),
    ...     keras.layers.Dense(3),
    ... ])
    >>> small = compress(model, flops=0.5, data=np.ones((4, 8, 8, 1)))
    >>> small.get_layer("conv").filters
    8

    Reference:

    - [Hou et al., 2022](https://arxiv.org/abs/2203.15794), for the criterion
    """
    for name, value, refused, others in (
        ("allocation", allocation, GRADIENTS, "'bn_scale' or 'uniform'"),
        ("criterion", criterion, ("fisher",), "'css' or 'l1'"),
    ):
        if value in refused:
            raise ValueError(
                f"Argument `{name}='{value}'` of `compress` reads gradients, "
                f"and nothing is trained here. Use {others}, or train with "
                f"`ChexScheduler`. Received: {name}='{value}'"
            )
    # Its arguments, checked as it checks them; it does not train anything.
    scheduler = ChexScheduler(
        flops=flops,
        params=params,
        sparsity=sparsity,
        sampling="none",
        criterion=criterion,
        allocation=allocation,
        min_channels=min_channels,
        max_channels=max_channels,
        round_to=round_to,
        exclude=exclude,
        input_shape=input_shape,
        blend=blend,
        floor=floor,
        seed=seed,
        latency=latency,
        latency_table=latency_table,
        budget_scope=budget_scope,
        verbose=0,
    )
    if data is not None:
        check_calibration(model)
    plain = strip(model) if is_wrapped(model) else model
    wrapped = wrap(plain)
    explorer = Explorer(
        wrapped,
        scheduler.budget,
        scheduler.options,
        exclude,
        input_shape,
        scheduler.table_for(wrapped),
        budget_scope,
    )
    explorer.explore(AT_ONCE.end, AT_ONCE)
    small = strip(wrapped)
    if data is not None:
        _recalibrate(plain, wrapped, small, data)
    return small


def _recalibrate(plain, wrapped, small, data):
    """Corrects the statistics of `small`; uses `wrapped` up."""
    before, after = measure_moments([plain, small], data)
    # Stripped, a model with these moments has those of the channels that stay.
    copies = normalizations(wrapped)
    for layer, found in zip(copies, before, strict=True):
        if found is not None:
            layer.moving_mean.assign(found[0])
            layer.moving_variance.assign(found[1])
    kept = [
        (read_variable(layer.moving_mean), read_variable(layer.moving_variance))
        for layer in normalizations(strip(wrapped))
    ]
    shift_statistics(normalizations(small), kept, after)
