"""Latents and what is done with them: encode, move along directions, interpolate, decode."""
