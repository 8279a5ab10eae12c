"""Networks of CL-Dis: semantic encoder, conditional diffusion U-Net and beta-VAE co-pilot.

`diffae` has those of Diff-AE as published, `adapted` those with a small code and a co-pilot on top,
and `build` makes any of the three from its configuration.

Knows torch only: no files, no logging, no noise schedule, no ComfyUI.
"""

from .adapted import AdaptedConfig, AdaptedDiffAE, Adapter
from .autoencoder import DiffusionAutoencoder
from .build import (
    Networks,
    NetworksConfig,
    TrainedNetworks,
    build_networks,
    config_from_dict,
    copilot_of,
)
from .config import CopilotConfig, DecoderConfig, EncoderConfig, ModelConfig
from .diffae import DiffAE, DiffAEConfig
from .encoder import SemanticPosterior

__all__ = [
    "AdaptedConfig",
    "AdaptedDiffAE",
    "Adapter",
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
    "TrainedNetworks",
    "build_networks",
    "config_from_dict",
    "copilot_of",
]
