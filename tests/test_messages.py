"""What a ComfyUI user can read names no flag of a command line: there is none in ComfyUI."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLAG = re.compile(r"(?<![\w<!-])--(?=[a-z]|$)")  # also one that an f-string continues with
# They write commands, which are to be run in a terminal.
WRITE_COMMANDS = {"command.py", "reproduce.py", "dry_run.py"}


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Lines and values of the strings of a module, docstrings left out."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, documented) and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node not in docstrings:
            yield node.lineno, node.value


def is_command(path: Path, tree: ast.Module) -> bool:
    """Whether a file is a command: it has a parser of its own, or lies with the commands."""
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    in_cli = ROOT / "comfyui_cldis" / "cli" in path.parents
    is_named_so = path.name in {"__main__.py", *WRITE_COMMANDS} or path.stem.endswith("_command")
    return in_cli or is_named_so or "argparse" in imported


def test_no_text_of_the_library_or_the_trainer_names_a_flag() -> None:
    found, num_read = [], 0
    for folder in ("comfyui_cldis", "trainer"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if is_command(path, tree):
                continue
            num_read += 1
            for line, text in texts(tree):
                if FLAG.search(text):
                    found.append(f"{path.relative_to(ROOT)}:{line}: {text!r}")
    assert num_read > 100
    assert not found, "\n".join(found)


def test_the_search_finds_flags_in_texts_and_only_there() -> None:
    source = (
        '"""Says --so."""\nx = 1  # --no\ny = f"give --output {x}"\nz = f"--{x}"\n'
        'page = "<!-- a --> a -- b --- var(a--b)"\n'
    )
    lines = [line for line, text in texts(ast.parse(source)) if FLAG.search(text)]
    assert lines == [3, 4]


@pytest.mark.parametrize("pattern", ["comfyui_cldis/web/docs/*.md", "workflows/*.json"])
def test_no_help_page_or_workflow_names_a_flag(pattern: str) -> None:
    paths = sorted(ROOT.glob(pattern))
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            text = json.dumps(json.loads(text))
        # The lines of a table are made of dashes, too.
        assert not re.search(r"(?<![\w|-])--[a-z]", text), path.name


def test_no_text_of_a_node_names_a_flag() -> None:
    from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS

    for node_id, node in NODE_CLASS_MAPPINGS.items():
        text = json.dumps([node.DESCRIPTION, node.OUTPUT_TOOLTIPS, node.INPUT_TYPES()])
        assert not FLAG.search(text), node_id
