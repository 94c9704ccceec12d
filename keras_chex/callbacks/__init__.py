"""Floor 3: `ChexScheduler`, which explores channels during `model.fit`."""
