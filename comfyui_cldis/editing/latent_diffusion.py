"""Codes drawn by the latent diffusion model of an imported Diff-AE.

Source: Preechakul et al. 2022, section 4.2 (arXiv:2111.15640).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..diffusion.samplers import sample
from ..diffusion.schedule import NoiseSchedule, ScheduleConfig
from ..model import DiffAE
from ..model.diffae.config import LATENT_STEPS
from .editable import LatentStatistics


@torch.no_grad()
def draw_codes(networks: DiffAE, statistics: LatentStatistics, noise: Tensor) -> Tensor:
    """Codes (B, N) float32 from noise (B, N), on the device of the noise.

    Raises:
        ValueError: networks without a latent diffusion model.
    """
    net, part = networks.latent_net, networks.config.latent_net
    if net is None or part is None:
        raise ValueError("The model has no latent diffusion model. Draw from its statistics.")
    schedule = NoiseSchedule(
        ScheduleConfig(
            num_train_steps=part.num_train_steps,
            betas=part.betas,
            prediction="eps",
            zero_terminal_snr=False,
            spacing="leading",
            clip_x0=part.clip_x0,
        )
    )
    drawn = sample(
        lambda x, t: net(x.to(networks.dtype), t).float(),
        noise.float().to(networks.device),
        schedule,
        sampler="ddim",
        num_steps=LATENT_STEPS,
    ).to(noise.device)
    if not part.is_normalised:
        return drawn
    return statistics.mean.to(drawn) + statistics.std.to(drawn) * drawn
