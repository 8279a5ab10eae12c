"""What version 2 of the format adds: quality, bent paths and thumbnails of directions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from comfyui_cldis.checkpoint import CheckpointError, load_checkpoint, read_header, save_checkpoint
from comfyui_cldis.checkpoint.summary import as_json
from comfyui_cldis.editing.amount_scale import AmountScale
from comfyui_cldis.editing.code_path import CodePath
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.facts import DirectionQuality, ModelQuality

SCALE = AmountScale((-1.5, 0.0, 0.5, 2.0), (-2.0, 0.0, 1.0, 1.5))
BEND = CodePath((-2.0, 0.0, 1.0), ((0.0, -2.0, 0.5, 0.0), (0.0,) * 4, (0.0, 1.0, 0.25, 0.0)))


def images(value: int, side: int = 16) -> torch.Tensor:
    tensor = torch.full((3, side, side, 3), value, dtype=torch.uint8)
    tensor[0, 0, 0, 0] = 255  # so that a wrong order would be seen
    return tensor


def rich(model: EditableModel) -> EditableModel:
    """The model with three directions: one with everything, one plain, one with images."""
    first, second = model.directions
    third = Direction("third", (0.0, 0.0, 0.0, 1.0), -1.0, 1.0, thumbnails=images(9), scale=SCALE)
    quality = DirectionQuality(monotone=0.875, consistency=-0.25)
    full = replace(first, quality=quality, path=BEND, thumbnails=images(7))
    return replace(model, directions=(full, second, third))


@pytest.fixture(scope="module")
def rich_file(tiny_model: EditableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rich") / "rich.safetensors"
    save_checkpoint(path, rich(tiny_model))
    return path


@pytest.mark.parametrize(
    "read",
    [lambda path: load_checkpoint(path).directions, lambda path: read_header(path).directions],
)
def test_everything_comes_back(tiny_model: EditableModel, rich_file: Path, read: Any) -> None:
    found, written = read(rich_file), rich(tiny_model).directions
    assert found == written  # names, vectors, ranges, quality and path
    for after, before in zip(found, written, strict=True):
        assert (after.thumbnails is None) == (before.thumbnails is None)
        if before.thumbnails is not None:
            assert torch.equal(after.thumbnails, before.thumbnails)
    assert found[0].path == BEND and found[2].scale == SCALE
    assert found[0].quality == DirectionQuality(monotone=0.875, consistency=-0.25)


def test_the_oldest_version_that_will_do_is_written(tiny_checkpoint: Path, rich_file: Path) -> None:
    assert read_header(tiny_checkpoint).format_version == 1
    assert read_header(rich_file).format_version == 2
    tensors = load_file(rich_file)
    assert tensors["directions.thumbnails"].shape == (2, 3, 16, 16, 3)
    assert tensors["directions.paths"].tolist() == [list(point) for point in BEND.points]


def test_images_are_in_the_tensors_not_in_the_header(
    tiny_model: EditableModel, tmp_path: Path
) -> None:
    first, second = tiny_model.directions
    lengths = []
    for side in (16, 128):
        path = tmp_path / f"{side}.safetensors"
        drawn = replace(first, thumbnails=images(1, side))
        save_checkpoint(path, replace(tiny_model, directions=(drawn, second)))
        lengths.append(int.from_bytes(path.read_bytes()[:8], "little"))
    assert abs(lengths[1] - lengths[0]) < 64  # only the numbers in it grow


def rewritten(source: Path, target: Path, change: Callable[[dict, dict, list], Any]) -> Path:
    tensors = load_file(source)
    with safe_open(source, framework="pt") as file:
        metadata = dict(file.metadata())
    entries = json.loads(metadata["directions"])
    change(tensors, metadata, entries)
    metadata["directions"] = json.dumps(entries)
    save_file(tensors, target, metadata=metadata)
    return target


def test_version_1_ignores_what_it_did_not_know(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def change(tensors: dict, metadata: dict, entries: list) -> None:
        entries[0].update(thumbnails=48, quality={"x": 1}, colour="red")

    path = rewritten(tiny_checkpoint, tmp_path / "a.safetensors", change)
    direction = read_header(path).directions[0]
    assert direction.thumbnails is None and direction.quality == DirectionQuality()


@pytest.mark.parametrize(
    ("in_facts", "own", "expected"),
    [
        ({"yaw": 0.5}, {"monotone": 0.75, "balance": 1.0}, (0.75, 1.0)),  # its own figure counts
        ({"yaw": 0.5}, {"balance": 1.0}, (0.5, 1.0)),
        ({"yaw": 0.5, "a direction that was dropped": 1.0}, {}, (0.5, None)),
        ({}, {}, (None, None)),
    ],
)
def test_shares_in_the_facts_are_read_into_their_directions(
    tiny_checkpoint: Path, tmp_path: Path, in_facts: dict, own: dict, expected: tuple
) -> None:
    def change(tensors: dict, metadata: dict, entries: list) -> None:
        metadata["format_version"] = "2"
        quality = {"psnr_db": 12.5, "monotone_share": in_facts, "num_visible_monotone": 7}
        metadata["facts"] = json.dumps({"quality": quality})
        entries[1]["quality"] = own

    header = read_header(rewritten(tiny_checkpoint, tmp_path / "a.safetensors", change))
    found = header.directions[1].quality
    assert (found.monotone, found.balance) == expected
    assert header.facts.quality == ModelQuality(other={"psnr_db": 12.5})
    shown = as_json(header)["facts"]["quality"]
    share = expected[0]
    repeated = {"monotone_share": {"yaw": share}, "num_visible_monotone": 0} if share else {}
    assert shown == {"psnr_db": 12.5, **repeated}


def test_a_file_of_version_2_without_additions(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def change(tensors: dict, metadata: dict, entries: list) -> None:
        metadata["format_version"] = "2"

    path = rewritten(tiny_checkpoint, tmp_path / "a.safetensors", change)
    assert len(load_checkpoint(path).directions) == 2


def entry(index: int, **values: Any) -> Callable[[dict, dict, list], None]:
    return lambda tensors, metadata, entries: entries[index].update(values)


def tensor(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
    return lambda tensors, metadata, entries: tensors.update({name: change(tensors[name])})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (entry(0, colour="red"), "the unknown key 'colour' in direction 0"),
        (entry(0, quality=[1]), "a quality that is no JSON object"),
        (
            entry(0, quality={"monotone": "high"}),
            "'monotone' of the quality of direction 'hair length' is 'high', not",
        ),
        (entry(0, quality={"monotone": True}), "is 'True', not a finite number"),
        (entry(0, quality={str(i): 1 for i in range(33)}), "33 quality figures"),
        (entry(0, quality={"x" * 65: 1}), "1 to 64 characters"),
        (entry(0, path_amounts=[0.0]), "2 to 65 amounts"),
        (entry(0, path_amounts=[0.0] * 10**5), "2 to 65 amounts"),
        (entry(0, path_amounts=7), "2 to 65 amounts"),
        (entry(0, path_amounts=[-2.0, 0.0, -1.0]), "do not rise"),
        (entry(0, path_amounts=[-2.0, 1.0, 2.0]), "does not pass through its start"),
        (entry(0, path_amounts=[-2.0, "a", 2.0]), "invalid direction 0"),
        (entry(0, path_amounts=[-2.0, 0.0]), "of another shape: directions.paths has"),
        (entry(1, path_amounts=[-1.0, 0.0]), "of another shape: directions.paths has"),
        (entry(2, scale=7), "invalid direction 2"),
        (entry(2, scale=[[0.0, 1.0]]), "invalid direction 2"),
        (entry(2, scale=[[-1.0, 0.0], [0.0, 1.0]]), "does not pass through 0"),
        (entry(2, scale=[[0.0, 1.0], [0.0, -1.0]]), "distances of a scale do not rise"),
        (entry(2, scale=[[0.0] * 10**5, [0.0] * 10**5]), "Give as many of each, from 2 to 65"),
        (entry(2, scale=[[0.0, 1.0], [0.0, "x"]]), "invalid direction 2"),
        (entry(0, thumbnails=10**9), "thumbnails without 8 to 128 pixels"),
        (entry(0, thumbnails=0), "thumbnails without 8 to 128 pixels"),
        (entry(0, thumbnails=True), "thumbnails without 8 to 128 pixels"),
        (entry(0, thumbnails="16"), "thumbnails without 8 to 128 pixels"),
        (entry(0, thumbnails=32), r"unlike sides \(16, 32 pixels\)"),
        (entry(1, thumbnails=16), "of another shape: directions.thumbnails has"),
        (lambda tensors, metadata, entries: entries[2].pop("thumbnails"), "of another shape"),
        (lambda tensors, metadata, entries: tensors.pop("directions.paths"), "1 missing"),
        (tensor("directions.thumbnails", lambda t: t.float()), "as float32; expected uint8"),
        (tensor("directions.paths", lambda t: t.double()), "as float64; expected float32"),
        (tensor("directions.paths", lambda t: t + 1), "does not pass through its start"),
        (tensor("directions.paths", lambda t: t / 0), "not finite"),
    ],
)
@pytest.mark.parametrize("read", [load_checkpoint, read_header])
def test_additions_that_lie(
    rich_file: Path, tmp_path: Path, change: Callable, message: str, read: Callable[[Path], object]
) -> None:
    path = rewritten(rich_file, tmp_path / "model.safetensors", change)
    with pytest.raises(CheckpointError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_thumbnails_without_end_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    def change(tensors: dict, metadata: dict, entries: list) -> None:
        metadata["format_version"] = "2"
        entries[:] = [entries[0] | {"name": str(i), "thumbnails": 128} for i in range(300)]

    path = rewritten(tiny_checkpoint, tmp_path / "model.safetensors", change)
    with pytest.raises(CheckpointError, match="more than the 33554432 allowed"):
        read_header(path)


def test_a_model_with_unlike_thumbnails_is_not_written(
    tiny_model: EditableModel, tmp_path: Path
) -> None:
    first, second = tiny_model.directions
    unlike = (
        replace(first, thumbnails=images(1, 16)),
        replace(second, thumbnails=images(1, 8)),
    )
    with pytest.raises(CheckpointError, match=r"unlike sides \(8, 16 pixels\)"):
        save_checkpoint(tmp_path / "model.safetensors", replace(tiny_model, directions=unlike))
    assert not list(tmp_path.iterdir())
