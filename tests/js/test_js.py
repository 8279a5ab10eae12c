"""Runs the tests of the browser's part with Node.js, and checks what it may use."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from comfyui_cldis.checkpoint.slider_names import PARKED
from comfyui_cldis.nodes.model_files import BUNDLED

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "comfyui_cldis" / "web"
SCRIPTS = sorted(WEB.glob("*.js"))
TESTS = sorted(Path(__file__).parent.glob("*.test.mjs"))
MAX_LINES = 640  # of code
COMMENT_OR_EMPTY = re.compile(r"\s*(//.*|/\*.*\*/|/\*\*.*|\*.*)?")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_with_node(path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not there; the browser's part is tested with Node.js 18 or newer")
    done = subprocess.run(
        [node, "--test", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"^# pass [1-9]|^ℹ pass [1-9]", done.stdout, re.MULTILINE), done.stdout


def test_it_is_small() -> None:
    lines = [line for path in SCRIPTS for line in path.read_text("utf-8").splitlines()]
    code = [line for line in lines if not COMMENT_OR_EMPTY.fullmatch(line)]
    assert len(code) < MAX_LINES, len(code)
    assert max(map(len, lines)) <= 120


def test_only_two_files_of_comfyui_are_imported_and_nothing_is_patched() -> None:
    foreign = set()
    for path in SCRIPTS:
        text = path.read_text("utf-8")
        foreign |= {name for name in re.findall(r'from "(.+?)"', text) if "scripts/" in name}
        assert ".prototype" not in text and "eval(" not in text
        for name in re.findall(r'from "\./(.+?)"', text):
            assert (WEB / name).is_file()
    assert foreign == {"../../scripts/app.js", "../../scripts/api.js"}


def test_what_both_sides_must_call_alike_is_called_alike() -> None:
    assert f'const BUNDLED = "{BUNDLED}";' in (WEB / "cldis.js").read_text("utf-8")
    assert f'const PARKED = "{PARKED}";' in (WEB / "edits.js").read_text("utf-8")
