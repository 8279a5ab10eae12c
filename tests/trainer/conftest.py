"""Folders of small images that several test files train on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def draw_images(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """`draw_images(20)` makes a folder 00.png, 01.png, ... of four soft patches, 32 x 32 px."""

    def draw(count: int) -> Path:
        folder = tmp_path_factory.mktemp("images")
        rng = np.random.default_rng(0)
        for index in range(count):
            colours = rng.integers(0, 255, (2, 2, 3), dtype=np.uint8)
            Image.fromarray(colours).resize((32, 32)).save(folder / f"{index:02d}.png")
        return folder

    return draw
