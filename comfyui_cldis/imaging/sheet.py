"""Labelled contact sheets: rows of images, a name on the left, captions above and below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from .fonts import font_for, warn_of_missing
from .tensors import to_pixels

BACKGROUND = (246, 245, 242)
INK = (38, 38, 40)
FAINT_INK = (112, 111, 108)
HAIRLINE = (222, 220, 214)

FONT_SIZE = 15
SMALL_FONT_SIZE = 12
MARGIN = 20
GAP = 8
LABEL_GAP = 16
GROUP_GAP = 24  # more between groups of columns, with a line in its middle
MAX_LABEL_WIDTH = 220


@dataclass(frozen=True)
class Row:
    """One row of a sheet.

    Attributes:
        label: the name on the left; a second line after a newline is set smaller and fainter.
        images: (K, C, S, S) in [-1, 1], C 1 or 3.
        captions: one text under each image, or none at all.
    """

    label: str
    images: Tensor
    captions: tuple[str, ...] = ()


def contact_sheet(
    rows: Sequence[Row],
    column_labels: Sequence[str] = (),
    *,
    scale: int = 2,
    group_size: int | None = None,
) -> Image.Image:
    """Draws the rows under each other on a light sheet, every image `scale` times its size.

    Args:
        rows: at least one row; all images of one size, rows may differ in length.
        column_labels: texts above the columns, or none at all.
        scale: whole factor of enlargement, at least 1.
        group_size: so many columns belong together; a line divides them from the next. None: all.
    Returns: an RGB image that just fits its content. Characters that no installed font has are
        boxes, with a `GlyphWarning`.
    Raises: ValueError for no rows, images of unlike sizes, or a wrong number of captions.
    """
    if not rows:
        raise ValueError("The sheet has no rows. Give at least one.")
    if scale < 1:
        raise ValueError(f"scale is {scale}. Use a whole number from 1.")
    if group_size is not None and group_size < 1:
        raise ValueError(f"group_size is {group_size}. Use a whole number from 1.")
    _check_rows(rows, column_labels)
    labels = [row.label for row in rows]
    warn_of_missing([*labels, *column_labels, *(text for row in rows for text in row.captions)])
    num_columns = max(len(row.images) for row in rows)
    side = rows[0].images.shape[-1] * scale
    line, small_line = FONT_SIZE + 6, SMALL_FONT_SIZE + 6

    has_labels = any(labels)
    fitted = [_fit(label, MAX_LABEL_WIDTH) for label in labels]
    label_width = max(map(_width, fitted)) if has_labels else 0
    left = MARGIN + (label_width + LABEL_GAP if has_labels else 0)
    head = line if column_labels else 0
    heights = [side + (small_line if row.captions else 0) for row in rows]
    lefts = [
        left + column * (side + GAP) + (column // group_size * GROUP_GAP if group_size else 0)
        for column in range(num_columns)
    ]
    width = lefts[-1] + side + MARGIN
    height = MARGIN + head + sum(heights) + (len(rows) - 1) * GAP + MARGIN

    sheet = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column, text in enumerate(column_labels):
        _draw_caption(draw, text, (lefts[column] + side // 2, MARGIN), side)
    for column in range(group_size or num_columns, num_columns, group_size or num_columns):
        x = lefts[column] - (GAP + GROUP_GAP) // 2
        draw.line((x, MARGIN, x, height - MARGIN), fill=FAINT_INK)
    top = MARGIN + head
    for row, label, row_height in zip(rows, fitted, heights, strict=True):
        _draw_label(draw, label, MARGIN, top + side // 2)
        for column, image in enumerate(row.images):
            x = lefts[column]
            tile = to_image(image).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
            draw.rectangle((x - 1, top - 1, x + side, top + side), outline=HAIRLINE)
            sheet.paste(tile, (x, top))
            if row.captions:
                at = (x + side // 2, top + side + 4)
                _draw_caption(draw, row.captions[column], at, side)
        top += row_height + GAP
    return sheet


def largest_size(
    num_rows: int,
    num_columns: int,
    side: int,
    *,
    captions: bool = False,
    column_labels: bool = False,
    group_size: int | None = None,
) -> tuple[int, int]:
    """Width and height that `contact_sheet` will need at most; the width depends on the labels.

    Args:
        side: of an enlarged image, in pixels.
        captions: whether there are some under the images.
        column_labels: whether there are some above the columns.
    """
    groups = (num_columns - 1) // group_size if group_size else 0
    width = num_columns * (side + GAP) - GAP + groups * GROUP_GAP
    row = side + GAP + (SMALL_FONT_SIZE + 6 if captions else 0)
    height = num_rows * row - GAP + (FONT_SIZE + 6 if column_labels else 0)
    return width + MAX_LABEL_WIDTH + 1 + LABEL_GAP + 2 * MARGIN, height + 2 * MARGIN


def to_image(image: Tensor) -> Image.Image:
    """Turns one image (C, H, W) in [-1, 1], C 1 or 3, into an 8-bit image, clipping the rest."""
    array = to_pixels(image[None])[0].numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def _check_rows(rows: Sequence[Row], column_labels: Sequence[str]) -> None:
    size = rows[0].images.shape[-2:]
    for row in rows:
        shape = tuple(row.images.shape)
        if row.images.ndim != 4 or not shape[0] or shape[1] not in (1, 3) or shape[2] != shape[3]:
            raise ValueError(
                f"Row '{row.label}' has images of shape {shape}. Give (K, 1 or 3, S, S)."
            )
        if row.images.shape[-2:] != size:
            raise ValueError(
                f"Row '{row.label}' has {shape[-1]}-pixel images, the first row {size[-1]}-pixel "
                "ones. Bring all images of a sheet to one size."
            )
        if row.captions and len(row.captions) != len(row.images):
            raise ValueError(
                f"Row '{row.label}' has {len(row.captions)} captions for {len(row.images)} images. "
                "Give one for each or none."
            )
    num_columns = max(len(row.images) for row in rows)
    if column_labels and len(column_labels) != num_columns:
        raise ValueError(
            f"There are {len(column_labels)} column labels for {num_columns} columns. Give one for "
            "each or none."
        )


def _shorten(text: str, size: int, width: int) -> str:
    """The text as it can be drawn within a width in pixels."""
    text = text.encode(errors="backslashreplace").decode()  # Pillow draws no lone surrogates
    if font_for(text, size).getlength(text) <= width:
        return text
    while text and font_for(text, size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _sizes(lines: list[str]) -> list[int]:
    """Font sizes of a label: the first line is large, the others are small."""
    return [FONT_SIZE, *[SMALL_FONT_SIZE] * (len(lines) - 1)]


def _fit(label: str, width: int) -> list[str]:
    lines = label.split("\n")
    return [_shorten(line, size, width) for line, size in zip(lines, _sizes(lines), strict=True)]


def _width(lines: list[str]) -> int:
    pairs = zip(lines, _sizes(lines), strict=True)
    return int(max(font_for(line, size).getlength(line) for line, size in pairs)) + 1


def _draw_caption(draw: ImageDraw.ImageDraw, text: str, at: tuple[int, int], width: int) -> None:
    """Draws the text under the point `at`, centred and shortened to the width."""
    text = _shorten(text, SMALL_FONT_SIZE, width)
    draw.text(at, text, fill=FAINT_INK, font=font_for(text, SMALL_FONT_SIZE), anchor="ma")


def _draw_label(draw: ImageDraw.ImageDraw, lines: list[str], x: int, center: int) -> None:
    """Draws the lines one under another, their block centred on the height `center`."""
    height = FONT_SIZE + (len(lines) - 1) * (SMALL_FONT_SIZE + 4)
    y = center - height // 2
    for index, (line, size) in enumerate(zip(lines, _sizes(lines), strict=True)):
        offset = FONT_SIZE + 5 + (index - 1) * (SMALL_FONT_SIZE + 4) if index else 0
        ink = FAINT_INK if index else INK
        draw.text((x, y + offset), line, fill=ink, font=font_for(line, size), anchor="la")
