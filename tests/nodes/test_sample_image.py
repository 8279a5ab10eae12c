"""The bundled heads as a node gives them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from comfyui_cldis.checkpoint import demo_image_paths
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS
from comfyui_cldis.nodes.sample_image import GROUP, GROUP_BOXES, SAMPLES

PAGE = Path(__file__).parents[2] / "comfyui_cldis" / "web" / "docs" / "CLDIS_SampleImage.md"


def pixels_of(index: int) -> torch.Tensor:
    return torch.from_numpy(np.array(read_image(demo_image_paths()[index]).image)) / 255


def test_there_is_a_name_for_each_sample() -> None:
    assert len(SAMPLES) == len(demo_image_paths())
    assert [name[0] for name in SAMPLES] == [path.stem[-1] for path in demo_image_paths()]


def test_a_batch_goes_on_with_the_next_and_wraps_round(run) -> None:
    image = run("CLDIS_SampleImage", sample=SAMPLES[6], batch_size=3)
    assert image.shape == (3, 512, 512, 3) and image.dtype == torch.float32
    for row, index in zip(image, (6, 7, 0), strict=True):
        assert torch.equal(row, pixels_of(index))
    assert torch.equal(run("CLDIS_SampleImage"), pixels_of(2)[None])
    assert run("CLDIS_SampleImage", batch_size=8).shape[0] == 8


def test_the_heads_of_the_group_lie_where_the_help_says(run) -> None:
    image = run("CLDIS_SampleImage", sample=GROUP, batch_size=4)
    assert image.shape == (1, 800, 1200, 3)
    assert torch.equal(image, run("CLDIS_SampleImage", sample=GROUP))
    for index, (left, top, width, height) in GROUP_BOXES.items():
        crop = image[0, top : top + height, left : left + width].movedim(-1, 0)[None]
        whole = torch.nn.functional.interpolate(
            pixels_of(index).movedim(-1, 0)[None], (height, width), mode="area"
        )
        assert float((crop - whole).abs().mean()) < 0.02
    rows = re.findall(
        r"^[|] (.+) [|] (\d+) [|] (\d+) [|] (\d+) [|] (\d+) [|]$", PAGE.read_text(), re.M
    )
    assert {name: tuple(map(int, box)) for name, *box in rows} == {
        SAMPLES[index][2:]: box for index, box in GROUP_BOXES.items()
    }
    tooltip = NODE_CLASS_MAPPINGS["CLDIS_SampleImage"].INPUT_TYPES()["required"]["sample"][1]
    assert "x 60, y 190, width 420, height 420" in tooltip["tooltip"]


def test_a_crop_of_the_group_is_edited_and_the_rest_stays(loaded, run) -> None:
    image = run("CLDIS_SampleImage", sample=GROUP)
    left, top, width, height = GROUP_BOXES[3]
    crop = {"crop_x": left, "crop_y": top, "crop_width": width, "crop_height": height}
    latent = run("CLDIS_Encode", model=loaded, image=image, inversion_steps=0, **crop)
    edited = run("CLDIS_EditSliders", model=loaded, latent=latent, edits='{"yaw": 2}')
    after = run("CLDIS_Decode", model=loaded, latent=edited, steps=1, method="tracked")
    changed = (after != image).any(-1)[0]
    assert changed.any()
    changed[top : top + height, left : left + width] = False
    assert not changed.any()


def test_another_sample_is_refused_by_name(run) -> None:
    with pytest.raises(ValueError, match="There is no sample 'cat'. Choose one of: 1 red bob"):
        run("CLDIS_SampleImage", sample="cat")
