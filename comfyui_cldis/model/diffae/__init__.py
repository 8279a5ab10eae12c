"""Networks of Diff-AE exactly as its authors published them, for imported weights.

Source: Preechakul et al. 2022 (arXiv:2111.15640) and its code, github.com/phizaz/diffae (MIT).
"""

from .autoencoder import DiffAE
from .config import DiffAEConfig, LatentNetConfig

__all__ = ["DiffAE", "DiffAEConfig", "LatentNetConfig"]
