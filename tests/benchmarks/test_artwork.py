"""Icon and banner are what the code draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("numba", reason="the heads are drawn with numba")

from benchmarks import artwork  # noqa: E402

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


@pytest.mark.parametrize(("draw", "name"), [(artwork.icon, "icon"), (artwork.banner, "banner")])
def test_the_committed_picture_is_the_drawn_one(draw, name: str) -> None:
    drawn = draw()
    with Image.open(IMAGES / f"{name}.png") as kept:
        assert kept.mode == drawn.mode and kept.size == drawn.size
        difference = np.abs(np.asarray(kept, float) - np.asarray(drawn, float))
    # Fonts and rounding differ a little between versions of Pillow and numba.
    assert difference.mean() < 1
