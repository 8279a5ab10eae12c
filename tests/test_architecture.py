"""Reads every import in the tree and enforces the module map of CONTRIBUTING.md."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = "comfyui_cldis"
FRONT = ("cli", "__main__", "evaluate")  # all but the nodes

# Small modules that may be used by every part, and by each other where it says so below.
SHARED = {"atomic_write", "shortage", "typed_json", "typed_path", "warning", "wording"}

# Part of the library -> the parts it may import, itself and SHARED not counted.
MAY_IMPORT: dict[str, set[str]] = {part: set() for part in SHARED} | {
    "__init__": {"api"},  # when a name is asked for
    "console": set(),
    "model": set(),
    "imaging": set(),
    "diffusion": {"model"},
    "lifting": set(),
    "editing": {"model", "diffusion", "lifting"},
    "directions": {"model", "diffusion", "editing", "imaging"},
    "checkpoint": {"model", "diffusion", "editing", "directions", "imaging", "__init__"},
    "importing": {"model", "diffusion", "editing", "checkpoint"},
    "api": {"model", "diffusion", "editing", "checkpoint", "imaging"},
    "datasets": {"imaging"},
    "metrics": set(),
    "tracking": {"model", "diffusion", "editing", "directions", "imaging"},
    "trainer_door": set(),
}
LOWER = set(MAY_IMPORT)
MAY_IMPORT["nodes"] = LOWER - {"api", "console", "metrics"}
MAY_IMPORT |= {part: LOWER | set(FRONT) - {part} for part in FRONT}
# Room of the trainer -> the rooms and files it may import, itself not counted.
TRAINER_ORDER = (
    "errors",
    "arguments",
    "config",
    "data",
    "training",
    "lock",
    "model_quality",
    "navigation",
    "assemble",
    "monitor",
    "report",
    "slider_names",
    "export",
    "run",
    "estimate",
    "sweep",
    "__main__",
)
# Foreign packages of the lower parts; the others may use any dependency.
MAY_USE = {"model": {"torch"}, "lifting": {"torch"}, "diffusion": {"torch", "diffusers", "numpy"}}
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


def test_imports_point_one_way() -> None:
    wrong = [
        f"{name_of(path)} imports {module}: {why}"
        for path in sources(LIBRARY, "trainer")
        for module, is_relative in imports(path)
        if (why := import_fault(path, module, is_relative))
    ]
    assert not wrong, "\n".join(wrong)


def import_fault(path: Path, module: str, is_relative: bool) -> str:
    """What is wrong with an import of a file of the library or the trainer; "" when nothing is."""
    package, *parts = path.relative_to(ROOT).with_suffix("").parts
    room, top = parts[0], module.split(".")[0]
    if top in ("benchmarks", "tests") or (package == LIBRARY and top == "trainer"):
        return "that is above it"
    if top == LIBRARY and package == LIBRARY:
        if room not in MAY_IMPORT:
            return f"put '{room}' into the module map and this table"
        if not is_relative:
            return "use a relative import"
        allowed = MAY_IMPORT[room] | {room} | (set() if room in SHARED else SHARED)
        return "" if part_of(module) in allowed else "not in this table"
    if top == LIBRARY:
        return "a face" if part_of(module) in ("nodes", "cli", "__main__") else ""
    if top == "trainer" and package == "trainer":
        if room not in TRAINER_ORDER:
            return "" if room == "__init__" else f"put '{room}' into the module map and this table"
        target = module.split(".")[1] if "." in module else "__init__"
        if target not in TRAINER_ORDER:
            return ""
        is_above = TRAINER_ORDER.index(target) > TRAINER_ORDER.index(room)
        return "that is above it" if is_above else ""
    return ""


@pytest.mark.parametrize("part", MAY_USE)
def test_lower_parts_know_few_packages(part: str) -> None:
    allowed = MAY_USE[part] | set(sys.stdlib_module_names) | {LIBRARY}
    for path in sources(f"{LIBRARY}/{part}"):
        for module, _ in imports(path):
            assert module.split(".")[0] in allowed, f"{name_of(path)} imports {module}"


def test_no_files_import_each_other_in_a_circle() -> None:
    """Counts imports within functions too, and not those for type checkers."""
    modules = {module_of(path): path for path in sources(LIBRARY, "trainer")}
    left = {name: {*used_modules(path, modules)} - {name} for name, path in modules.items()}
    while ready := [name for name, used in left.items() if not used & left.keys()]:
        for name in ready:
            del left[name]
    assert not left, f"in a circle, or above one: {sorted(left)}"


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def used_modules(path: Path, modules: Mapping[str, Path]) -> Iterator[str]:
    """The files that a file imports: modules, and packages whose names it takes."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    parsed = tree(path)
    typing_only = {
        id(inner)
        for node in ast.walk(parsed)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in _names(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(parsed):
        if not isinstance(node, ast.ImportFrom) or id(node) in typing_only:
            continue
        base = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            whole = f"{module}.{alias.name}"
            if whole in modules:
                yield whole
            elif module in modules:
                yield module


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


def test_house_rules_of_names_and_calls() -> None:
    wrong = [
        f"{name_of(path)}:{getattr(node, 'lineno', 0)} {why}"
        for path in sources(LIBRARY, "trainer", "benchmarks")
        for node in ast.walk(tree(path))
        if (why := name_fault(node, may_print=name_of(path).startswith(MAY_PRINT)))
    ]
    assert not wrong, "\n".join(wrong)


def name_fault(node: ast.AST, *, may_print: bool) -> str:
    """What is wrong with the names that a node uses or calls; "" when nothing is."""
    if "beta" in _names(node):
        return "uses the bare name 'beta'"
    if isinstance(node, ast.Call):
        called = _names(node.func)
        # `module.eval()` is refused too: scanners flag it, and train(False) does the same.
        for refused in ("exec", "__import__", "eval"):
            if refused in called:
                return f"calls {refused}"
        if "print" in called and not may_print:
            return "prints; use logging"
    return ""


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


def test_no_test_patches_what_is_private() -> None:
    """Private names and the defaults of functions may change without a word."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in sources("tests")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and _names(node.func) & {"setattr", "delattr", "patch"}
        for given in node.args[:2]
        if isinstance(given, ast.Constant)
        and isinstance(given.value, str)
        and is_private(given.value.split(".")[-1])
    ]
    assert not wrong, "\n".join(wrong)


def is_private(name: str) -> bool:
    is_default = name in ("__defaults__", "__kwdefaults__")
    return is_default or (name.startswith("_") and not name.endswith("__"))
