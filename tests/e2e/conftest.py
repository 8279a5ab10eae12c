"""A real ComfyUI server with the pack in an oddly named folder, and a small client for it.

ComfyUI is looked for in $COMFYUI_PATH, then ~/comfy/ComfyUI, then around this checkout (as it is
when the pack lies in custom_nodes/). Its own .venv/bin/python is used if there is one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
# No Python name, but fit for a URL: aiohttp serves no help pages from a folder with a space in
# its name. That the pack itself loads from one is for tests/test_loading.py.
FOLDER = "odd-name-1.2"
NEEDED = (
    *("aiohttp", "alembic", "av", "comfyui_frontend_package", "diffusers", "einops", "kornia"),
    *("psutil", "safetensors", "scipy", "spandrel", "sqlalchemy", "torch", "torchsde"),
    *("torchvision", "transformers", "yaml"),
)
START_SEC = 240
RUN_SEC = 180


class Comfy:
    """Talks to one server.

    Attributes:
        base: the server's base directory, with input/, output/ and models/.
    """

    def __init__(self, port: int, base: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}/ws"
        self.base = base

    def has_nodes_2(self) -> bool:
        """Whether its frontend draws sliders in Nodes 2.0: since 1.39."""
        version = self.get("/system_stats")["system"].get("required_frontend_version", "0")
        found = [int(part) for part in version.lstrip("v").split(".")[:2] if part.isdigit()]
        return found >= [1, 39]

    def has_blueprints(self) -> bool:
        try:
            self.get("/global_subgraphs")
        except urllib.error.HTTPError:
            return False
        return True

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def get_text(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read().decode()

    def post(self, path: str, content: Any) -> tuple[int, Any]:
        """Status and JSON answer; NaN in `content` is sent as such."""
        request = urllib.request.Request(
            self.url + path,
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def submit(self, prompt: dict[str, Any], **more: Any) -> str:
        status, answer = self.post("/prompt", {"prompt": prompt, **more})
        assert status == 200 and not answer["node_errors"], answer
        return answer["prompt_id"]

    def wait(self, prompt_id: str, limit_sec: float = RUN_SEC) -> Run:
        deadline = time.monotonic() + limit_sec
        while time.monotonic() < deadline:
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return Run(history[prompt_id], self.base)
            time.sleep(0.1)
        raise AssertionError(f"the run took more than {limit_sec} s")

    def run(self, prompt: dict[str, Any], limit_sec: float = RUN_SEC) -> Run:
        return self.wait(self.submit(prompt), limit_sec)

    def refusal(self, prompt: dict[str, Any]) -> str:
        """The reason for which a prompt is refused before anything runs."""
        status, answer = self.post("/prompt", {"prompt": prompt})
        assert status == 400, answer
        errors = [error for node in answer["node_errors"].values() for error in node["errors"]]
        return " ".join(error["details"] for error in errors)


class Run:
    """One finished run, as the history has it."""

    def __init__(self, entry: dict[str, Any], base: Path) -> None:
        self.status: str = entry["status"]["status_str"]
        self.messages: dict[str, Any] = dict(entry["status"]["messages"])
        self._outputs = entry["outputs"]
        self._base = base

    @property
    def cached(self) -> set[str]:
        return set(self.messages["execution_cached"]["nodes"])

    @property
    def error(self) -> str:
        return self.messages["execution_error"]["exception_message"].strip()

    def texts(self) -> list[str]:
        return [text for output in self._outputs.values() for text in output.get("text", ())]

    def images(self) -> list[Image.Image]:
        assert self.status == "success", self.messages
        found = []
        for output in self._outputs.values():
            for entry in output.get("images", ()):
                folder = self._base / entry["type"] / entry["subfolder"]
                with Image.open(folder / entry["filename"]) as image:
                    image.load()
                found.append(image)
        return found


def _find_comfyui() -> Path:
    given = os.environ.get("COMFYUI_PATH")
    around = ROOT.parent.parent if ROOT.parent.name == "custom_nodes" else None
    candidates = [Path(given)] if given else [Path.home() / "comfy" / "ComfyUI", around]
    for path in candidates:
        if path is not None and (path / "main.py").is_file() and (path / "nodes.py").is_file():
            return path
    searched = ", ".join(str(path) for path in candidates if path is not None)
    pytest.skip(f"no ComfyUI found (searched {searched}); set COMFYUI_PATH to a checkout of it")


def _find_python(comfyui: Path) -> Path:
    own = comfyui / ".venv" / "bin" / "python"
    python = own if own.is_file() else Path(sys.executable)
    code = (
        "import importlib.util as u, sys; "
        "print(*(name for name in sys.argv[1:] if u.find_spec(name) is None))"
    )
    done = subprocess.run([python, "-c", code, *NEEDED], capture_output=True, text=True)
    missing = done.stdout.split()
    if done.returncode or missing:
        reason = ", ".join(missing) or done.stderr.strip()[-200:]
        pytest.skip(f"{python} cannot run {comfyui}; it lacks: {reason}")
    return python


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _fill(base: Path, tiny_checkpoint: Path, comfyui: Path) -> None:
    """Images, a good and a corrupt model, and the pack itself."""
    for folder in ("custom_nodes", "input", "models/cldis", "more models", "user"):
        (base / folder).mkdir(parents=True)
    (base / "custom_nodes" / FOLDER).symlink_to(ROOT, target_is_directory=True)
    probe = ROOT / "tests" / "e2e" / "probe.py"
    (base / "custom_nodes" / "probe.py").symlink_to(probe)

    weights = tiny_checkpoint.read_bytes()
    (base / "models" / "cldis" / "tiny.safetensors").write_bytes(weights)
    (base / "models" / "cldis" / "cut off.safetensors").write_bytes(weights[: len(weights) // 2])
    (base / "models" / "cldis" / "README.txt").write_text("not a model")
    (base / "more models" / "elsewhere.safetensors").write_bytes(weights)
    foreign = {"weight": next(iter(load_file(tiny_checkpoint).values()))}
    save_file(foreign, base / "models" / "cldis" / "foreign.safetensors")
    (base / "paths.yaml").write_text(f"own:\n  base_path: '{base}'\n  cldis: more models\n")

    example = comfyui / "input" / "example.png"
    if example.is_file():
        (base / "input" / "example.png").write_bytes(example.read_bytes())
    ramp = torch.linspace(0, 255, 60 * 90 * 4).view(60, 90, 4).to(torch.uint8)
    Image.fromarray(ramp.numpy(), "RGBA").save(base / "input" / "wide.png")


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The folder of ComfyUI."""
    return _find_comfyui()


@pytest.fixture(scope="session")
def comfyui_python(comfyui: Path) -> Path:
    """The Python that runs it."""
    return _find_python(comfyui)


@pytest.fixture(scope="session")
def comfy(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_checkpoint: Path,
    comfyui: Path,
    comfyui_python: Path,
) -> Iterator[Comfy]:
    base = tmp_path_factory.mktemp("comfyui")
    _fill(base, tiny_checkpoint, comfyui)
    port = _free_port()
    log = base / "server.log"
    command = [comfyui_python, "main.py", "--cpu", "--port", str(port), "--base-directory", base]
    command += ["--extra-model-paths-config", base / "paths.yaml", "--preview-method", "auto"]
    command += ["--disable-api-nodes"]
    if frontend := os.environ.get("COMFYUI_FRONTEND"):
        command += ["--front-end-root", frontend]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with open(log, "wb") as output:
        server = subprocess.Popen(
            command, cwd=comfyui, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        client = Comfy(port, base)
        _wait_for_server(client, server, log)
        yield client
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_for_server(client: Comfy, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SEC
    while time.monotonic() < deadline and server.poll() is None:
        try:
            client.get("/system_stats")
            return
        except OSError:
            time.sleep(0.3)
    tail = log.read_text(errors="replace")[-3000:]
    raise AssertionError(f"ComfyUI did not start within {START_SEC} s:\n{tail}")
