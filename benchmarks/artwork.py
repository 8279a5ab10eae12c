"""The icon and the banner of the pack, drawn from the heads of `comfyui_cldis.datasets.heads`.

    python -m benchmarks.artwork [--output docs/images]

Writes icon.png (400 x 400, round corners, readable at 48 pixels) and banner.png (1260 x 540, that
is 21:9). The same code draws the same pixels; needs numba.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from comfyui_cldis.datasets.heads import FACTORS, render_heads
from comfyui_cldis.imaging.fonts import font_for

ICON, BANNER = 400, (1260, 540)
RENDERED = 512  # the largest size of the renderer
FINE = 4  # lines are drawn so much larger, then scaled down
INK, PAPER, ACCENT, TRACK = (26, 32, 44), (255, 255, 255), (255, 176, 46), (255, 255, 255)
MIDDLE = {
    **{"age": 0.35, "skin": 0.3, "hair_color": 0.1, "hair_length": 0.55, "fringe": 0.6},
    **{"mood": 0.7, "mouth": 0.0, "face_width": 0.0, "yaw": 0.0, "light": 0.05},
    "background": 0.56,
}
# Left and right half of the icon: one head with its hair, skin and background changed.
HALVES = (
    {"hair_color": 0.0, "skin": 0.75, "background": 0.55},
    {"hair_color": 0.62, "skin": 0.2, "background": 0.12},
)
# From left to right in the banner.
ROW = (
    {"yaw": -0.4, "hair_color": 0.0, "skin": 0.85, "hair_length": 0.1, "fringe": 0.3},
    {"yaw": -0.2, "hair_color": 0.2, "skin": 0.6, "hair_length": 0.35, "fringe": 0.5},
    {"yaw": 0.0, "hair_color": 0.45, "skin": 0.4, "hair_length": 0.6, "fringe": 0.7},
    {"yaw": 0.2, "hair_color": 0.7, "skin": 0.2, "hair_length": 0.8, "fringe": 0.9},
    {"yaw": 0.4, "hair_color": 1.0, "skin": 0.05, "hair_length": 1.0, "fringe": 1.0},
)
TITLE, LINE = "CL-Dis Sliders", "Factors of an image, learned without labels"


def heads(changes: tuple[dict[str, float], ...]) -> list[Image.Image]:
    """The middle head with each of the changes, RENDERED pixels wide."""
    rows = [[{**MIDDLE, **change}[factor.name] for factor in FACTORS] for change in changes]
    return [Image.fromarray(each) for each in render_heads(np.array(rows), RENDERED)]


def icon() -> Image.Image:
    """One head in two halves, with the knob of a slider where they meet."""
    left, right = (head.crop((20, 40, 492, 512)) for head in heads(HALVES))
    size = (ICON, ICON)
    picture = left.resize(size, Image.Resampling.LANCZOS)
    half = right.resize(size, Image.Resampling.LANCZOS).crop((ICON // 2, 0, ICON, ICON))
    picture.paste(half, (ICON // 2, 0))
    lines = Image.new("RGBA", (ICON * FINE, ICON * FINE))
    slider(ImageDraw.Draw(lines), (58, 352, 342), at=0.5, thick=20, knob=36)
    picture = over(picture, lines)
    corners = Image.new("L", (ICON * FINE, ICON * FINE))
    ImageDraw.Draw(corners).rounded_rectangle(
        (0, 0, ICON * FINE - 1, ICON * FINE - 1), radius=72 * FINE, fill=255
    )
    picture.putalpha(corners.resize(size, Image.Resampling.LANCZOS))
    return picture


def banner() -> Image.Image:
    """A row of heads that changes from left to right, above one long slider."""
    width, height = BANNER
    picture = Image.new("RGB", BANNER, INK)
    tile, top = width // len(ROW), 132
    for place, head in enumerate(heads(ROW)):
        cut = head.resize((tile, tile), Image.Resampling.LANCZOS)
        picture.paste(cut, (place * tile, top))
    lines = Image.new("RGBA", (width * FINE, height * FINE))
    slider(ImageDraw.Draw(lines), (tile // 2, 458, width - tile // 2), at=0.5, thick=14, knob=28)
    picture = over(picture, lines)
    draw = ImageDraw.Draw(picture)
    draw.text((44, 66), TITLE, fill=PAPER, font=font_for(TITLE, 54), anchor="lm")
    draw.text((width - 44, 70), LINE, fill=(190, 200, 214), font=font_for(LINE, 26), anchor="rm")
    return picture


def slider(
    draw: ImageDraw.ImageDraw, place: tuple[int, int, int], *, at: float, thick: int, knob: int
) -> None:
    """A track from x0 to x1 at the height y, filled up to the share `at`, with a knob there.

    Args:
        place: x0, y, x1 in pixels of the picture; the canvas is FINE times as large.
        thick: of the track; `knob`: radius.
    """
    x0, y, x1 = (value * FINE for value in place)
    half, radius, middle = thick * FINE // 2, knob * FINE, x0 + (x1 - x0) * at
    edge = 4 * FINE
    box = (x0 - half, y - half, x1 + half, y + half)
    draw.rounded_rectangle(
        (box[0] - edge, box[1] - edge, box[2] + edge, box[3] + edge), half + edge, INK
    )
    draw.rounded_rectangle(box, half, TRACK)
    draw.rounded_rectangle((box[0], box[1], middle, box[3]), half, ACCENT)
    for size, colour in ((radius + edge, INK), (radius, PAPER), (radius * 0.55, ACCENT)):
        draw.ellipse((middle - size, y - size, middle + size, y + size), colour)


def over(picture: Image.Image, lines: Image.Image) -> Image.Image:
    """The picture with fine lines, scaled down, on it."""
    small = lines.resize(picture.size, Image.Resampling.LANCZOS)
    return Image.alpha_composite(picture.convert("RGBA"), small).convert("RGB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    for name, picture in (("icon.png", icon()), ("banner.png", banner())):
        path = options.output / name
        picture.save(path, optimize=True)
        print(f"wrote {path} ({picture.width} x {picture.height}, {path.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
