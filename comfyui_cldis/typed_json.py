"""JSON that a person has typed, or a script has sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def read_json(text: str, name: str, remedy: str, twice: Callable[[str], str]) -> Any:
    """What a text of JSON holds.

    Args:
        name: what the text is called in messages.
        remedy: a sentence that says what to write.
        twice: the message for a key that stands twice in one object.

    Raises: ValueError for text that is no JSON, is nested too deeply, or has a key twice.
    """

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(twice(key))
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=without_duplicates)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{name} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}. "
            f"{remedy}"
        ) from None
    except RecursionError:
        raise ValueError(
            f"{name} is JSON with thousands of brackets within each other. {remedy}"
        ) from None
