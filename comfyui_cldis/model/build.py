"""Networks of any kind from their configuration: our own, Diff-AE as published, or that adapted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from .adapted import AdaptedConfig, AdaptedDiffAE, Adapter
from .autoencoder import DiffusionAutoencoder
from .config import ModelConfig
from .copilot import Copilot
from .diffae import DiffAE, DiffAEConfig

TrainedNetworks = DiffusionAutoencoder | AdaptedDiffAE  # those with a co-pilot
Networks = TrainedNetworks | DiffAE
NetworksConfig = ModelConfig | AdaptedConfig | DiffAEConfig
IMPORTED_KINDS = {each.kind: each for each in (DiffAEConfig, AdaptedConfig)}
KIND = "kind"  # the key of a configuration that says whose it is; our own have none


def build_networks(config: NetworksConfig, operations: Any = nn) -> Networks:
    """Networks with fresh weights.

    Args:
        operations: namespace of the layer classes, such as torch.nn.

    Raises: ValueError for widths that normalisation or attention cannot divide.
    """
    if isinstance(config, DiffAEConfig):
        return DiffAE(config, operations)
    if isinstance(config, AdaptedConfig):
        backbone = DiffAE(config.backbone, operations)
        return AdaptedDiffAE(config, backbone, Adapter(config, operations))
    return DiffusionAutoencoder(config, operations)


def config_from_dict(values: Mapping[str, Any]) -> NetworksConfig:
    """The configuration that `to_dict` of any kind made.

    Raises:
        ValueError: unknown kind, unknown keys or values out of range.
    """
    kind = values.get(KIND)
    if isinstance(kind, str) and kind in IMPORTED_KINDS:
        return IMPORTED_KINDS[kind].from_dict(values)
    if KIND in values:
        allowed = ", ".join(f"'{each}'" for each in IMPORTED_KINDS)
        raise ValueError(f"The kind of networks is {kind!r}. Allowed: {allowed}, or none.")
    return ModelConfig.from_dict(values)


class NoCopilotError(ValueError):
    """Something that the co-pilot draws was asked of a model without one."""


def copilot_of(networks: Networks) -> Copilot:
    """The co-pilot.

    Raises: NoCopilotError for a model without one.
    """
    if not isinstance(networks, DiffAE):
        return networks.copilot
    raise NoCopilotError(
        "An imported Diff-AE has no co-pilot, which draws previews and tracked edits. Use the "
        "method decoded, or decode the latent."
    )
