"""The losses of an adaptation: a small code that predicts the wide one of a frozen backbone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from comfyui_cldis.model import AdaptedDiffAE

from ..config.adapt import AdaptConfig
from .feedback import Signals
from .objectives import CopilotCode
from .step import BranchLosses, Draws, TrainingLosses


def mirrored(codes: Tensor, flip: Tensor) -> Tensor:
    """Of wide codes (B, 1 or 2, R) those of the images as flipped (B,) bool: (B, R)."""
    if codes.shape[1] == 1:
        return codes[:, 0]
    return torch.where(flip[:, None], codes[:, 1], codes[:, 0])


class AdaptLosses(TrainingLosses):
    """As `TrainingLosses`, with the diffusion branch of an adapted model.

    The embedding of a sample of q(z | x) is brought near the normalised wide code of the image.
    The first `decoded` items of a batch go through the frozen decoder too, half of them with the
    residual code and half without, and those that the feedback chose with the co-pilot's sample.

    Args:
        config: of the run.
        further: as `TrainingLosses` takes them.
    """

    def __init__(self, config: AdaptConfig, *further: Any) -> None:
        super().__init__(*further)
        self.settings = config.adapt
        self.batch_size = config.batch_size

    def diffusion_branch(
        self,
        x0: Tensor,
        draws: Draws,
        code: CopilotCode,
        signals: Signals,
        codes: Tensor | None,
    ) -> BranchLosses:
        """See `TrainingLosses`."""
        networks = self.networks
        assert isinstance(networks, AdaptedDiffAE) and codes is not None
        wide = mirrored(codes, draws.flip)
        posterior = networks.adapter.posterior(wide)
        z = posterior.sample(draws.code_noise)
        distance = networks.adapter.embed(z) - networks.adapter.normalise(wide)
        embedding = distance.square().mean()
        diffusion = torch.zeros_like(embedding)
        if bool(draws.decoded.any()):
            assert posterior.residual is not None
            z = self.feedback.condition(z, code, draws.chosen, draws.t, signals)
            residual = posterior.residual * draws.keep_residual[:, None]
            diffusion = self.decoded(x0, draws, z, residual)
        total = self.settings.embedding_weight * embedding + diffusion
        return BranchLosses(total, diffusion, embedding, posterior)

    def decoded(self, x0: Tensor, draws: Draws, z: Tensor, residual: Tensor) -> Tensor:
        """The diffusion loss of the items that are decoded, () such that its mean over the parts
        of a batch is the mean over those items."""
        some = draws.decoded
        part = draws.only(some)
        x_t = self.schedule.add_noise(x0[some], part.eps, part.t)
        assert isinstance(self.networks, AdaptedDiffAE)
        prediction = self.networks.predict(x_t, part.t, z[some], residual[some])
        share = self.settings.diffusion_items / self.batch_size
        return self.errors(prediction, x0[some], part).sum() / (share * len(x0))
