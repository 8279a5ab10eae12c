"""Labels in any script: the right font where one is installed, boxes and a warning where not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from comfyui_cldis.imaging.fonts import INSTALLED, Font, font_for, warn_of_missing
from comfyui_cldis.imaging.sheet import Row, contact_sheet
from comfyui_cldis.warning import GlyphWarning

SCRIPTS = {
    "German": "Größe Übermaß",
    "French": "né à Orléans, cœur",
    "Cyrillic": "Волосы",
    "Chinese": "肤色 变化",
    "Japanese": "肌色 あかるい",
    "Korean": "피부색",
    "Arabic": "الشعر",
    "Hebrew": "שיער",
    "Hindi": "बाल",
    "Thai": "ผม",
}
RARE = "\U00013000\U00012000\U00016800\U0001e900\U00010a00"  # hieroglyphs, cuneiform, ...


def drawn(font: Font, character: str) -> bytes:
    image = Image.new("L", (64, 64))
    ImageDraw.Draw(image).text((16, 16), character, fill=255, font=font)
    return image.tobytes()


def lacks(text: str) -> bool:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn_of_missing([text])
    return bool(seen)


@pytest.mark.parametrize("text", ["yaw", "left … right", "±1 °", ""])
def test_what_pillow_has_is_set_in_its_own_font(text: str) -> None:
    own = ImageFont.load_default(15)
    assert font_for(text, 15).getname() == own.getname()
    assert font_for(text, 15) is font_for("other", 15)  # loaded once
    assert not lacks(text)


@pytest.mark.parametrize("script", SCRIPTS)
def test_other_scripts_are_set_in_an_installed_font_that_has_them(script: str) -> None:
    text = SCRIPTS[script]
    if lacks(text):
        pytest.skip(f"no font of imaging.fonts.INSTALLED with {script} is installed")
    font = font_for(text, 15)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert font.size == 15 and font is font_for(text, 15)
    box = drawn(font, "\U0010ffff")
    for character in text.replace(" ", ""):
        assert drawn(font, character) != box, f"{character} is a box in {font.path}"


def test_no_character_is_lost_to_a_font_that_lacks_it() -> None:
    """Text of two scripts takes the font that has both, not the first that has one of them."""
    text = "Кожа 肌"
    if lacks(text):
        pytest.skip("no installed font of the list has both Cyrillic and Chinese")
    font = font_for(text, 15)
    box = drawn(font, "\U0010ffff")
    assert all(drawn(font, character) != box for character in text if character != " ")


def test_missing_characters_are_boxes_and_named_once_for_a_sheet() -> None:
    rare = next((each for each in RARE if lacks(each)), None)
    if rare is None:
        pytest.skip("the installed fonts have every script of the test")
    images = torch.zeros(2, 3, 16, 16)
    with pytest.warns(GlyphWarning) as seen:
        sheet = contact_sheet([Row(f"{rare} yaw", images, (rare, "b"))])
    assert len(seen) == 1 and seen[0].filename == __file__
    assert str(seen[0].message).startswith(f"No font on this computer has the characters {rare},")
    assert (np.asarray(sheet)[:, :60] < 100).any()  # something is drawn


def test_a_surrogate_is_drawn_as_an_escape() -> None:
    images = torch.zeros(1, 3, 16, 16)
    odd = contact_sheet([Row("M\udcfcnchen", images, ("\udcfc",))], scale=8)
    escaped = contact_sheet([Row("M\\udcfcnchen", images, ("\\udcfc",))], scale=8)
    assert np.array_equal(np.asarray(odd), np.asarray(escaped))


def test_the_list_names_each_font_once() -> None:
    assert len({*INSTALLED}) == len(INSTALLED)
