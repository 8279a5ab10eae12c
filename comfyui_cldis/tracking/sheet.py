"""The image sheet of a score: frames of each direction, its motion, and what changed where."""

from __future__ import annotations

import math

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from ..imaging.sheet import (
    BACKGROUND,
    FAINT_INK,
    INK,
    MARGIN,
    SMALL_FONT_SIZE,
    Row,
    contact_sheet,
    largest_size,
    to_image,
)
from .result import DirectionTrack, Evidence, Tracking

TILE = 96  # about how many pixels wide an image is drawn
LEAST_MOTION = 2.0  # pixels that the strongest colour of a sheet stands for, at least
LEAST_CHANGE = 10.0  # CIELAB
FAINTEST = 0.1  # of the strongest effect of the sheet: a row below it is not stretched to full dark
WHEEL = 72  # pixels
LOST = (0.72, 0.72, 0.72)
PAPER, GLOW, DEEP = (1.0, 1.0, 1.0), (0.93, 0.55, 0.20), (0.36, 0.05, 0.16)
FRAME_LABELS = ("-1", "-1/2", "0", "+1/2", "+1")
MAP_LABELS = ("motion", "recoloured", "where, all")


def tracking_sheet(score: Tracking) -> Image.Image:
    """One row for each direction: five frames, motion, colour change after the motion, and where.

    Purest first; directions that are not active are only counted, unless none is active. The last
    three columns are: motion from the first frame to the last as colour (see the wheel below, grey
    where content was lost); how much colour and brightness changed once the motion is followed; and
    all scaled effects together, as a mean over all base images. Motion and colour share one scale
    over the sheet, `where` has its own in each row.

    Raises:
        ValueError: a score without evidence, such as one that was read from a file.
    """
    if not score.directions or any(row.evidence is None for row in score.directions):
        raise ValueError("This score holds no images. Draw the sheet from the result of track().")
    shown = [row for row in score.directions if row.is_active or not score.num_active]
    shown.sort(key=lambda row: -(row.purity or 0.0))
    evidence = [row.evidence for row in shown if row.evidence is not None]
    full_motion = max(LEAST_MOTION, *(_top(item.motion.norm(dim=0)) for item in evidence))
    full_change = max(LEAST_CHANGE, *(_top(item.recoloured) for item in evidence))
    full_effect = max(float(item.where.max()) for item in evidence)
    rows = [
        Row(_label(row), _tiles(item, full_motion, full_change, full_effect * FAINTEST))
        for row, item in zip(shown, evidence, strict=True)
    ]
    scale = max(1, round(TILE / rows[0].images.shape[-1]))
    sheet = contact_sheet(rows, (*FRAME_LABELS, *MAP_LABELS), scale=scale)
    return _with_legend(sheet, score, full_motion, full_change)


def tracking_sheet_size(num_directions: int, image_size: int) -> tuple[int, int]:
    """Width and height that `tracking_sheet` will need if so many directions are active."""
    side = image_size * max(1, round(TILE / image_size))
    num_columns = len(FRAME_LABELS) + len(MAP_LABELS)
    width, height = largest_size(num_directions, num_columns, side, column_labels=True)
    return width, height + WHEEL + MARGIN


def motion_colours(motion: Tensor, full: float) -> Tensor:
    """Motion (2, H, W) in pixels as colours (3, H, W) in [0, 1]: hue is where to, white is still.

    Red is right, then clockwise as on screen; colours are strongest at `full` pixels and beyond.

    Source: the wheel is that of optical flow benchmarks (Baker et al. 2011), in plain HSV.
    """
    hue = torch.atan2(motion[1], motion[0]) / (2 * math.pi)  # of the whole circle
    strength = (motion.norm(dim=0) / full).clamp(0, 1)
    corner = (hue * 6 + torch.tensor([5.0, 3.0, 1.0])[:, None, None]) % 6
    ramp = torch.minimum(corner, 4 - corner).clamp(0, 1)
    return 1 - strength * ramp


def heat_colours(values: Tensor, full: float) -> Tensor:
    """Values (H, W) from 0 (white) over orange to `full` (dark red) as colours (3, H, W)."""
    level = (values.float() / full).clamp(0, 1)
    paper, glow, deep = (torch.tensor(colour)[:, None, None] for colour in (PAPER, GLOW, DEEP))
    low, high = (2 * level).clamp(max=1), (2 * level - 1).clamp(min=0)
    return paper + (glow - paper) * low + (deep - glow) * high


def _tiles(item: Evidence, full_motion: float, full_change: float, faintest: float) -> Tensor:
    size = tuple(item.frames.shape[-2:])
    lost = torch.tensor(LOST)[:, None, None]
    motion = motion_colours(item.motion, full_motion)
    motion = torch.where(item.found | ~item.motion.any(dim=0), motion, lost)
    change = torch.where(item.found, heat_colours(item.recoloured, full_change), lost)
    where = functional.interpolate(item.where[None, None].float(), size=size, mode="bilinear")[0, 0]
    top = max(float(item.where.max()), faintest, 1e-6)
    maps = torch.stack([_at_size(motion, size), _at_size(change, size), heat_colours(where, top)])
    frames = item.frames.expand(-1, 3, -1, -1)
    return _on_squares(torch.cat([frames, maps * 2 - 1]))


def _at_size(colours: Tensor, size: tuple[int, ...]) -> Tensor:
    return functional.interpolate(colours[None], size=size, mode="nearest")[0]


def _on_squares(images: Tensor) -> Tensor:
    """Images (n, 3, H, W) in [-1, 1] in the middle of squares of the sheet's own colour."""
    height, width = images.shape[-2:]
    if height == width:
        return images
    side = max(height, width)
    paper = torch.tensor(BACKGROUND).view(3, 1, 1) / 127.5 - 1
    squares = paper.repeat(len(images), 1, side, side)
    top, left = (side - height) // 2, (side - width) // 2
    squares[:, :, top : top + height, left : left + width] = images
    return squares


def _top(values: Tensor) -> float:
    return float(torch.quantile(values.flatten().float(), 0.99))


def _label(row: DirectionTrack) -> str:
    if not row.is_active:
        return f"{row.name}\nnot active\n{row.change:.1f} at ±{row.step:.3g} sd"
    lines = [row.name, f"±{row.step:.2f} sd"]
    if row.purity is not None:
        lines[1] += f", purity {row.purity:.2f}"
    if row.nearest is not None:
        lines.append(f"{row.similarity:.2f} like {row.nearest}")
    return "\n".join(lines)


def _with_legend(
    sheet: Image.Image, score: Tracking, full_motion: float, full_change: float
) -> Image.Image:
    """The sheet with the score, the colour wheel and the scales under it."""
    taller = Image.new("RGB", (sheet.width, sheet.height + WHEEL + MARGIN), BACKGROUND)
    taller.paste(sheet, (0, 0))
    axis = torch.linspace(-1, 1, WHEEL)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    wheel = motion_colours(torch.stack([x, y]), 1.0)
    paper = torch.tensor(BACKGROUND)[:, None, None] / 255
    wheel = torch.where(torch.hypot(x, y) <= 1, wheel, paper)
    taller.paste(to_image(wheel * 2 - 1), (MARGIN, sheet.height))
    draw = ImageDraw.Draw(taller)
    small = ImageFont.load_default(SMALL_FONT_SIZE)
    cts = "unknown (coverage is not measured)" if score.cts is None else f"{score.cts:.3f}"
    coverage = "unknown" if score.coverage is None else f"{score.coverage:.2f}"
    lines = (
        f"CTS {cts} (version {score.version})    purity {score.purity:.2f}    "
        f"compactness {score.compactness:.2f}    distinctness {score.distinctness:.2f}    "
        f"coverage {coverage}    {score.num_active} of {len(score.directions)} directions active",
        f"motion: the way content goes from -1 to +1; strongest colour {full_motion:.1f} pixels, "
        "grey where it was lost",
        f"recoloured: CIELAB change after following the motion; darkest {full_change:.0f}",
        "where, all: every effect, mean over all base images; darkest is the row's own maximum",
    )
    for index, text in enumerate(lines):
        top = sheet.height + index * (SMALL_FONT_SIZE + 6)
        ink = FAINT_INK if index else INK
        draw.text((MARGIN + WHEEL + MARGIN, top), text, fill=ink, font=small)
    return taller
