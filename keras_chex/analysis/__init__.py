"""Floor 2: FLOPs and parameters of any choice of channels, summaries."""
