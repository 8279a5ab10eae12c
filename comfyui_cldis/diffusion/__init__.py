"""Noise schedule, samplers, loss weights and information estimate, for any callable denoiser."""
