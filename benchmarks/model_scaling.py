"""Times the analysis of ever longer networks: does it grow in proportion?"""

import time

import keras

import keras_chex
from keras_chex.graph.channels import read_channels

BLOCKS = (25, 50, 100, 200, 400)


def residual_chain(blocks, width=8, size=8):
    """Builds a chain of residual blocks of two convolutions each."""
    layers = keras.layers
    pictures = keras.Input((size, size, 3))
    x = layers.Conv2D(width, 3, padding="same", use_bias=False)(pictures)
    for _ in range(blocks):
        y = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        y = layers.BatchNormalization()(y)
        y = layers.ReLU()(y)
        y = layers.Conv2D(width, 3, padding="same", use_bias=False)(y)
        y = layers.BatchNormalization()(y)
        x = layers.ReLU()(layers.Add()([x, y]))
    pooled = layers.GlobalAveragePooling2D()(x)
    return keras.Model(pictures, layers.Dense(10)(pooled))


def time_analysis(blocks):
    """Times what is done once per model, on a chain of residual blocks.

    Returns:
        Dict with the number of operations and the seconds of each step, those
        of all cores, which other programs disturb less than the clock on the
        wall; building the model with Keras is there to compare.
    """
    seconds = {}

    def timed(name, function, *args):
        start = time.process_time()
        result = function(*args)
        seconds[name] = round(time.process_time() - start, 4)
        return result

    model = timed("build", residual_chain, blocks)
    groups = timed("channel_groups", keras_chex.channel_groups, model)
    wrapped = timed("wrap", keras_chex.wrap, model)
    halves = {g.name: range(g.size // 2) for g in groups if g.frozen is None}
    timed("set_active", keras_chex.set_active, wrapped, halves)
    timed("strip", keras_chex.strip, wrapped)
    operations = len(read_channels(model).operations)
    return {"blocks": blocks, "operations": operations, "seconds": seconds}


def measure(warmup=5):
    """Returns a list of what `time_analysis` finds for each of `BLOCKS`."""
    time_analysis(warmup)
    results = []
    for blocks in BLOCKS:
        keras.utils.clear_session()
        results.append(time_analysis(blocks))
    return results
