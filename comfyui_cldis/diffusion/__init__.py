"""Noise schedule, samplers and loss weights, for any callable denoiser."""
