"""What a long run leaves to look at while it goes on."""

import keras
import tensorflow as tf


class SpeedLog(keras.callbacks.Callback):
    """Logs learning rate and training speed of every epoch.

    The keys are `learning_rate` and `images_per_second`. Exploration steps and
    compiling count as training, the evaluation does not.

    Args:
        stopwatch: a `Stopwatch`.
        images: int, images in an epoch.
    """

    def __init__(self, stopwatch, images):
        super().__init__()
        self.stopwatch = stopwatch
        self.images = images

    def on_epoch_end(self, epoch, logs=None):
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs["learning_rate"] = float(rate)
        logs["images_per_second"] = self.images / self.stopwatch.seconds()


class EventFile(keras.callbacks.Callback):
    """Writes all logs for TensorBoard, which need not be installed.

    Args:
        directory: path. A run that goes on adds a file to it.
    """

    def __init__(self, directory):
        super().__init__()
        self.directory = directory
        self._writer = None

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(str(self.directory))

    def on_epoch_end(self, epoch, logs=None):
        # `tf.summary.scalar` is part of TensorBoard.
        kind = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = tf.compat.v1.SummaryMetadata(plugin_data=kind)
        with self._writer.as_default():
            for key, value in logs.items():
                value = tf.constant(float(value), tf.float32)
                tf.summary.write(key, value, epoch + 1, metadata)
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()
