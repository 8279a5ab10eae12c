"""Traversal: the same image at even steps along one direction."""

from __future__ import annotations

from torch import Tensor

from ..diffusion.noise import shared_seeds
from ..editing.framing import resize
from ..editing.latent import Latent
from ..editing.pipeline import traverse
from .checks import check_directions, check_latent, check_noise, finite_amount, limited_amount
from .decode import draw
from .images import grid
from .packages import BASE, require
from .sockets import (
    CATEGORY_EDIT,
    LoadedModel,
    direction_input,
    latent_input,
    method_input,
    model_input,
    noise_input,
    sampler_input,
    seed_input,
    size_input,
    steps_input,
)

MODES = ["grid", "batch"]
LARGEST_TILE = 512  # pixels of the longer side of a frame on a sheet


class Traverse:
    DESCRIPTION = (
        "Draws a latent at even steps along one direction, to see what the direction does: as one "
        "sheet with a row for each image, or as a batch for an animation."
    )
    CATEGORY = CATEGORY_EDIT
    SEARCH_ALIASES = [
        "latent walk",
        "direction sweep",
        "slider animation",
        "contact sheet",
        "interpolation",
    ]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = (
        "grid: one sheet. batch: all frames of the first image, then those of the next.",
    )
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": model_input(),
                "latent": latent_input("The latent to start from; one row for each image."),
                "direction": direction_input(),
                "from_amount": _amount_input(-2.0, "the first"),
                "to_amount": _amount_input(2.0, "the last"),
                "frames": (
                    "INT",
                    {
                        "default": 7,
                        "min": 1,
                        "max": 256,
                        "step": 1,
                        "tooltip": (
                            "Frames for each image, evenly spaced, both ends included. 1 draws "
                            "the first amount only."
                        ),
                    },
                ),
                "mode": (
                    MODES,
                    {
                        "default": "grid",
                        "tooltip": (
                            "grid: all frames on one sheet, a row for each image, each of at "
                            "most 512 pixels. batch: one image for each frame, such as for a "
                            "video node."
                        ),
                    },
                ),
                "sampler": sampler_input(),
                "steps": steps_input(),
                "noise": noise_input(),
                "seed": seed_input(),
                "size": size_input("original"),
            },
            "optional": {
                "method": method_input(),
            },
        }

    def execute(
        self,
        model: LoadedModel,
        latent: Latent,
        direction: str,
        from_amount: float,
        to_amount: float,
        frames: int,
        mode: str,
        sampler: str,
        steps: int,
        noise: str,
        seed: int,
        size: str,
        method: str = "auto",
    ) -> tuple[Tensor]:
        require(BASE)
        name = direction.strip()
        check_latent(model, latent)
        check_directions(model, (name,))
        check_noise(latent, noise)
        first, last = (
            limited_amount(model, name, finite_amount(name, amount))
            for amount in (from_amount, to_amount)
        )
        amounts = spaced(first, last, frames)
        is_sheet = mode == "grid"
        image = draw(
            model,
            traverse(model.editable, latent, name, amounts),
            sampler=sampler,
            num_steps=steps,
            seed=shared_seeds(seed if noise == "seed" else None, len(latent), frames),
            size=size,
            method=method,
            finish=_for_grid if is_sheet else None,
        )
        return (grid(image, frames) if is_sheet else image,)


def spaced(first: float, last: float, count: int) -> list[float]:
    """`count` evenly spaced numbers from `first` to `last`; a zero in the middle is exactly 0."""
    if count == 1:
        return [first]
    return [(first * (count - 1 - index) + last * index) / (count - 1) for index in range(count)]


def _for_grid(image: Tensor) -> Tensor:
    """Frames (B, H, W, C), made smaller where a sheet of them would be huge."""
    height, width = image.shape[1:3]
    scale = LARGEST_TILE / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return resize(image.movedim(-1, 1), *size).movedim(1, -1)


def _amount_input(default: float, which: str) -> tuple[str, dict]:
    tooltip = f"Amount of {which} frame, roughly in standard deviations. 0 is the unedited image."
    return (
        "FLOAT",
        {
            "default": default,
            "min": -10.0,
            "max": 10.0,
            "step": 0.05,
            "round": 0.001,
            "tooltip": tooltip,
        },
    )
