"""Several pictures of different sizes in one: framed, on a softly lit wall."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter

LIT, SHADED = (226, 220, 209), (176, 168, 158)  # of the wall, top left and bottom right
FRAME, LINE, SHADOW = (250, 248, 244), (138, 128, 117), (88, 78, 70)
FRAME_WIDTH = 14  # pixels around each picture
SHADOW_SHIFT, SHADOW_BLUR, SHADOW_SHARE = 10, 12, 150  # pixels, pixels, of 255


def picture_wall(
    pictures: Sequence[Image.Image],
    boxes: Sequence[tuple[int, int, int, int]],
    size: tuple[int, int],
) -> Image.Image:
    """Hangs pictures on a wall; the same ones always give the same wall.

    Args:
        pictures: of any size and mode.
        boxes: left, top, width, height of each in pixels, without its frame of `FRAME_WIDTH`.
        size: width and height of the wall.

    Returns:
        An RGB image.

    Raises:
        ValueError: another number of boxes than of pictures, or a frame beyond the wall.
    """
    if len(pictures) != len(boxes):
        raise ValueError(f"There are {len(pictures)} pictures and {len(boxes)} boxes. Pair them.")
    frames = [_frame(box) for box in boxes]
    for frame in frames:
        if min(frame[:2]) < 0 or frame[2] >= size[0] or frame[3] >= size[1]:
            raise ValueError(
                f"A frame from {frame[:2]} to {frame[2:]} does not fit on a wall of {size[0]} x "
                f"{size[1]} pixels. Hang the picture within it."
            )
    wall = _wall(size)
    shadows = Image.new("L", size)
    for left, top, right, bottom in frames:
        shifted = (left, top + SHADOW_SHIFT, right, bottom + SHADOW_SHIFT)
        ImageDraw.Draw(shadows).rectangle(shifted, fill=SHADOW_SHARE)
    wall.paste(SHADOW, mask=shadows.filter(ImageFilter.GaussianBlur(SHADOW_BLUR)))
    for picture, (left, top, width, height), frame in zip(pictures, boxes, frames, strict=True):
        ImageDraw.Draw(wall).rectangle(frame, fill=FRAME, outline=LINE)
        sized = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        wall.paste(sized, (left, top))
    return wall


def _frame(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a picture with its frame, the last ones included."""
    left, top, width, height = box
    return (
        left - FRAME_WIDTH,
        top - FRAME_WIDTH,
        left + width + FRAME_WIDTH - 1,
        top + height + FRAME_WIDTH - 1,
    )


def _wall(size: tuple[int, int]) -> Image.Image:
    """A wall that is lit from the top left."""
    ramp = Image.linear_gradient("L").resize(size, Image.Resampling.BICUBIC)
    across = Image.linear_gradient("L").rotate(90).resize(size, Image.Resampling.BICUBIC)
    shade = Image.blend(ramp, across, 0.5)
    return Image.composite(Image.new("RGB", size, SHADED), Image.new("RGB", size, LIT), shade)
