"""Values of options as text: what they become, and what is refused."""

from __future__ import annotations

import argparse

import pytest

from comfyui_cldis.cli.arguments import parse_crop
from comfyui_cldis.editing.framing import Box


@pytest.mark.parametrize("text", ["800,200,600,400", " 800, 200 ,600,400 "])
def test_a_crop_is_left_top_width_height(text: str) -> None:
    assert parse_crop(text) == Box(left=800, top=200, width=600, height=400)


@pytest.mark.parametrize(
    "text",
    ["", "1,2,3", "1,2,3,4,5", "1,2,3,", "-1,2,3,4", "1.5,2,3,4", "1;2;3;4", "a,b,c,d", "²,1,1,1"],
)
def test_other_crops_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        argparse.ArgumentTypeError, match="X,Y,W,H in whole pixels.*800,200,600,600"
    ):
        parse_crop(text)
