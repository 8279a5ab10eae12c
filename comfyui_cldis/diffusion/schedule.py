"""The discrete noise schedule: one table of alpha_bar, from diffusers, and its derived values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, get_args

from torch import Tensor

from ..model.config import MAXIMUM_TRAIN_STEPS, Betas, from_mapping, require

Prediction = Literal["v", "eps"]
Spacing = Literal["trailing", "leading"]


@dataclass(frozen=True)
class ScheduleConfig:
    """Noise schedule of a model.

    Attributes:
        num_train_steps: T, number of discrete noise levels.
        betas: "cosine" (Nichol & Dhariwal 2021), "linear" (Ho et al. 2020, 1e-4 to 2e-2), or
            "const0.008", which is that at every step (the codes of Diff-AE).
        prediction: what the network predicts, velocity "v" (Salimans & Ho 2022) or noise "eps".
        zero_terminal_snr: rescale so that alpha_bar at T-1 is 0 (Lin et al. 2023,
            arXiv:2305.08891); needs "v".
        spacing: which timesteps a short sampling run visits; "trailing" starts at T-1.
        clip_x0: clip the image estimate to [-1, 1] at every step, as Diff-AE does.
    """

    num_train_steps: int = 1000
    betas: Betas = "cosine"
    prediction: Prediction = "v"
    zero_terminal_snr: bool = True
    spacing: Spacing = "trailing"
    clip_x0: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("betas", Betas), ("prediction", Prediction), ("spacing", Spacing)):
            values = get_args(allowed)
            require(
                getattr(self, name) in values,
                f"schedule.{name} is '{getattr(self, name)}'",
                f"Use one of {', '.join(values)}",
            )
        require(
            10 <= self.num_train_steps <= MAXIMUM_TRAIN_STEPS,
            f"schedule.num_train_steps is {self.num_train_steps}",
            f"Use 10 to {MAXIMUM_TRAIN_STEPS}",
        )
        require(
            not (self.zero_terminal_snr and self.prediction == "eps"),
            "schedule.zero_terminal_snr cannot be combined with prediction 'eps', which says "
            "nothing about the image at zero signal",
            "Use prediction 'v'",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary that `from_dict` reads back.

        `clip_x0` is left out where it is off, so that versions before it read the file.
        """
        values = asdict(self)
        if not self.clip_x0:
            del values["clip_x0"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ScheduleConfig:
        """Build from a mapping; unknown keys are errors. Raises: ValueError."""
        return from_mapping(cls, values, "the schedule configuration")


_BETAS: dict[str, dict[str, Any]] = {
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 2e-2},
    "const0.008": {"beta_schedule": "linear", "beta_start": 0.008, "beta_end": 0.008},
}


@dataclass(frozen=True)
class NoiseSchedule:
    """alpha_bar and friends for timesteps 0 .. T-1, plus conversions between predictions."""

    config: ScheduleConfig

    @cached_property
    def alphas_bar(self) -> Tensor:
        """(T,) float64 in [0, 1), decreasing; exactly 0 at the end with zero terminal SNR."""
        scheduler = self.scheduler("ddim")
        alphas_bar = scheduler.alphas_cumprod.double().clone()
        if self.config.zero_terminal_snr:
            alphas_bar[-1] = 0.0
        return alphas_bar

    def timesteps(self, num_steps: int) -> list[int]:
        """The timesteps that a run of `num_steps` (1 to T) visits: as many, falling, evenly spaced.

        They are those of DDIM in diffusers and in Diff-AE where `num_steps` divides T. Where not,
        diffusers adds one below 0 to some runs with "trailing" spacing, and begins runs with
        "leading" spacing far from noise; here they are as even as whole numbers can be.
        """
        total = self.config.num_train_steps
        if self.config.spacing == "trailing":
            return [round(total - i * total / num_steps) - 1 for i in range(num_steps)]
        return [i * total // num_steps for i in reversed(range(num_steps))]

    def scheduler(self, name: str) -> Any:
        """A fresh diffusers scheduler ("ddim", "dpmpp_2m", "unipc") on this schedule.

        Raises:
            ValueError: unknown name.
        """
        import diffusers  # loads the scheduler that is asked for, which takes a second or two

        config = self.config
        common: dict[str, Any] = {
            "num_train_timesteps": config.num_train_steps,
            **_BETAS[config.betas],
            "prediction_type": {"v": "v_prediction", "eps": "epsilon"}[config.prediction],
            "timestep_spacing": config.spacing,
            "rescale_betas_zero_snr": config.zero_terminal_snr,
        }
        if name == "ddim":
            return diffusers.DDIMScheduler(**common, clip_sample=False, set_alpha_to_one=True)
        if name == "dpmpp_2m":
            return diffusers.DPMSolverMultistepScheduler(
                **common, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero"
            )
        if name == "unipc":
            return diffusers.UniPCMultistepScheduler(
                **common, solver_order=2, final_sigmas_type="zero"
            )
        raise ValueError(f"Unknown sampler '{name}'. Use one of ddim, dpmpp_2m, unipc.")

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps; t (B,) long. Source: DDPM, Eq. 4."""
        alpha_bar = self._at(t, x0)
        return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps

    def target(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """What the network should predict: eps, or v = sqrt(ab) eps - sqrt(1 - ab) x0."""
        if self.config.prediction == "eps":
            return eps
        alpha_bar = self._at(t, x0)
        return alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0

    def to_x0(self, x_t: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The image a prediction implies, not clipped."""
        alpha_bar = self._at(t, x_t)
        if self.config.prediction == "eps":
            return (x_t - (1 - alpha_bar).sqrt() * prediction) / alpha_bar.sqrt()
        return alpha_bar.sqrt() * x_t - (1 - alpha_bar).sqrt() * prediction

    def to_eps(self, x_t: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The noise a prediction implies."""
        if self.config.prediction == "eps":
            return prediction
        alpha_bar = self._at(t, x_t)
        return (1 - alpha_bar).sqrt() * x_t + alpha_bar.sqrt() * prediction

    def clipped(self, x_t: Tensor, prediction: Tensor, t: Tensor) -> Tensor:
        """The prediction whose image is that of `prediction`, clipped to [-1, 1].

        As it is without `clip_x0`. Source: `clip_denoised` in github.com/phizaz/diffae.
        """
        if not self.config.clip_x0:
            return prediction
        alpha_bar, x0 = self._at(t, x_t), self.to_x0(x_t, prediction, t).clamp(-1, 1)
        eps = (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()
        return self.target(x0, eps, t)

    def _at(self, t: Tensor, like: Tensor) -> Tensor:
        """alpha_bar at `t` (B,), broadcastable to (B, C, H, W), dtype and device of `like`."""
        # the dtype first: some devices know no float64
        values = self.alphas_bar.to(like.dtype).to(like.device)[t.long()]
        return values.view(-1, *[1] * (like.dim() - 1))
