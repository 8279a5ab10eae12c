"""Loss weight of each timestep, stated as a weight on the squared error of the x0 estimate."""

from __future__ import annotations

from torch import Tensor

from .schedule import NoiseSchedule

SNR_CLIP, SNR_FLOOR = 5.0, 1.0  # of the training loss and of what is measured in its units


def loss_weight(schedule: NoiseSchedule, t: Tensor, *, gamma: float, floor: float) -> Tensor:
    """Weight of the mean squared v- or eps-error at timesteps `t`.

    In terms of the image estimate the weight is clip(SNR, floor, gamma). `floor` = 0 is min-SNR
    (Hang et al. 2023, arXiv:2303.09556). That form gives no weight at all to the noisiest steps
    under v-prediction, where the code z is all the network has; a floor of 1 keeps them.

    Args:
        t: timesteps (B,), long.
        gamma: upper clip of the SNR.
        floor: lower clip of the SNR, 0 for plain min-SNR.

    Returns:
        (B,) float32: clip(SNR) / (SNR + 1) for "v", clip(SNR) / SNR for "eps".
    """
    alpha_bar = schedule.alphas_bar.to(t.device)[t.long()]
    # SNR / (SNR + 1) = alpha_bar and 1 / (SNR + 1) = 1 - alpha_bar: no division by zero
    snr = alpha_bar / (1 - alpha_bar)
    clipped = snr.clamp(floor, gamma)
    if schedule.config.prediction == "v":
        return (clipped * (1 - alpha_bar)).float()
    return (clipped / snr).float()
