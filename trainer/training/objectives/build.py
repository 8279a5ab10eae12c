"""From a configuration to the objective."""

from __future__ import annotations

import torch

from comfyui_cldis.model.config import require

from ...config.objective import ObjectiveConfig
from ..interaction import SMALLEST_BATCH
from .beta_tc import BetaTC
from .dip import DIP
from .factor import Factor
from .interface import Objective
from .joint import Joint
from .plain import Plain
from .qlae import QLAE
from .vne import WithEntropy


def build_objective(config: ObjectiveConfig, latent_dim: int, num_images: int) -> Objective:
    """The objective of `config` for codes of `latent_dim` scalars and a data set of `num_images`.

    A discriminator is initialised from torch's global generator, as any network: seed it first.

    Raises:
        ValueError: no dimensions, no images, or more discrete classes than dimensions.
    """
    require(latent_dim >= 1, f"latent_dim is {latent_dim}", "Use 1 or more")
    require(num_images >= 1, f"num_images is {num_images}", "Give the size of the data set")
    objective = _build(config, latent_dim, num_images)
    objective.copilot_weight_decay = config.weight_decay
    if config.vne_weight != 0:
        objective = WithEntropy(objective, config.vne_weight)
    if config.interaction_weight != 0:
        require(
            latent_dim >= 2,
            "objective.interaction_weight is set and latent_dim is 1",
            "Use 2 or more dimensions, or a weight of 0",
        )
        objective.interaction_weight = config.interaction_weight
        objective.smallest_batch = max(SMALLEST_BATCH, objective.smallest_batch)
    return objective


def smallest_batch(config: ObjectiveConfig, latent_dim: int) -> int:
    """Fewest images that the objective of `config` can do with. Raises: as `build_objective`."""
    with torch.device("meta"):  # draws no random numbers
        return build_objective(config, latent_dim, 1).smallest_batch


def _build(config: ObjectiveConfig, latent_dim: int, num_images: int) -> Objective:
    weight = config.penalty_weight
    if config.name == "beta_tc":
        return BetaTC(weight, num_images, config.sampling)
    if config.name == "factor":
        width, num_layers = config.discriminator_width, config.discriminator_layers
        return Factor(weight, latent_dim, width, num_layers)
    if config.name in ("dip_i", "dip_ii"):
        return DIP(weight, config.diagonal_weight, sampled=config.name == "dip_ii")
    if config.name == "joint":
        require(
            sum(config.discrete_sizes) <= latent_dim,
            f"objective.discrete_sizes {config.discrete_sizes} needs {sum(config.discrete_sizes)} "
            f"dimensions and latent_dim is {latent_dim}",
            "Use fewer classes or more dimensions",
        )
        return Joint(weight, config.discrete_sizes, config.discrete_capacity, config.temperature)
    if config.name == "qlae":
        return QLAE(weight, latent_dim, config.num_values)
    return Plain()
