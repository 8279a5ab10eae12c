"""What a search for directions depends on, besides the model, the images and the seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from comfyui_cldis.model.config import require

from ..config.settings import Finder

View = Literal["x0_hat", "preview"]
FINDERS: tuple[str, ...] = get_args(Finder)
STEPPED = ("learned", "flow")  # finders that are trained


@dataclass(frozen=True)
class NavigationSettings:
    """Results compare only under equal settings.

    Attributes:
        finder: how the directions are found.
        directions: K; 0 means one for each dimension of the code that changes the image.
        view: how a code becomes an image while directions are sought: "x0_hat" (the decoder's
            estimate of the clean image after one evaluation, from a noisy image) or "preview"
            (the co-pilot's decoder, much cheaper, blurry).
        steps: of the finders that are trained.
        images_per_step, moves_per_image: base images in a step, and how many different
            directions each of them is moved along.
        angle_rate, predictor_rate: learning rates of Adam for the directions and for the networks
            beside them.
        shift_weight: weight of the predicted amount in the loss of the learned directions.
        redundancy_weight: weight of the penalty on two directions that change an image alike.
        wave_weight: weight of the wave equation's residual, for the finder "flow".
    """

    finder: Finder = "axes"
    directions: int = 0
    view: View = "x0_hat"
    steps: int = 300
    images_per_step: int = 8
    moves_per_image: int = 3
    angle_rate: float = 1e-2
    predictor_rate: float = 2e-3
    shift_weight: float = 0.25
    redundancy_weight: float = 1.0
    wave_weight: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("finder", FINDERS), ("view", get_args(View))):
            value = getattr(self, name)
            require(value in allowed, f"{name} is '{value}'", f"Use one of {', '.join(allowed)}")
        for name in ("directions", "steps", "shift_weight", "redundancy_weight", "wave_weight"):
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value}", "Use 0 or more")
        for name in ("images_per_step", "moves_per_image"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}", "Use 1 or more")
        for name in ("angle_rate", "predictor_rate"):
            value = getattr(self, name)
            require(value > 0, f"{name} is {value}", "Use a positive number")

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)
