"""The sweep file that several test files read, and how they write one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FILE = """
data = "heads"
preset = "tiny32"
seeds = [0, 3]

[settings]
steps = 20
loop.ramp_fraction = 0.5

[rows.ramp]
loop.capacity_course = "fixed"

[rows."Diff-AE only"]
loop.distillation_weight = 0.0
"""


@pytest.fixture
def file_text() -> str:
    """Two rows, two seeds, no metrics."""
    return FILE


@pytest.fixture
def write() -> Callable[[Path, str], Path]:
    """Writes a text and returns its path."""

    def put(path: Path, text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return put
