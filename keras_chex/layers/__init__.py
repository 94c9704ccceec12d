"""Floor 2: the wrapper layer, its narrow twin and the wrapped model."""
