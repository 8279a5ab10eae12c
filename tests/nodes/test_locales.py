"""The words of the nodes in other languages: complete, current, and readable by the frontend.

After new words `PYTHONPATH=. python tests/nodes/test_locales.py` writes locales/en anew; the other
languages are written by people who speak them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

LOCALES = Path(__file__).resolve().parents[2] / "locales"
TRANSLATED = ("zh", "ja")
# The frontend takes these for placeholders, links and plurals; it shows a text with one of them as
# a fault, so a translation does without, and English falls back to the text of the class.
SYNTAX = set("{}@|$%")
CATEGORIES_OF_THE_CORE = {"loaders", "sampling", "training"}  # translated there


def inputs_of(node: Any) -> dict[str, Any]:
    types = node.INPUT_TYPES()
    return {**types["required"], **types.get("optional", {})}


def words_of(node_id: str) -> dict[str, Any]:
    """All English texts of a node, in the form of nodeDefs.json."""
    node = NODE_CLASS_MAPPINGS[node_id]
    outputs = zip(node.RETURN_NAMES, node.OUTPUT_TOOLTIPS, strict=True)
    return {
        "display_name": NODE_DISPLAY_NAME_MAPPINGS[node_id],
        "description": node.DESCRIPTION,
        "inputs": {
            name: {"name": name, "tooltip": spec[1]["tooltip"]}
            for name, spec in inputs_of(node).items()
        },
        "outputs": {
            str(slot): {"name": name, "tooltip": tooltip}
            for slot, (name, tooltip) in enumerate(outputs)
        },
    }


def whole() -> dict[str, Any]:
    return {node_id: words_of(node_id) for node_id in sorted(NODE_CLASS_MAPPINGS)}


def without_syntax(words: Any) -> Any:
    """The texts that the frontend can read; the others are left out."""
    if isinstance(words, str):
        return None if SYNTAX & set(words) else words
    readable = {key: without_syntax(value) for key, value in words.items()}
    return {key: value for key, value in readable.items() if value is not None}


def texts(words: dict[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of each text, such as ("CLDIS_Decode.inputs.mask.name", "mask")."""
    for key, value in words.items():
        where = f"{place}.{key}" if place else key
        if isinstance(value, str):
            yield where, value
        else:
            yield from texts(value, where)


def read(language: str, name: str = "nodeDefs") -> dict[str, Any]:
    return json.loads((LOCALES / language / f"{name}.json").read_text(encoding="utf-8"))


def written(words: dict[str, Any]) -> str:
    return json.dumps(words, indent=2, ensure_ascii=False) + "\n"


def test_english_is_what_the_classes_say() -> None:
    kept = (LOCALES / "en" / "nodeDefs.json").read_text(encoding="utf-8")
    assert kept == written(without_syntax(whole()))


@pytest.mark.parametrize("language", TRANSLATED)
def test_nothing_is_left_untranslated(language: str) -> None:
    translated, english = dict(texts(read(language))), dict(texts(whole()))
    assert translated.keys() == english.keys()
    script = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
    same = [where for where, text in translated.items() if not script.search(text)]
    assert not same, f"{language} has no words of its own for {same}"


@pytest.mark.parametrize("language", ["en", *TRANSLATED])
def test_the_frontend_can_read_every_text(language: str) -> None:
    wrong = {
        where: text
        for name in ("nodeDefs", "main")
        if (LOCALES / language / f"{name}.json").exists()
        for where, text in texts(read(language, name))
        if SYNTAX & set(text) or text != text.strip() or not text
    }
    assert not wrong


@pytest.mark.parametrize("language", TRANSLATED)
def test_choices_and_numbers_stay_what_they_are(language: str) -> None:
    """The choices of a combo are shown as they are stored, so a text names them so."""
    translated = dict(texts(read(language)))
    wrong = []
    for node_id, node in NODE_CLASS_MAPPINGS.items():
        for name, spec in inputs_of(node).items():
            where = f"{node_id}.inputs.{name}.tooltip"
            english, other = spec[1]["tooltip"], translated[where]
            choices = spec[0] if isinstance(spec[0], list) else []
            named = [each for each in choices if re.search(rf"\b{re.escape(each)}\b", english)]
            numbers = re.findall(r"\d+(?:\.\d+)?", english)
            wrong += [f"{where} lacks {each}" for each in [*named, *numbers] if each not in other]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", TRANSLATED)
def test_one_input_has_one_name(language: str) -> None:
    """An input that several nodes have is called the same on all of them."""
    names: dict[tuple[str, str], set[str]] = {}
    for node in read(language).values():
        for name, words in node["inputs"].items():
            names.setdefault((name, ""), set()).add(words["name"])
    assert not {key: found for key, found in names.items() if len(found) > 1}


@pytest.mark.parametrize("language", ["en", *TRANSLATED])
def test_categories_are_named(language: str) -> None:
    parts = {part for node in NODE_CLASS_MAPPINGS.values() for part in node.CATEGORY.split("/")}
    assert read(language, "main").keys() == {"nodeCategories"}
    assert read(language, "main")["nodeCategories"].keys() == parts - CATEGORIES_OF_THE_CORE


def test_there_are_no_other_files() -> None:
    found = {path.relative_to(LOCALES).as_posix() for path in LOCALES.rglob("*.*")}
    languages = ("en", *TRANSLATED)
    assert found == {f"{each}/{name}.json" for each in languages for name in ("nodeDefs", "main")}


if __name__ == "__main__":
    (LOCALES / "en").mkdir(parents=True, exist_ok=True)
    path = LOCALES / "en" / "nodeDefs.json"
    path.write_text(written(without_syntax(whole())), encoding="utf-8")
