"""Networks of CL-Dis: semantic encoder, conditional diffusion U-Net and beta-VAE co-pilot.

`diffae` has those of Diff-AE as published, and `build` makes either from its configuration.

Knows torch only: no files, no logging, no noise schedule, no ComfyUI.
"""

from .autoencoder import DiffusionAutoencoder
from .build import Networks, NetworksConfig, build_networks, config_from_dict, copilot_of
from .config import CopilotConfig, DecoderConfig, EncoderConfig, ModelConfig
from .diffae import DiffAE, DiffAEConfig
from .encoder import SemanticPosterior

__all__ = [
    "CopilotConfig",
    "DecoderConfig",
    "DiffAE",
    "DiffAEConfig",
    "DiffusionAutoencoder",
    "EncoderConfig",
    "ModelConfig",
    "Networks",
    "NetworksConfig",
    "SemanticPosterior",
    "build_networks",
    "config_from_dict",
    "copilot_of",
]
