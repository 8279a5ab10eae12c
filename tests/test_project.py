"""The project's own files agree with each other."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

import comfyui_cldis
from comfyui_cldis.checkpoint import demo_model_path

ROOT = Path(__file__).resolve().parent.parent
TEST_COMMAND = 'python -m pip install -e ".[test]" && python -m pytest'
# All that the registry understands.
CLASSIFIERS = {
    *("Operating System :: OS Independent", "Operating System :: Microsoft :: Windows"),
    *("Operating System :: POSIX :: Linux", "Operating System :: MacOS"),
    *("Environment :: GPU :: NVIDIA CUDA", "Environment :: GPU :: AMD ROCm"),
    *("Environment :: GPU :: Intel Arc", "Environment :: GPU :: Apple Metal"),
    "Environment :: NPU :: Huawei Ascend",
}
DEMO_COMMAND = 'python -m pip install -e ".[standalone]" && cldis demo'


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    if sys.version_info < (3, 11):
        pytest.skip("reading pyproject.toml needs tomllib, which came with Python 3.11")
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", line)[0].lower() for line in requirements}


def test_requirements_equal_the_dependencies(project: dict[str, Any]) -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert listed == project["project"]["dependencies"]


def test_torch_is_left_to_the_host(project: dict[str, Any]) -> None:
    assert not names(project["project"]["dependencies"]) & {"torch", "torchvision", "torchaudio"}
    assert "torch" in names(project["project"]["optional-dependencies"]["standalone"])


def test_no_requirement_is_pinned(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"].values()
    for line in [
        *project["project"]["dependencies"],
        *(each for extra in extras for each in extra),
    ]:
        if line.startswith("cldis["):  # extras of this project itself
            continue
        assert re.fullmatch(r"[A-Za-z0-9_-]+>=[0-9.]+(; python_version < '3.1\d')?", line), (
            f"{line}: give one lower bound"
        )


def test_versions_agree(project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    assert version == comfyui_cldis.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_registry_fields(project: dict[str, Any]) -> None:
    name = project["project"]["name"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,98}", name)
    assert "comfyui" not in name
    comfy = project["tool"]["comfy"]
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    urls = project["project"]["urls"]
    assert {"Repository", "Documentation", "Issues"} <= urls.keys()
    assert all(url.startswith(urls["Repository"]) for url in urls.values())
    assert project["project"]["classifiers"] and {*project["project"]["classifiers"]} <= CLASSIFIERS


def test_icon_and_banner_are_as_the_registry_wants_them(project: dict[str, Any]) -> None:
    sizes = {}
    for key in ("Icon", "Banner"):
        url = project["tool"]["comfy"][key]
        repository = project["project"]["urls"]["Repository"].removeprefix("https://github.com/")
        start = f"https://raw.githubusercontent.com/{repository}/main/"
        assert url.startswith(start)
        with Image.open(ROOT / url.removeprefix(start)) as image:
            sizes[key] = image.size
    width, height = sizes["Icon"]
    assert width == height <= 400
    width, height = sizes["Banner"]
    assert width * 9 == height * 21


def test_readme_names_the_two_commands_and_ci_runs_one_of_them() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert readme.count(DEMO_COMMAND) == 1
    assert readme.count(TEST_COMMAND) == 1
    assert TEST_COMMAND.split(" && ")[0] in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_workflow_runs_all_checks_on_linux_and_the_tests_elsewhere(
    project: dict[str, Any],
) -> None:
    text = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert "://" not in text and "index" not in text  # packages come from where pip finds them
    commands, systems = {}, {}
    for name, job in workflow["jobs"].items():
        assert 0 < job["timeout-minutes"] <= 60
        pythons = job["strategy"]["matrix"]["python"]
        assert project["project"]["requires-python"] == f">={pythons[0]}" and len(pythons) > 1
        commands[name] = [step["run"] for step in job["steps"] if "run" in step]
        systems[name] = job["strategy"]["matrix"].get("system", job["runs-on"])
    assert commands == {"all": ["bash .ci/run"], "tests": TEST_COMMAND.split(" && ")}
    assert systems == {"all": "ubuntu-latest", "tests": ["windows-latest", "macos-latest"]}


def test_what_the_registry_gets() -> None:
    lines = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
    assert {"tests/", ".ci/", ".github/", "benchmarks/"} <= set(lines)
    assert not any(line.startswith(("comfyui_cldis", "trainer", "workflows")) for line in lines)


def test_the_sum_of_the_bundled_model_is_written_down() -> None:
    model = demo_model_path()
    total = hashlib.sha256(model.read_bytes()).hexdigest()
    for name in ("SECURITY.md", "README.md", "workflows/edit_image.json"):
        assert total in (ROOT / name).read_text(encoding="utf-8"), name
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert f"{model.stat().st_size:,} bytes" in text


def test_the_form_for_reports_asks_for_the_versions(project: dict[str, Any]) -> None:
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    form = yaml.safe_load((folder / "fault.yml").read_text(encoding="utf-8"))
    fields = {field["id"]: field for field in form["body"]}
    for name in ("what", "pack", "core", "frontend", "renderer"):
        assert fields[name]["validations"]["required"]
    assert fields["pack"]["attributes"]["placeholder"] == project["project"]["version"]
    contact = yaml.safe_load((folder / "config.yml").read_text(encoding="utf-8"))
    repository = project["project"]["urls"]["Repository"]
    assert contact["contact_links"][0]["url"] == f"{repository}/security/policy"
