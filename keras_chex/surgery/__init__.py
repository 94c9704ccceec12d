"""Floor 3: wrapping a model, and cutting it to its active channels."""
