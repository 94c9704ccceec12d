"""What the programs share: data, models, training, measurements, plots."""
