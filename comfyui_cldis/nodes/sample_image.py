"""Sample images: the heads bundled with the pack, one by one or as a wall of framed pictures."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from ..checkpoint.demo import demo_image_paths
from ..imaging.reading import read_image
from ..imaging.tensors import image_pixels
from ..imaging.wall import picture_wall
from . import host
from .images import to_comfyui
from .packages import BASE, require
from .sockets import CATEGORY_LOADERS

# Names as workflows store them, in the order of the files; never rename one.
SAMPLES = [
    "1 red bob, laughing",
    "2 golden hair, dark skin",
    "3 long black hair",
    "4 short brown hair",
    "5 long grey hair",
    "6 short red hair, sad",
    "7 auburn hair, laughing",
    "8 blonde hair",
]
GROUP = "group"
GROUP_SIZE = (1200, 800)  # width, height
# Which head hangs where: left, top, width, height in pixels.
GROUP_BOXES = {
    2: (60, 190, 420, 420),
    3: (560, 80, 260, 260),
    0: (900, 110, 224, 224),
    5: (546, 420, 288, 288),
    7: (892, 440, 240, 240),
}


class SampleImage:
    DESCRIPTION = (
        "Gives heads that come with the pack, 512 x 512 pixels each, so that a workflow runs "
        "before you have an image of your own. The bundled model was not trained on them."
    )
    CATEGORY = CATEGORY_LOADERS
    SEARCH_ALIASES = ["example image", "demo image", "test image", "sample head", "sample face"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("The heads, 512 x 512 pixels each; the group, 1200 x 800 pixels.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        left, top, width, height = GROUP_BOXES[2]
        return {
            "required": {
                "sample": (
                    [*SAMPLES, GROUP],
                    {
                        "default": SAMPLES[2],
                        "tooltip": (
                            "Which head. group: five framed heads in one picture of 1200 x 800, to "
                            f"try a crop: x {left}, y {top}, width {width}, height {height} is the "
                            "largest; the help page lists all."
                        ),
                    },
                ),
                "batch_size": (
                    "INT",
                    {
                        "default": 1,
                        "min": 1,
                        "max": len(SAMPLES),
                        "step": 1,
                        "tooltip": (
                            "How many heads: the one chosen and those that follow it, from the "
                            "first again after the last. There is one group, whatever the number."
                        ),
                    },
                ),
            }
        }

    def execute(self, sample: str, batch_size: int) -> tuple[Tensor]:
        require(BASE)
        if sample == GROUP:
            return (_image([_group()]),)
        if sample not in SAMPLES:
            raise ValueError(
                f"There is no sample '{sample}'. Choose one of: {', '.join([*SAMPLES, GROUP])}."
            )
        first = SAMPLES.index(sample)
        return (_image([_head((first + index) % len(SAMPLES)) for index in range(batch_size)]),)


def _head(index: int) -> Image.Image:
    return read_image(demo_image_paths()[index]).image


def _group() -> Image.Image:
    heads = [_head(index) for index in GROUP_BOXES]
    return picture_wall(heads, list(GROUP_BOXES.values()), GROUP_SIZE)


def _image(pictures: list[Image.Image]) -> Tensor:
    """ComfyUI's (B, H, W, 3) of RGB images of one size."""
    pixels = torch.cat([image_pixels(picture) for picture in pictures]).float() / 255
    return host.to_intermediate(to_comfyui(list(pixels)))
