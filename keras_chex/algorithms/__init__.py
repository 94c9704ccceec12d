"""The mathematics of channel exploration: arrays in, arrays out, no Keras."""
