"""Floor 4: a page about a run, with figures."""
