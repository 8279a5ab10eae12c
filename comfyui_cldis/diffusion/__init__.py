"""Noise schedule, samplers, loss weights and the information estimate; take any callable denoiser."""
