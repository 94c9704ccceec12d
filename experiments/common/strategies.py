"""Which devices train a model together."""

import os

import keras
import tensorflow as tf

NAMES = ("one", "mirrored", "multi_worker")
STATISTICS = ("moving_mean", "moving_variance")


def make_strategy(name, devices=0):
    """Makes a strategy of `tf.distribute`; call it before anything else.

    Args:
        name: `"one"` for one device, `"mirrored"` for all of one machine, or
            `"multi_worker"` for several processes, as `TF_CONFIG` says.
        devices: int, how many devices of the machine `"mirrored"` uses; 0 for
            all GPUs. Without a GPU the processor is split into so many.

    Returns:
        A `tf.distribute.Strategy`.

    Raises:
        ValueError: If there are fewer devices, or no `TF_CONFIG`.
    """
    if name == "multi_worker":
        if "TF_CONFIG" not in os.environ:
            raise ValueError(
                "Environment variable TF_CONFIG must describe the cluster for "
                "multi_worker. Received: none. For two processes: "
                '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
                '"task": {"type": "worker", "index": 0}}'
            )
        return Workers()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_local_devices(devices))
    return tf.distribute.get_strategy()


class Workers(tf.distribute.MultiWorkerMirroredStrategy):
    """Several processes that train one model.

    Keras 3.15 asks for two things that TensorFlow does not do between workers:
    to reduce a whole batch, which is a tuple, and to reduce the first axis of
    scalars. Both mean what is done here.
    """

    def reduce(self, reduce_op, value, axis):
        if isinstance(value, (tuple, list)):
            return type(value)(self.reduce(reduce_op, v, axis) for v in value)
        if self.experimental_local_results(value)[0].shape.rank == 0:
            axis = None
        return super().reduce(reduce_op, value, axis)


class SharedStatistics(keras.callbacks.Callback):
    """Averages the statistics of BatchNorm over all replicas for an evaluation.

    In Keras 3 every replica collects its own. Without this callback each one
    evaluates another network, and the first one's is saved.

    Args:
        strategy: a `tf.distribute.Strategy`. All workers need the callback.
    """

    def __init__(self, strategy):
        super().__init__()
        self.strategy = strategy

    def on_test_begin(self, logs=None):
        if self.strategy.num_replicas_in_sync == 1:
            return
        variables = [
            variable
            for variable in self.model.non_trainable_variables
            if variable.name in STATISTICS
        ]
        values = self.strategy.run(
            lambda: [tf.identity(variable.value) for variable in variables]
        )
        for variable, value in zip(variables, values, strict=True):
            mean = self.strategy.reduce("MEAN", value, axis=None)
            variable.assign(mean)


def is_chief(strategy):
    """Whether this process writes the files of the run."""
    resolver = getattr(strategy, "cluster_resolver", None)
    if resolver is None or not resolver.task_type:
        return True
    chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return resolver.task_type == chief and resolver.task_id == 0


def _local_devices(count):
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if count > len(gpus):
            raise ValueError(
                "Argument `devices` must be at most the number of GPUs. "
                f"Received: devices={count} with {len(gpus)} GPUs"
            )
        return [f"GPU:{index}" for index in range(count or len(gpus))]
    (processor,) = tf.config.list_physical_devices("CPU")
    parts = [tf.config.LogicalDeviceConfiguration()] * max(1, count)
    tf.config.set_logical_device_configuration(processor, parts)
    return [f"CPU:{index}" for index in range(len(parts))]
