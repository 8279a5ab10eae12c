"""The data report in a run's folder: figures, a sample sheet, the skipped files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from comfyui_cldis.atomic_write import replacing, write_text

from .images import ImageSet
from .report import DataReport

REPORT_NAME = "data_report.json"
SHEET_NAME = "data_report.png"
SKIPPED_NAME = "skipped_files.txt"

_COLUMNS = 8
_TILE_PIXELS = 128


def write_report(image_set: ImageSet, folder: Path) -> None:
    """Writes `data_report.json`, `data_report.png` and, when files were skipped, their list.

    Reads at most 64 images. A list of an earlier call is removed when nothing was skipped.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = image_set.report
    write_text(folder / REPORT_NAME, report.to_json() + "\n")
    skipped_path = folder / SKIPPED_NAME
    if report.skipped:
        lines = [f"{name}\t{reason}\n" for name, reason in report.skipped]
        write_text(skipped_path, "".join(lines))
    else:
        skipped_path.unlink(missing_ok=True)
    with replacing(folder / SHEET_NAME) as temporary:
        _draw_sheet(image_set).save(temporary, "PNG")


def read_report(folder: Path) -> DataReport | None:
    """The figures that `write_report` wrote; None where there are none of this version."""
    path = folder / REPORT_NAME
    try:
        return DataReport.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _draw_sheet(image_set: ImageSet) -> Image.Image:
    """Up to 64 evenly spaced images, each with its file's name, in rows of eight."""
    from comfyui_cldis.imaging.sheet import Row, contact_sheet  # slow to import
    from comfyui_cldis.imaging.tensors import from_pixels

    findings = image_set.report.findings
    if findings is None:
        raise ValueError("The report has no findings. Open the data with open_images.")
    size = image_set.images.shape[1]
    rows: list[Row] = []
    for start in range(0, len(findings.samples), _COLUMNS):
        samples = findings.samples[start : start + _COLUMNS]
        tiles = np.stack([_shrink(image_set.images[row]) for row, _ in samples])
        tensor = from_pixels(tiles)
        rows.append(
            Row(
                label=f"{samples[0][0] + 1:,}\nto {samples[-1][0] + 1:,}",
                images=tensor,
                captions=tuple(name.rsplit("/", 1)[-1] for _, name in samples),
            )
        )
    return contact_sheet(rows, scale=max(1, _TILE_PIXELS // size))


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """Brings (S, S, C) to the size of a tile when it is larger."""
    if len(pixels) <= _TILE_PIXELS:
        return np.array(pixels)
    channels = pixels.shape[2]
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    small = image.resize((_TILE_PIXELS, _TILE_PIXELS), Image.Resampling.LANCZOS)
    return np.array(small).reshape(_TILE_PIXELS, _TILE_PIXELS, channels)
