"""A decoder that reads a code as tokens, one per scalar, and draws an image in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conditioning import Attention, CodeTokens

TOKEN_DIM = 32
NUM_HEADS = 4
LARGEST_ATTENTION = 8  # sides of the feature maps that read the tokens: 4 and this
INITIAL_BLOCKS = 2  # at 4 x 4


class TokenBlock(nn.Module):
    """Attention of a feature map to the tokens, then a two-layer perceptron at each place."""

    def __init__(self, channels: int, size: int, operations: Any = nn) -> None:
        super().__init__()
        self.attention = Attention(channels, size, TOKEN_DIM, NUM_HEADS, operations)
        self.attention.out.reset_parameters()  # not from 0: it is all that tells of the code
        self.mlp = nn.Sequential(
            nn.SiLU(),
            operations.Conv2d(channels, channels, 1),
            nn.SiLU(),
            operations.Conv2d(channels, channels, 1),
        )

    def forward(self, h: Tensor, tokens: Tensor) -> Tensor:
        """(B, C, H, W), (B, N, D) -> (B, C, H, W)."""
        h = self.attention(h, tokens)
        return h + self.mlp(h)


class TokenDecoder(nn.Module):
    """A learned 4 x 4 map that attends to the tokens, there and at 8 x 8, and is enlarged.

    Args:
        channels: of the 4 x 4 map, a multiple of 8.
        widths: channels after each doubling; the last are the image's.

    Source of the tokens: Yang et al. 2024, section 3.2 (EncDiff, arXiv:2402.09712).
    """

    def __init__(
        self, channels: int, widths: Sequence[int], latent_dim: int, operations: Any = nn
    ) -> None:
        super().__init__()
        self.tokens = CodeTokens(latent_dim, 0, TOKEN_DIM, operations)
        del self.tokens.null  # there is always a code
        self.start = nn.Parameter(torch.randn(channels, 4, 4))
        first = [TokenBlock(channels, 4, operations) for _ in range(INITIAL_BLOCKS)]
        self.first = nn.ModuleList(first)
        self.up = nn.ModuleList()
        self.blocks = nn.ModuleList()  # after each doubling but the last
        size = 4
        for width in widths:
            self.up.append(operations.ConvTranspose2d(channels, width, 4, stride=2, padding=1))
            channels, size = width, 2 * size
            if len(self.up) < len(widths) and size <= LARGEST_ATTENTION:
                self.blocks.append(TokenBlock(width, size, operations))

    def forward(self, z: Tensor) -> Tensor:
        """(B, N) -> mean image (B, C, S, S)."""
        tokens = self.tokens(z, None, None)
        h = self.start.to(z).expand(z.shape[0], -1, -1, -1)
        for block in self.first:
            h = block(h, tokens)
        for level, up in enumerate(self.up):
            h = up(F.silu(h))
            if level < len(self.blocks):
                h = self.blocks[level](h, tokens)
        return h
