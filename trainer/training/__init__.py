"""Training: the loop and everything that happens in a step."""
