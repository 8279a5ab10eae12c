"""Any image that Pillow opens -> 8-bit sRGB or grey, by these rules:

- grey of 16 bits is rounded to 8; wider whole numbers are refused;
- floating-point grey from 0 (black) to 1 (white) is scaled; what lies outside is refused;
- an embedded colour profile is applied, one that is damaged or of another kind of image is not;
- transparent parts are laid over white;
- palette, CMYK, YCbCr, Lab and one-bit images become RGB or grey;
- grey becomes three equal channels, or colour the luma .299 R + .587 G + .114 B.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

# Mode of an image -> the mode that its colour profile speaks of.
_PROFILED = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "YCbCr": "RGB", "CMYK": "CMYK"}
# ... and what such a profile says in bytes 16 to 19 (ICC.1:2010, 7.2.6).
_SPACES = {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}
_GREY_WITH_ALPHA = ("1", "L", "LA", "La")
_ROUNDING = 0.5 / 255  # how far outside 0 to 1 a floating-point value still rounds to a level


def to_eight_bits(image: Image.Image, channels: int, profile: bytes | None = None) -> Image.Image:
    """Brings an image to mode "RGB" (3 channels) or "L" (1 channel).

    Args:
        image: of any mode.
        channels: 3 or 1.
        profile: the ICC profile that its colours are in; None: sRGB.

    Raises:
        ValueError: values that fit no 8 or 16 bits, or a mode that Pillow cannot convert.
    """
    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):
        image = _deep_to_grey(image)
    elif image.mode == "F":
        image = _float_to_grey(image)
    elif image.mode == "LAB":
        return _transformed(image, ImageCms.createProfile("LAB")).convert(mode)
    if not image.has_transparency_data:
        return to_srgb(image, profile).convert(mode)
    if image.mode == "La":  # premultiplied, which Pillow converts to nothing else
        image = image.convert("LA")
    is_grey = image.mode in _GREY_WITH_ALPHA
    with_alpha = image.convert("RGBA")
    if profile:
        alpha = with_alpha.getchannel("A")
        with_alpha = to_srgb(with_alpha.convert("L" if is_grey else "RGB"), profile)
        with_alpha = with_alpha.convert("RGB")
        with_alpha.putalpha(alpha)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, with_alpha).convert(mode)


def without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours of an image, and its transparency as mode "L"; None where it has none.

    Grey of 16 bits stays as it is: `to_eight_bits` lays it over white.
    """
    if not image.has_transparency_data or image.mode.startswith("I"):
        return image, None
    is_grey = image.mode in _GREY_WITH_ALPHA
    image = image.convert("LA" if is_grey else "RGBA")
    return image.convert("L" if is_grey else "RGB"), image.getchannel("A")


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The colours of an image, which are in an ICC profile, in sRGB.

    The image itself where there is no profile, a damaged one or one of another kind of image.
    """
    mode = _PROFILED.get(image.mode)
    if not profile or mode is None or profile[16:20] != _SPACES[mode]:
        return image
    try:
        # Most are sRGB, to which a transform would add nothing but errors of rounding.
        if mode != "CMYK" and _is_srgb(profile, mode):
            return image
        return _transformed(image.convert(mode), ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):  # damaged, or no profile of an input
        return image


def from_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The way back for an "RGB" image whose profile `to_srgb` has applied."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    transformed = ImageCms.profileToProfile(image, srgb, target, outputMode="RGB")
    assert transformed is not None  # only in place there is nothing to return
    return transformed


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    """The image, whose colours are in the profile `source`, as mode "RGB" in sRGB."""
    srgb = ImageCms.createProfile("sRGB")
    transformed = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB")
    assert transformed is not None  # only in place there is nothing to return
    return transformed


@lru_cache(maxsize=8)  # the images of a folder mostly have one profile, and asking takes 8 ms
def _is_srgb(profile: bytes, mode: str) -> bool:
    """Whether colours all over the cube move by one level of 255 at most."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(len(steps), -1, 3)
    probe = Image.fromarray(cube).convert(mode)
    moved = _transformed(probe, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    distance = np.abs(np.asarray(moved).astype(int) - np.asarray(probe.convert("RGB")))
    return bool(distance.max() <= 1)


def _deep_to_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError(
            f"grey values from {low} to {high} do not fit 16 bits; save it with 8 or 16 bits"
        )
    grey = np.round(values / np.float32(257)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _float_to_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # so NaN is refused too
        raise ValueError(
            f"floating-point values from {low:g} to {high:g}; expected 0 (black) to 1 (white); "
            "scale them, or save it with 8 or 16 bits"
        )
    return Image.fromarray(np.round(values.clip(0, 1) * 255).astype(np.uint8))
