"""From gradients to weights: optimizers, the work that processes share, the rate of each step."""
