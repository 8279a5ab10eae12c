"""The help pages' pictures: one on each page, there, small, and drawn by the one command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "comfyui_cldis" / "web" / "docs"
LIMIT_BYTES = 40_000
LIMIT_WIDTH = 900  # pixels; the help panel is narrower
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)]*)\)")


@pytest.mark.parametrize("node_id", NODE_CLASS_MAPPINGS)
def test_each_page_has_a_picture(node_id: str) -> None:
    pictures = PICTURE.findall((PAGES / f"{node_id}.md").read_text(encoding="utf-8"))
    assert pictures, f"{node_id}.md has no picture"
    for words, target in pictures:
        # The frontend takes what is relative from the folder of the pages.
        assert re.fullmatch(r"images/\w+\.jpg", target)
        assert len(words) > 20  # for those who do not see it
        path = PAGES / target
        assert path.stat().st_size < LIMIT_BYTES
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
            assert picture.width <= LIMIT_WIDTH
            assert picture.convert("L").getextrema() != (255, 255)


@pytest.mark.parametrize("node_id", NODE_CLASS_MAPPINGS)
def test_each_page_has_an_example(node_id: str) -> None:
    text = (PAGES / f"{node_id}.md").read_text(encoding="utf-8")
    assert re.search(r"^Examples?[:,]", text, flags=re.MULTILINE)


def test_there_are_no_pictures_without_a_page() -> None:
    used = {
        target
        for page in PAGES.glob("*.md")
        for _, target in PICTURE.findall(page.read_text(encoding="utf-8"))
    }
    assert used == {f"images/{path.name}" for path in (PAGES / "images").iterdir()}


def test_one_command_draws_all_pictures() -> None:
    pytest.importorskip("numba", reason="some of the pictures are drawn with numba")
    from benchmarks.help_pictures import PICTURES

    assert PICTURES.keys() == NODE_CLASS_MAPPINGS.keys()
