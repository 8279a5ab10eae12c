"""What `cldis track` adds to the score: pictures from a folder, and the result as a table."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from .editing.framing import frame
from .picture import read_picture
from .tracking import Tracking, TrackingSettings

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
PARTS = (
    "purity",
    "compactness",
    "distinctness",
    "coverage",
    "consistency",
    "persistence",
    "monotonicity",
)


def read_folder(
    folder: Path, image_size: int, channels: int, settings: TrackingSettings, seed: int
) -> Tensor:
    """As many pictures of a folder as the score needs, drawn by the seed, cropped to the model.

    Returns:
        (n, channels, image_size, image_size) in [-1, 1].

    Raises:
        FileNotFoundError, ValueError: no such folder, fewer than two pictures in it, or one that
            cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {folder}. Name a folder of pictures for --data."
        )
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    if len(paths) < 2:
        raise ValueError(
            f"{folder} holds {len(paths)} pictures ({', '.join(PICTURE_ENDINGS)}). "
            f"Content tracking needs at least 2, better {settings.num_coverage}."
        )
    order = torch.randperm(len(paths), generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = order[: max(settings.num_bases, settings.num_coverage)]
    framed = [frame(read_picture(paths[at], channels), image_size, "crop")[0] for at in chosen]
    return torch.cat(framed)


def tracking_table(result: Tracking) -> str:
    """Markdown: the score with its parts, then a line for each direction, purest first."""
    cts = "unknown (A is; give pictures with --data)" if result.cts is None else _cell(result.cts)
    lines = [
        f"Content-tracking score {cts}, {result.num_active} of {len(result.directions)} directions "
        f"active, seed {result.settings['seed']}.",
        "",
        "| part | value |",
        "|---|---|",
        *(f"| {part} | {_cell(getattr(result, part))} |" for part in PARTS),
        "",
        "| direction | step (sd) | change | purity | most like | monotone | mostly |",
        "|---" * 7 + "|",
    ]
    rows = sorted(result.directions, key=lambda row: (not row.is_active, -(row.purity or 0.0)))
    for row in rows:
        if not row.is_active:
            lines.append(f"| {row.name} | {row.step:.2f} | {row.change:.1f} | not active | | | |")
            continue
        nearest = "" if row.nearest is None else f"{row.nearest} ({_cell(row.similarity)})"
        mostly = max(row.channels, key=lambda channel: row.channels[channel])
        lines.append(
            f"| {row.name} | {row.step:.2f} | {row.change:.1f} | {_cell(row.purity)} | {nearest} "
            f"| {_cell(row.monotonicity)} | {mostly} {row.channels[mostly]:.0%} |"
        )
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
