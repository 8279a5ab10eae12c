"""Animation: edits at some frames, and the images of all frames."""

from __future__ import annotations

from torch import Tensor

from ..editing.keyframes import MAXIMUM_FRAMES, Keyframe, amounts_at_frames, parse_keyframes
from ..editing.latent import Latent
from ..editing.pipeline import edit
from .checks import accepted, check_latent, limited_amounts
from .decode import draw
from .packages import BASE, require
from .sockets import (
    CATEGORY_SAMPLING,
    LoadedModel,
    easing_input,
    latent_input,
    mask_input,
    method_input,
    model_input,
    sampler_input,
    steps_input,
    strength_input,
)

DEFAULT = """[
  {"frame": 0, "edits": {}},
  {"frame": 12, "edits": {"head turn": 1.5}}
]"""


class Animate:
    DESCRIPTION = (
        "Moves an image from keyframe to keyframe of edits and draws every frame, for a video "
        "node. The frames keep the pixels of the image."
    )
    CATEGORY = CATEGORY_SAMPLING
    SEARCH_ALIASES = ["keyframes", "animation", "video from image", "slider animation", "loop"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("One image for each frame, for a video node or Save Animated WEBP.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        method, options = method_input()
        return {
            "required": {
                "model": model_input(),
                "latent": latent_input("The image to animate: a latent of one, edited or not."),
                "keyframes": (
                    "STRING",
                    {
                        "default": DEFAULT,
                        "multiline": True,
                        "tooltip": (
                            "A JSON list of frames and the edits there, roughly in standard "
                            "deviations, on top of those of the latent. A direction that a "
                            "keyframe does not name is 0 there."
                        ),
                    },
                ),
                "frames": (
                    "INT",
                    {
                        "default": 0,
                        "min": 0,
                        "max": MAXIMUM_FRAMES,
                        "step": 1,
                        "tooltip": (
                            "How many frames there are. 0: until the last keyframe, and in a loop "
                            "back to the first, as fast as it came."
                        ),
                    },
                ),
                "easing": easing_input(),
                "loop": (
                    "BOOLEAN",
                    {
                        "default": False,
                        "tooltip": (
                            "Whether it goes back from the last keyframe to the first, so that "
                            "the end meets the start."
                        ),
                    },
                ),
                "sampler": sampler_input(),
                "steps": steps_input(),
            },
            "optional": {
                "method": (method, {**options, "default": "tracked"}),
                "strength": strength_input(),
                "mask": mask_input(),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, keyframes):
        return accepted(keyframes, parse_keyframes)

    def execute(
        self,
        model: LoadedModel,
        latent: Latent,
        keyframes: str,
        frames: int,
        easing: str,
        loop: bool,
        sampler: str,
        steps: int,
        method: str = "tracked",
        strength: float = 1.0,
        mask: Tensor | None = None,
    ) -> tuple[Tensor]:
        require(BASE)
        check_latent(model, latent)
        if len(latent) != 1:
            raise ValueError(
                f"The latent has {len(latent)} images and an animation is of one. Encode one image."
            )
        if latent.x_T is None and not latent.sources:
            raise ValueError(
                "The latent has neither inverted noise nor its image. Connect one that comes from "
                "CLDis Encode Image."
            )
        limited = [
            Keyframe(each.frame, limited_amounts(model, each.edits))
            for each in parse_keyframes(keyframes)
        ]
        amounts = amounts_at_frames(limited, frames, easing=easing, loop=loop)
        walk = edit(model.editable, latent.repeat(len(amounts)), amounts)
        images = draw(
            model,
            walk,
            sampler=sampler,
            num_steps=steps,
            method=method,
            strength=strength,
            mask=mask,
        )
        return (images,)
