"""A small code on top of a frozen Diff-AE: head, embedding and co-pilot around its wide code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .config import CopilotConfig, from_mapping, require
from .copilot import Copilot
from .diffae import DiffAE, DiffAEConfig
from .diffae.unet import DiffAEUNet
from .encoder import LOGVAR_MAXIMUM, LOGVAR_MINIMUM, SemanticPosterior

MAXIMUM_LATENT_DIM, MAXIMUM_HIDDEN_DIM = 4096, 16384


@dataclass(frozen=True)
class AdaptedConfig:
    """Architecture of an adapted model.

    Attributes:
        backbone: the Diff-AE, without a latent diffusion model, which knows the wide code only.
        latent_dim: N, number of scalars in the small code.
        hidden_dim: width of the layers of head and embedding.
        copilot: the beta-VAE.
    """

    kind: ClassVar[str] = "adapted"

    backbone: DiffAEConfig
    latent_dim: int = 20
    hidden_dim: int = 512
    copilot: CopilotConfig = field(default_factory=CopilotConfig)

    def __post_init__(self) -> None:
        for name, most in (("latent_dim", MAXIMUM_LATENT_DIM), ("hidden_dim", MAXIMUM_HIDDEN_DIM)):
            value = getattr(self, name)
            require(1 <= value <= most, f"{name} is {value}", f"Use 1 to {most}")
        require(
            self.backbone.latent_net is None,
            "The backbone of an adapted model has a latent diffusion model",
            "Leave latent_net out",
        )

    @property
    def image_size(self) -> int:
        """Side of the square image in pixels."""
        return self.backbone.image_size

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        return self.backbone.in_channels

    @property
    def residual_dim(self) -> int:
        """R, width of the residual code: that of the backbone's own."""
        return self.backbone.latent_dim

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary that `from_dict` reads back."""
        return {"kind": self.kind, **asdict(self), "backbone": self.backbone.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdaptedConfig:
        """Build from a (nested) mapping; unknown keys are errors that name the nearest valid one.

        Raises:
            ValueError: unknown or missing keys, or values out of range.
        """
        parts = {key: value for key, value in values.items() if key != "kind"}
        for name in ("backbone", "copilot"):
            is_table = isinstance(parts.get(name, {}), Mapping)
            require(is_table, f"The {name} configuration is no table of values", "Give one")
        if "backbone" in parts:
            parts["backbone"] = DiffAEConfig.from_dict(parts["backbone"])
        if "copilot" in parts:
            where = "the copilot configuration"
            parts["copilot"] = from_mapping(CopilotConfig, parts["copilot"], where)
        return from_mapping(cls, parts, "the adapted configuration")


class Adapter(nn.Module):
    """What is trained: everything between images, the small code z and the wide code.

    The wide code is normalised by its mean and deviation, `code_mean` and `code_std` (R,), over
    the images that the adapter was made for.
    """

    code_mean: Tensor
    code_std: Tensor

    def __init__(self, config: AdaptedConfig, operations: Any = nn) -> None:
        super().__init__()
        # drawn first, so that one seed gives one co-pilot whatever stands beside it
        self.copilot = Copilot(config, operations)
        wide, hidden, small = config.residual_dim, config.hidden_dim, config.latent_dim
        self.head = nn.Sequential(
            operations.Linear(wide, hidden),
            nn.SiLU(),
            operations.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.mu = operations.Linear(hidden, small)
        self.logvar = operations.Linear(hidden, small)
        self.embedding = nn.Sequential(
            operations.Linear(small, hidden),
            nn.SiLU(),
            operations.Linear(hidden, hidden),
            nn.SiLU(),
            operations.Linear(hidden, wide),
        )
        self.register_buffer("code_mean", torch.zeros(wide))
        self.register_buffer("code_std", torch.ones(wide))

    def normalise(self, code: Tensor) -> Tensor:
        """Wide codes (B, R) -> the same in deviations from their mean, float32."""
        return (code.float() - self.code_mean.float()) / self.code_std.float()

    def denormalise(self, code: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return code.float() * self.code_std.float() + self.code_mean.float()

    def embed(self, z: Tensor) -> Tensor:
        """(B, N) -> what the small code says of the normalised wide one, (B, R) float32."""
        return self.embedding(z.to(self.mu.weight.dtype)).float()

    def posterior(self, code: Tensor) -> SemanticPosterior:
        """Wide codes (B, R) -> q(z | x), float32.

        The residual code is what the embedding of mu leaves of the normalised wide code, so that
        both together are all of it.
        """
        normalised = self.normalise(code)
        h = self.head(normalised.to(self.mu.weight.dtype))
        mu = self.mu(h).float()
        logvar = self.logvar(h).float().clamp(LOGVAR_MINIMUM, LOGVAR_MAXIMUM)
        return SemanticPosterior(mu, logvar, normalised - self.embed(mu))


class AdaptedDiffAE(nn.Module):
    """A Diff-AE with an adapter, with the interface of `model.autoencoder`.

    Without an edit the decoder is given the backbone's own code, up to rounding.

    Source: Preechakul et al. 2022 (arXiv:2111.15640); the adapter is ours (docs/diffae.md).
    """

    def __init__(self, config: AdaptedConfig, backbone: DiffAE, adapter: Adapter) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.adapter = adapter

    @property
    def has_copilot(self) -> bool:
        """Whether there is a co-pilot, which previews need: always."""
        return True

    @property
    def copilot(self) -> Copilot:
        """The beta-VAE."""
        return self.adapter.copilot

    @property
    def unet(self) -> DiffAEUNet:
        """The backbone's decoder."""
        return self.backbone.unet

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.backbone.device

    @property
    def dtype(self) -> torch.dtype:
        """Data type the networks compute in."""
        return self.backbone.dtype

    def encode_semantic(self, x: Tensor) -> SemanticPosterior:
        """Images (B, C, S, S) in [-1, 1], at the model's size -> posterior, float32."""
        return self.adapter.posterior(self.backbone.encode_semantic(x).mu)

    def wide_code(self, z: Tensor, residual: Tensor | None = None) -> Tensor:
        """(B, N), (B, R) or None -> the code that the backbone decodes, (B, R) float32.

        Without a residual code it is what the embedding expects.
        """
        code = self.adapter.embed(z)
        return self.adapter.denormalise(code if residual is None else code + residual.float())

    def predict(self, x_t: Tensor, t: Tensor, z: Tensor, residual: Tensor | None = None) -> Tensor:
        """Noise for (B, C, S, S) at timesteps (B,), float32."""
        return self.backbone.predict(x_t, t, self.wide_code(z, residual))
