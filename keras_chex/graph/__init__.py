"""Floor 1: a Keras model read as operations, channel ids and groups."""
