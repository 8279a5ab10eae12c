"""A loaded tiny model, the node classes as ComfyUI would use them, and its folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS
from comfyui_cldis.nodes.sockets import LoadedModel


class FolderPaths(SimpleNamespace):
    """The names of ComfyUI's folder_paths that the pack uses; `base` holds input and output."""

    def add_model_folder_path(self, key: str, path: str) -> None:
        paths, _ = self.folder_names_and_paths.setdefault(key, ([], set()))
        if path not in paths:
            paths.append(path)

    def get_folder_paths(self, key: str) -> list[str]:
        return list(self.folder_names_and_paths[key][0])

    def get_filename_list(self, key: str) -> list[str]:
        paths, extensions = self.folder_names_and_paths[key]
        found = {file.name for path in paths for file in Path(path).glob("*")}
        return sorted(  # as ComfyUI, which compares small letters
            name for name in found if Path(name).suffix.lower() in extensions or not extensions
        )

    def get_full_path(self, key: str, name: str) -> str | None:
        paths = [Path(path) / name for path in self.folder_names_and_paths[key][0]]
        return next((str(path) for path in paths if path.is_file()), None)

    def get_output_directory(self) -> str:
        return str(self.base / "output")

    def get_input_directory(self) -> str:
        return str(self.base / "input")


@pytest.fixture(scope="session")
def make_folder_paths() -> Callable[..., FolderPaths]:
    """`make_folder_paths(models_dir=..., folder_names_and_paths=...)` stands in for ComfyUI's."""
    return FolderPaths


@pytest.fixture(scope="session")
def loaded(tiny_model: EditableModel) -> LoadedModel:
    return LoadedModel("tiny.safetensors", tiny_model)


@pytest.fixture(scope="session")
def run() -> Callable[..., Any]:
    """`run("CLDIS_Decode", model=..., latent=...)`: one node, defaults for inputs not given."""

    def run_node(node_id: str, **given: Any) -> Any:
        node = NODE_CLASS_MAPPINGS[node_id]
        values = {}
        for name, spec in node.INPUT_TYPES()["required"].items():
            if name in given:
                values[name] = given[name]
            elif "default" in (spec[1] if len(spec) > 1 else {}):
                values[name] = spec[1]["default"]
        optional = node.INPUT_TYPES().get("optional", {})
        values |= {name: given[name] for name in optional if name in given}
        assert not given.keys() - values.keys(), f"{node_id} has no {given.keys() - values.keys()}"
        outputs = getattr(node(), node.FUNCTION)(**values)
        assert len(outputs) == len(node.RETURN_TYPES)
        return outputs[0]

    return run_node


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    """Three smooth images, wider than high, as ComfyUI passes them: (3, 24, 40, 3) in [0, 1]."""
    rows, columns = torch.linspace(0, 1, 24)[:, None], torch.linspace(0, 1, 40)[None]
    return torch.stack(
        [
            torch.stack([rows.expand(24, 40), columns.expand(24, 40), rows * columns * k], -1)
            for k in (0.2, 0.6, 1.0)
        ]
    )


@pytest.fixture(scope="session")
def latent(loaded: LoadedModel, run: Callable[..., Any], images: torch.Tensor) -> Any:
    return run("CLDIS_Encode", model=loaded, image=images, inversion_steps=3)
