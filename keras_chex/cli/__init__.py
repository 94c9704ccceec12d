"""Floor 5: the command line, `python -m keras_chex`."""
