"""The server hands out the nodes' words in each language, and the pictures of their pages."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

LOCALES = Path(__file__).resolve().parents[2] / "locales"


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_the_words_are_served(comfy, language: str) -> None:
    served = comfy.get("/i18n")[language]
    for name, kept in (("nodeDefs", served["nodeDefs"]), ("main", served)):
        path = LOCALES / language / f"{name}.json"
        written = json.loads(path.read_text(encoding="utf-8"))
        assert written.items() <= kept.items()


def test_the_pictures_of_the_help_pages_are_served(comfy) -> None:
    with urllib.request.urlopen(
        f"{comfy.url}/extensions/odd-name-1.2/docs/images/CLDIS_Encode.jpg", timeout=30
    ) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.read(2) == b"\xff\xd8"
