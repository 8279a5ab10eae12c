"""Fonts for the labels of sheets: Pillow's own, and installed ones for what it lacks.

Pillow's font has the letters of English and few others. Otherwise the first installed font of a
list that has all characters of a text is taken, so that a text is never set in two fonts.
"""

from __future__ import annotations

import os
import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec

from PIL import Image, ImageDraw, ImageFont

from ..warning import GlyphWarning

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Files that Pillow looks for in the font folders of the system: widest first, then by script.
INSTALLED = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "segoeui.ttf",  # Windows
    "Arial Unicode.ttf",  # macOS
    # Chinese, Japanese, Korean
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKjp-Regular.otf",
    "SourceHanSans.ttc",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "YuGothM.ttc",
    "meiryo.ttc",
    "msgothic.ttc",
    "msyh.ttc",
    "msjh.ttc",
    "simsun.ttc",
    "malgun.ttf",
    "Hiragino Sans GB.ttc",
    "PingFang.ttc",
    "STHeiti Light.ttc",
    "AppleSDGothicNeo.ttc",
    # Arabic, Hebrew
    "NotoSansArabic-Regular.ttf",
    "NotoNaskhArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "tahoma.ttf",
    "GeezaPro.ttc",
    # India, Thailand
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansTamil-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "Nirmala.ttc",
    "Nirmala.ttf",
    "LeelawUI.ttf",
    "Kohinoor.ttc",
    "Thonburi.ttc",
    # signs
    "NotoSansSymbols2-Regular.ttf",
    "seguisym.ttf",
    "unifont.otf",
)
TRIAL_SIZE = 16  # pixels, for looking whether a font has a character
MAX_NAMED = 20  # missing characters in a warning
NOT_A_CHARACTER = "\U0010ffff"  # which every font draws as what stands for missing ones


def font_for(text: str, size: int) -> Font:
    """The font to draw `text` in, at `size` pixels.

    Pillow's own font if it has all characters, else the first installed one that has, else the one
    that lacks the fewest, which it draws as boxes.
    """
    return _font(_choose(_drawn(text)), size)


def warn_of_missing(texts: Iterable[str]) -> None:
    """Gives a `GlyphWarning` if `font_for` has no font for some characters, which it names."""
    wanted = {_drawn(text) for text in texts}
    missing = {character for each in wanted for character in _missing(_choose(each), each)}
    if missing:
        shown = " ".join(sorted(missing)[:MAX_NAMED]) + (" ..." if len(missing) > MAX_NAMED else "")
        warnings.warn(
            f"No font on this computer has the characters {shown}, so they are drawn as boxes. "
            "Install one for that script, such as Noto Sans (Noto Sans CJK for Chinese, Japanese "
            "and Korean).",
            GlyphWarning,
            stacklevel=3,
        )


@cache
def _choose(wanted: frozenset[str]) -> str:
    """The name of the font for these characters; "" is Pillow's own."""
    best, fewest = "", len(_missing("", wanted))
    for name in (*INSTALLED, *_of_matplotlib()):
        if not fewest:
            break
        if _is_installed(name) and len(_missing(name, wanted)) < fewest:
            best, fewest = name, len(_missing(name, wanted))
    return best


@cache
def _of_matplotlib() -> list[str]:
    """The path of DejaVu Sans within matplotlib, where that is installed; it is not imported."""
    found = find_spec("matplotlib")
    folders = (found and found.submodule_search_locations) or []
    return [os.path.join(each, "mpl-data", "fonts", "ttf", "DejaVuSans.ttf") for each in folders]


@cache
def _font(name: str, size: int) -> Font:
    """Raises: OSError when it is not installed or cannot be used."""
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


@cache
def _is_installed(name: str) -> bool:
    try:
        _trial(name, NOT_A_CHARACTER)
    except (OSError, ValueError):
        return False
    return True


def _missing(name: str, characters: Iterable[str]) -> list[str]:
    return [each for each in characters if _trial(name, each) == _trial(name, NOT_A_CHARACTER)]


@cache
def _trial(name: str, character: str) -> bytes:
    """The pixels of a character: those of a font's missing ones are all the same."""
    image = Image.new("L", (3 * TRIAL_SIZE, 3 * TRIAL_SIZE))
    at = (TRIAL_SIZE, TRIAL_SIZE)
    ImageDraw.Draw(image).text(at, character, fill=255, font=_font(name, TRIAL_SIZE))
    return image.tobytes()


def _drawn(text: str) -> frozenset[str]:
    """The characters that have an image of their own: no blanks, marks and control characters.

    ASCII is left out: every font of the list has it.
    """
    return frozenset(
        each for each in text if not each.isascii() and unicodedata.category(each)[0] not in "CMZ"
    )
