"""docs/checklist.md has forty lines, each with a state, and names only evidence that is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "checklist.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.*?) ?\|$", PAGE, flags=re.MULTILINE)
# A test, of Python by its name, or a whole file of the browser's tests.
TEST = re.compile(r"`(tests/[\w./-]+\.(?:py|mjs|js))(?:::(\w+))?`")


@cache
def functions_of(name: str) -> set[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return set(re.findall(r"^(?:async )?def (test_\w+)", text, flags=re.MULTILINE))


def test_there_are_forty_lines() -> None:
    assert [int(number) for number, *_ in ROWS] == list(range(1, 41))
    assert {state for _, _, state, _ in ROWS} <= {"holds", "in part", "not"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_holds_has_evidence_that_is_there(row: tuple[str, str, str, str]) -> None:
    _, _, state, evidence = row
    named = TEST.findall(evidence)
    if state == "holds":
        assert named or re.search(r"\]\([^)]+\)", evidence), "neither a test nor a page is named"
    for file, test in named:
        assert (ROOT / file).is_file(), f"{file} is not there"
        assert not test or test in functions_of(file), f"{file} has no {test}"
