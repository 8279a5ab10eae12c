"""Comparison: an image before and after an edit, in one image."""

from __future__ import annotations

from torch import Tensor

from ..editing.framing import resize
from ..imaging.compare import difference, side_by_side, split_view
from .images import check_images, to_comfyui, to_pixels
from .packages import BASE, require
from .sockets import CATEGORY

SIDE_BY_SIDE, SPLIT, DIFFERENCE = LAYOUTS = ["side by side", "split", "difference"]


class Compare:
    DESCRIPTION = (
        "Puts an image before and after an edit into one: side by side, split by a line, or as "
        "the difference of the two."
    )
    CATEGORY = CATEGORY
    SEARCH_ALIASES = ["before after", "image compare", "side by side", "split view", "difference"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("One comparison for each pair of images.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "before": ("IMAGE", {"tooltip": "The image before; one for all, or one for each."}),
                "after": (
                    "IMAGE",
                    {
                        "tooltip": (
                            "The image after; one for all, or one for each. Where its size is "
                            "another, it is resized to that of before."
                        )
                    },
                ),
                "layout": (
                    list(LAYOUTS),
                    {
                        "default": SIDE_BY_SIDE,
                        "tooltip": (
                            "side by side: before on the left, after on the right. split: one "
                            "image, before on the left of a line. difference: black where nothing "
                            "changed, four times as bright as the change."
                        ),
                    },
                ),
                "split": (
                    "FLOAT",
                    {
                        "default": 0.5,
                        "min": 0.0,
                        "max": 1.0,
                        "step": 0.01,
                        "tooltip": (
                            "Share of the width that shows before, for the layout split; the "
                            "others do not use it."
                        ),
                    },
                ),
            }
        }

    def execute(self, before: Tensor, after: Tensor, layout: str, split: float) -> tuple[Tensor]:
        require(BASE)
        check_images(before)
        check_images(after)
        if len(before) != len(after) and 1 not in (len(before), len(after)):
            raise ValueError(
                f"before has {len(before)} images and after {len(after)}. Connect as many of "
                "both, or only one of the one."
            )
        if layout not in LAYOUTS:
            raise ValueError(f"layout is '{layout}'. Use one of: {', '.join(LAYOUTS)}.")
        first, second = (to_pixels(image, 3, "CLDis Compare") for image in (before, after))
        second = resize(second.to(first.device), *first.shape[-2:])
        batch = max(len(first), len(second))
        first, second = (each.expand(batch, -1, -1, -1) for each in (first, second))
        if layout == SPLIT:
            found = split_view(first, second, split)
        else:
            found = (difference if layout == DIFFERENCE else side_by_side)(first, second)
        return (to_comfyui(list(found)),)
