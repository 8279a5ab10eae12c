"""Reads every import in the tree and enforces the module map of CONTRIBUTING.md."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = "comfyui_cldis"
FRONT = (
    "cli",
    "__main__",
    "directions_command",
    "evaluating",
    "picture",
    "showcase",
    "tracking_command",
)  # all but the nodes

# Part of the library -> the parts it may import, itself not counted.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "model": set(),
    "diffusion": {"model"},
    "editing": {"model", "diffusion"},
    "checkpoint": {"model", "diffusion", "editing", "__init__"},
    "metrics": set(),
    "tracking": {"model", "diffusion", "editing"},
    "trainer_door": set(),
    "nodes": {
        "model",
        "diffusion",
        "editing",
        "checkpoint",
        "tracking",
        "trainer_door",
        "__init__",
    },
} | {
    part: {"model", "diffusion", "editing", "checkpoint", "trainer_door", "__init__", *FRONT}
    | {"metrics", "tracking"} - {part}
    for part in FRONT
}
# Foreign packages of the lower parts; the others may use any dependency.
MAY_USE = {"model": {"torch"}, "diffusion": {"torch", "diffusers", "numpy"}}
COMFYUI = ("comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "server")
UNSAFE = {"subprocess", "pickle", "marshal", "shelve", "ctypes", "socket", "urllib", "requests"}
MAY_PRINT = ("comfyui_cldis/cli/", "trainer/__main__.py", "benchmarks/")


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yields each imported module as an absolute dotted name, and whether it was relative."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            if not node.level or node.module:
                yield module, bool(node.level)
            else:  # `from . import a, b`
                for alias in node.names:
                    yield f"{module}.{alias.name}".lstrip("."), True


def part_of(module: str) -> str:
    """`comfyui_cldis.editing.latent` -> `editing`; `comfyui_cldis.__version__` -> `__init__`."""
    parts = module.split(".")
    known = len(parts) > 1 and parts[1] in MAY_IMPORT
    return parts[1] if known else "__init__"


@pytest.mark.parametrize("path", sources(LIBRARY), ids=name_of)
def test_library_imports_point_one_way(path: Path) -> None:
    part = path.relative_to(ROOT / LIBRARY).with_suffix("").parts[0]
    assert part in MAY_IMPORT, f"{name_of(path)}: put '{part}' into the module map and this table"
    allowed = MAY_IMPORT[part] | {part}
    for module, is_relative in imports(path):
        top = module.split(".")[0]
        assert top not in ("trainer", "benchmarks", "tests"), f"{name_of(path)} imports {module}"
        if top == LIBRARY:
            assert is_relative, f"{name_of(path)} imports {module}; use a relative import"
            assert part_of(module) in allowed, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("part", MAY_USE)
def test_lower_parts_know_few_packages(part: str) -> None:
    allowed = MAY_USE[part] | set(sys.stdlib_module_names) | {LIBRARY}
    for path in sources(f"{LIBRARY}/{part}"):
        for module, _ in imports(path):
            assert module.split(".")[0] in allowed, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", sources("trainer"), ids=name_of)
def test_trainer_knows_the_library_but_not_its_faces(path: Path) -> None:
    for module, _ in imports(path):
        assert module.split(".")[0] not in ("benchmarks", "tests"), f"{name_of(path)}: {module}"
        if module.split(".")[0] == LIBRARY:
            assert part_of(module) not in ("nodes", "cli", "__main__"), f"{name_of(path)}: {module}"


def test_only_the_nodes_know_comfyui() -> None:
    for path in [ROOT / "__init__.py", *sources(LIBRARY, "trainer", "benchmarks")]:
        if not path.exists() or name_of(path).startswith(f"{LIBRARY}/nodes/"):
            continue
        for module, _ in imports(path):
            assert module.split(".")[0] not in COMFYUI, f"{name_of(path)} imports {module}"


def test_the_root_package_imports_nothing_at_once() -> None:
    path = ROOT / "__init__.py"
    if not path.exists():
        pytest.skip("the ComfyUI door is not there yet")
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "the root __init__.py must load the pack lazily"


def test_the_library_uses_no_unsafe_module() -> None:
    for path in sources(LIBRARY):
        for module, _ in imports(path):
            assert module.split(".")[0] not in UNSAFE, f"{name_of(path)} imports {module}"


@pytest.mark.parametrize("path", sources(LIBRARY, "trainer", "benchmarks"), ids=name_of)
def test_house_rules_of_names_and_calls(path: Path) -> None:
    for node in ast.walk(tree(path)):
        where = f"{name_of(path)}:{getattr(node, 'lineno', 0)}"
        assert "beta" not in _names(node), f"{where} uses the bare name 'beta'"
        if isinstance(node, ast.Call):
            called = _names(node.func)
            assert not called & {"exec", "__import__"}, f"{where} calls {called}"
            # `module.eval()` is refused too: scanners flag it, and train(False) does the same.
            assert "eval" not in called, f"{where} calls eval; use train(False) for a module"
            may_print = name_of(path).startswith(MAY_PRINT)
            assert may_print or "print" not in called, f"{where} prints; use logging"


def _names(node: ast.AST) -> set[str]:
    """The identifiers a node itself reads, binds or declares (not those of its children)."""
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        return {node.attr}
    if isinstance(node, ast.arg):
        return {node.arg}
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.alias):
        return {node.asname or node.name}
    return set()


def test_tests_are_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
