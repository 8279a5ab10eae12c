"""The sources of images that are no paths, and what to say of one that does not exist."""

from __future__ import annotations

from pathlib import Path

from comfyui_cldis.datasets.registry import DRAWN_NAMES
from comfyui_cldis.wording import hint

HEADS = "heads"
BUILT_IN_SOURCES = (HEADS, *DRAWN_NAMES)


def require_source(source: str) -> None:
    """Raises FileNotFoundError, with the nearest name, unless `source` is built in or a path."""
    if source in BUILT_IN_SOURCES or Path(source).exists():
        return
    raise FileNotFoundError(
        f"There is no folder or file {source}.{hint(source, BUILT_IN_SOURCES)} Give a folder or "
        f".zip of images, or one of {', '.join(BUILT_IN_SOURCES)}."
    )
