"""Networks of CL-Dis: semantic encoder, conditional diffusion U-Net and beta-VAE co-pilot.

Knows torch only: no files, no logging, no noise schedule, no ComfyUI.
"""

from .autoencoder import DiffusionAutoencoder
from .config import CopilotConfig, DecoderConfig, EncoderConfig, ModelConfig
from .encoder import SemanticPosterior

__all__ = [
    "CopilotConfig",
    "DecoderConfig",
    "DiffusionAutoencoder",
    "EncoderConfig",
    "ModelConfig",
    "SemanticPosterior",
]
