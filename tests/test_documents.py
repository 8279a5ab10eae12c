"""What the documents say exists: their links, paths, commands and flags."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import runpy
import shlex
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

import comfyui_cldis
from comfyui_cldis.checkpoint import demo_model_path
from comfyui_cldis.cli import main as cldis
from trainer.__main__ import main as trainer

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("comfyui_cldis/**/*.md"),
    ]
)
LOG = ROOT / "docs" / "log"  # records of what was, not of what is
GUIDES = [path for path in DOCUMENTS if path.is_relative_to(ROOT / "docs") and path.parent != LOG]
GUIDES.append(ROOT / "README.md")
LINK = re.compile(r"\]\((?!https?:)([^)\s#]*)(?:#([^)\s]+))?\)")
PATH = re.compile(
    r"(?<![\w/])((?:comfyui_cldis|trainer|sweeps|workflows|benchmarks|tests)/[\w./]*)"
)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(document: Path) -> set[str]:
    """The anchors that a forge gives to the headings of a Markdown file."""
    headings = re.findall(r"^#+ +(.+)$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        file = document.parent / target if target else document
        assert file.exists(), f"{named(document)} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(file), f"{named(document)} links to {target}#{anchor}"


def test_the_index_lists_every_page() -> None:
    for folder in (ROOT / "docs", LOG):
        text = (folder / "README.md").read_text(encoding="utf-8")
        listed = {target for target, _ in LINK.findall(text)}
        pages = {path.name for path in folder.glob("*.md")} - {"README.md"}
        assert pages <= listed


@pytest.mark.parametrize("document", GUIDES, ids=named)
def test_files_that_are_named_exist(document: Path) -> None:
    for path in PATH.findall(document.read_text(encoding="utf-8")):
        assert (ROOT / path.rstrip(".")).exists(), f"{named(document)} names {path}"


@pytest.mark.parametrize("document", GUIDES, ids=named)
def test_python_examples_are_python(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for example in re.findall(r"^```python\n(.+?)^```", text, flags=re.MULTILINE | re.DOTALL):
        ast.parse(example)


def commands(document: Path) -> list[tuple[str, str, list[str]]]:
    """(program, command, flags) of each command line of the examples and in the running text."""
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.+?)^```", text, flags=re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"^    (python -m trainer .+|cldis .+)$", text, flags=re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += [code.replace("\n", " ") for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    found = []
    for line in lines:
        match = re.search(r"(?:^|&& )(cldis|python -m trainer) (.+?)(?: &&|$)", line)
        if not match:
            continue
        words = shlex.split(match[2], comments=True)
        is_command = not words[0].startswith("-")
        flags = [word.split("=")[0] for word in words if re.match(r"\[?--\w", word)]
        found.append((match[1], words[0] if is_command else "", [f.strip("[]") for f in flags]))
    return found


@cache
def help_of(program: str, command: str) -> str:
    """The help of a command."""
    shown = io.StringIO()
    main, command = (cldis, command) if program == "cldis" else (trainer, command or "train")
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        code = main([command, "--help"] if command else ["--help"])
        raise AssertionError(f"{program} {command} --help returned {code}")
    return shown.getvalue()


def known_flags(program: str, command: str) -> set[str]:
    """The flags that the help of a command lists."""
    return set(re.findall(r"(?<![\w-])--[\w-]+", help_of(program, command)))


@pytest.mark.parametrize("document", GUIDES, ids=named)
def test_commands_and_flags_exist(document: Path) -> None:
    for program, command, flags in commands(document):
        unknown = set(flags) - known_flags(program, command)
        assert not unknown, f"{named(document)}: {program} {command} has no {sorted(unknown)}"


def test_every_command_is_documented_and_promised() -> None:
    commands = set(re.findall(r"^    ([\w-]+)(?:  |$)", help_of("cldis", ""), flags=re.MULTILINE))
    assert {"edit", "directions", "train", "card"} <= commands
    page = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert commands == set(re.findall(r"^\| `cldis ([\w-]+)", page, flags=re.MULTILINE))
    promise = promised("Command line")
    assert commands <= promise, f"not promised: {sorted(commands - promise)}"


def test_every_public_name_is_promised() -> None:
    names = {name for name in comfyui_cldis.__all__ if not name.startswith("_")}
    promise = promised("Python")
    assert names <= promise, f"not promised: {sorted(names - promise)}"
    public = {name for name in vars(comfyui_cldis.Model) if not name.startswith("_")}
    assert public <= promise, f"not promised: {sorted(public - promise)}"


def promised(kind: str) -> set[str]:
    """The names in one item of the changelog's compatibility promise."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    items = dict(re.findall(r"^- \*\*(.+?)\*\*:(.+?)(?=^- |^#)", text, re.MULTILINE | re.DOTALL))
    return set(re.findall(r"`([\w.-]+)`", items[kind]))


def test_the_python_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.+?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    with Image.open("edited.png") as image:
        assert image.size == (512, 512)


def test_the_format_page_documents_all_that_a_file_holds() -> None:
    page = (ROOT / "docs" / "model-file.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([\w.*]+)`", page))
    with safe_open(demo_model_path(), framework="numpy") as file:
        header, tensors = file.metadata(), set(file.keys())
    architecture, schedule = json.loads(header["architecture"]), json.loads(header["schedule"])
    found = {*header, *schedule, *architecture, *json.loads(header["facts"])}
    found |= {key for name in ("encoder", "decoder", "copilot") for key in architecture[name]}
    found |= {key for direction in json.loads(header["directions"]) for key in direction}
    found |= {name for name in tensors if not name.startswith("networks.")}
    assert found <= documented, f"not documented: {sorted(found - documented)}"
