"""How the code z reaches the U-Net: one embedding (adagn) or one token per scalar (tokens).

Both conditioners hold a learned null condition that stands for "no code" per item, which the
guidance needs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import GroupNorm, zeroed


class CodeEmbedding(nn.Module):
    """z -> one embedding vector through a small MLP, for adaptive group normalisation.

    Diff-AE feeds z to SiLU and a linear layer directly; for few scalars the MLP in front keeps
    the negative half of each scalar alive.
    """

    def __init__(
        self, latent_dim: int, residual_dim: int, embed_dim: int, operations: Any = nn
    ) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            operations.Linear(latent_dim, 2 * embed_dim),
            nn.SiLU(),
            operations.Linear(2 * embed_dim, embed_dim),
        )
        self.residual = operations.Linear(residual_dim, embed_dim) if residual_dim else None
        self.null = nn.Parameter(torch.zeros(embed_dim))

    def forward(self, z: Tensor, residual: Tensor | None, keep: Tensor | None) -> Tensor:
        """(B, N), (B, R) or None, keep (B,) bool or None (all kept) -> (B, E)."""
        embedding = self.mlp(z)
        if self.residual is not None:
            embedding = embedding + self.residual(_or_zeros(residual, self.residual, z))
        if keep is not None:
            embedding = torch.where(keep[:, None], embedding, self.null.to(embedding))
        return embedding


class CodeTokens(nn.Module):
    """Each scalar of z through its own small MLP (1-64-128-D) to one token.

    Source: Yang et al. 2024, section 3.2 (EncDiff, arXiv:2402.09712).
    """

    widths = (64, 128)

    def __init__(
        self, latent_dim: int, residual_dim: int, token_dim: int, operations: Any = nn
    ) -> None:
        super().__init__()
        w1, w2 = self.widths
        # one MLP per scalar, evaluated together as batched products
        self.weight_1 = nn.Parameter(torch.randn(latent_dim, w1))
        self.bias_1 = nn.Parameter(torch.randn(latent_dim, w1))
        self.weight_2 = nn.Parameter(torch.randn(latent_dim, w1, w2) * w1**-0.5)
        self.bias_2 = nn.Parameter(torch.zeros(latent_dim, w2))
        self.weight_3 = nn.Parameter(torch.randn(latent_dim, w2, token_dim) * w2**-0.5)
        self.bias_3 = nn.Parameter(torch.randn(latent_dim, token_dim))
        self.residual = operations.Linear(residual_dim, token_dim) if residual_dim else None
        self.null = nn.Parameter(torch.randn(latent_dim, token_dim))

    def forward(self, z: Tensor, residual: Tensor | None, keep: Tensor | None) -> Tensor:
        """(B, N), (B, R) or None, keep (B,) bool or None (all kept) -> tokens (B, N [+ 1], D)."""
        h = F.silu(z[:, :, None] * self.weight_1.to(z) + self.bias_1.to(z))  # (B, N, 64)
        h = F.silu(torch.einsum("bni,nio->bno", h, self.weight_2.to(z)) + self.bias_2.to(z))
        tokens = torch.einsum("bni,nio->bno", h, self.weight_3.to(z)) + self.bias_3.to(z)
        if keep is not None:
            tokens = torch.where(keep[:, None, None], tokens, self.null.to(tokens))
        if self.residual is not None:
            extra = self.residual(_or_zeros(residual, self.residual, z))
            if keep is not None:
                extra = torch.where(keep[:, None], extra, torch.zeros_like(extra))
            tokens = torch.cat([tokens, extra[:, None]], dim=1)  # (B, N + 1, D)
        return tokens


def _or_zeros(residual: Tensor | None, layer: nn.Linear, z: Tensor) -> Tensor:
    """The residual code (B, R); 0 without one, as training drops it."""
    return z.new_zeros(len(z), layer.in_features) if residual is None else residual


class Attention(nn.Module):
    """Multi-head attention of a feature map to tokens, or to itself when there are none.

    The queries carry a learned position, because at terminal noise the feature map itself holds
    nothing that says where in the image a query stands.
    """

    def __init__(
        self, channels: int, size: int, context_dim: int, num_heads: int, operations: Any = nn
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = GroupNorm(channels, operations)
        self.position = nn.Parameter(torch.randn(size * size, channels) * 0.02)
        self.query = operations.Linear(channels, channels, bias=False)
        self.key_value = operations.Linear(context_dim or channels, 2 * channels, bias=False)
        self.out: nn.Linear = operations.Linear(channels, channels)
        zeroed(self.out)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B, M, D) or None -> (B, C, H, W)."""
        b, c, height, width = x.shape
        h = self.norm(x).flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, HW, C)
        h = h + self.position.to(h)
        source = h if context is None else context
        q = self.query(h).view(b, -1, self.num_heads, c // self.num_heads).transpose(1, 2)
        k, v = self.key_value(source).chunk(2, dim=-1)
        k = k.reshape(b, -1, self.num_heads, c // self.num_heads).transpose(1, 2)
        v = v.reshape(b, -1, self.num_heads, c // self.num_heads).transpose(1, 2)
        h = F.scaled_dot_product_attention(q, k, v)  # (B, heads, HW, C / heads)
        h = self.out(h.transpose(1, 2).reshape(b, -1, c))
        return x + h.transpose(1, 2).reshape(b, c, height, width)
