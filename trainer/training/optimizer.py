"""The optimizer of a run: what it trains, at which rates, and which weights decay."""

from __future__ import annotations

import torch

from comfyui_cldis.model import TrainedNetworks

from ..config.settings import TrainConfig
from .feedback import Feedback
from .objectives import Objective
from .schedule import RunSchedule

DIFFUSION = 0  # index of the group of the diffusion branch


def open_optimizer(
    networks: TrainedNetworks,
    objective: Objective,
    feedback: Feedback,
    config: TrainConfig,
) -> torch.optim.AdamW:
    """AdamW over three groups: the diffusion branch, the co-pilot's weights, and its rest.

    Frozen parameters, as of a backbone, are left out.

    The rest are the co-pilot's biases and norms and the parameters of objective and feedback, which
    do not decay. A group's "base" is its full learning rate, "first_step" the step it is trained
    from.
    """
    copilot = list(networks.copilot.parameters())
    own = {id(parameter) for parameter in copilot}
    copilot_rate = {"base": config.copilot_learning_rate, "first_step": 0}
    return torch.optim.AdamW(
        [
            {
                "params": [
                    p for p in networks.parameters() if p.requires_grad and id(p) not in own
                ],
                "base": config.learning_rate,
                "first_step": config.copilot_warmup_steps,
            },
            {
                "params": [p for p in copilot if p.ndim >= 2],
                "weight_decay": objective.copilot_weight_decay,
                **copilot_rate,
            },
            {
                "params": [
                    *(p for p in copilot if p.ndim < 2),
                    *objective.parameters(),
                    *feedback.parameters(),
                ],
                "weight_decay": 0.0,
                **copilot_rate,
            },
        ],
        lr=config.learning_rate,
        betas=(0.9, 0.99),
        weight_decay=config.weight_decay,
        fused=True,
    )


def set_rates(
    optimizer: torch.optim.Optimizer, schedule: RunSchedule, config: TrainConfig, step: int
) -> None:
    """Set the learning rate of each group for `step`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base"] * schedule.rate_factor(config, step, group["first_step"])


def match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Lay the optimizer's moments out in memory like their parameters.

    A state may come from the other kind of device, and the fused AdamW of a CPU walks through
    parameter and moments side by side without looking at how they lie.
    """
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == parameter.shape and value.stride() != parameter.stride():
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
