"""Floor 4: compressing a trained model at once, without training."""
