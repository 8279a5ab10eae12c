"""Every file that is no usable model gives one sentence of fact and one of remedy."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, safe_open, save_file

from comfyui_cldis.checkpoint import CheckpointError, load_checkpoint, read_header

Tensors = dict[str, torch.Tensor]
Metadata = dict[str, str]


@pytest.fixture
def rewritten(tiny_checkpoint: Path, tmp_path: Path) -> Callable[..., Path]:
    """`rewritten(change)` writes a copy after `change(tensors, metadata)`."""

    def write(change: Callable[[Tensors, Metadata], Any]) -> Path:
        tensors = load_file(tiny_checkpoint)
        with safe_open(tiny_checkpoint, framework="pt") as file:
            metadata = dict(file.metadata())
        change(tensors, metadata)
        path = tmp_path / "model.safetensors"
        save_file(tensors, path, metadata=metadata)
        return path

    return write


def with_json(key: str, change: Callable[[Any], Any]) -> Callable[[Tensors, Metadata], None]:
    """A change of one JSON entry; `change` alters the value or returns another."""

    def apply(tensors: Tensors, metadata: Metadata) -> None:
        value = json.loads(metadata[key])
        result = change(value)
        metadata[key] = json.dumps(value if result is None else result)

    return apply


def with_text(key: str, text: str) -> Callable[[Tensors, Metadata], None]:
    return lambda tensors, metadata: metadata.update({key: text})


def with_tensor(
    key: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> Callable[[Tensors, Metadata], None]:
    return lambda tensors, metadata: tensors.update({key: change(tensors[key])})


def poisoned(value: float) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda tensor: tensor.index_fill(0, torch.tensor([0]), value)


def assert_two_sentences(error: BaseException, name: str) -> None:
    text = str(error)
    assert name in text
    assert "\n" not in text
    assert text.endswith(".")
    sentences = re.split(r"[.;] (?=[A-Z])", text)
    assert len(sentences) in (2, 3), text


def write_empty(path: Path) -> None:
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    path.write_text("<!DOCTYPE html><html>404 not found</html>")


def write_short(path: Path) -> None:
    path.write_bytes(b"abc")


def write_huge_header(path: Path) -> None:
    path.write_bytes((1 << 40).to_bytes(8, "little") + b"{" * 64)


def write_bad_json(path: Path) -> None:
    path.write_bytes((16).to_bytes(8, "little") + b'{"a": {"dtype":,')


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": [1, 2, 3]}))


def write_torch_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))


def write_folder(path: Path) -> None:
    path.mkdir()


def write_foreign(path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, path, metadata={"format": "pt"})


def write_without_metadata(path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_empty, "is empty"),
        (write_text, "is not a safetensors file"),
        (write_short, "is not a safetensors file"),
        (write_huge_header, "more than the 1048576 allowed"),
        (write_bad_json, "is damaged or incomplete"),
        (write_pickle, "is a pickled PyTorch checkpoint"),
        (write_torch_archive, "is a pickled PyTorch checkpoint"),
        (write_folder, "is a folder"),
        (write_foreign, "not a CL-Dis model"),
        (write_without_metadata, "not a CL-Dis model"),
    ],
)
@pytest.mark.parametrize("read", [load_checkpoint, read_header])
def test_files_that_are_no_model(
    tmp_path: Path, write: Callable[[Path], None], message: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "model.safetensors"
    write(path)
    with pytest.raises(CheckpointError, match=message) as caught:
        read(path)
    assert_two_sentences(caught.value, path.name)


@pytest.mark.parametrize("read", [load_checkpoint, read_header])
def test_a_missing_file(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(FileNotFoundError, match="There is no model file .*gone.safetensors"):
        read(tmp_path / "gone.safetensors")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.999])
def test_a_file_that_is_cut_off(tiny_checkpoint: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "model.safetensors"
    content = tiny_checkpoint.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="cut off|damaged or incomplete") as caught:
        load_checkpoint(path)
    assert_two_sentences(caught.value, path.name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_text("format_version", "4"), r"format version 4, .* 1 to 3\. Update the pack\.$"),
        (with_text("format_version", "999999999999"), r"Update the pack\.$"),
        (with_text("format_version", "0"), "unknown format version '0'"),
        (with_text("format_version", "one"), "unknown format version 'one'"),
        (lambda tensors, metadata: metadata.pop("format_version"), "unknown format version ''"),
        (lambda tensors, metadata: metadata.pop("architecture"), "lacks the entry 'architecture'"),
        (lambda tensors, metadata: metadata.pop("directions"), "lacks the entry 'directions'"),
        (lambda tensors, metadata: metadata.pop("facts"), "lacks the entry 'facts'"),
        (with_text("schedule", "{"), "no valid JSON in 'schedule'"),
        (with_text("facts", "[" * 100_000), "no valid JSON in 'facts'"),
        (with_text("facts", "[]"), "wrong kind of value in 'facts'"),
        (with_text("facts", '{"quality": NaN}'), "NaN is not finite"),
        (with_text("facts", '{"quality": "good"}'), "'quality' of the facts is 'good', not a JSON"),
        (with_text("facts", '{"name": 7}'), "'name' of the facts is '7', not a text"),
        (
            with_text("facts", '{"training": {"steps": true}}'),
            "'steps' of 'training' of the facts is 'True', not a whole number",
        ),
        (
            with_text("facts", '{"quality": {"psnr_inverted_noise_db": 1e999}}'),
            "'psnr_inverted_noise_db' of 'quality' of the facts is 'inf', not a finite number",
        ),
        (with_text("facts", '{"quality": {"monotone_share": 1}}'), "'monotone_share' .* no JSON"),
        (
            with_text("facts", '{"quality": {"monotone_share": {"yaw": "all"}}}'),
            "'monotone' of the quality of direction 'yaw' is 'all', not a finite number",
        ),
        (with_text("image_size", "64"), "gives image_size 64, but its architecture 32"),
        (with_json("architecture", lambda a: a.update(colour="red")), "Unknown key 'colour'"),
        (with_json("architecture", lambda a: a.update(image_size=0)), "image_size is 0"),
        (with_json("architecture", lambda a: a.update(image_size="x")), "cannot be built"),
        (with_json("architecture", lambda a: a.update(encoder="x")), "cannot be built"),
        (
            with_json("architecture", lambda a: a["encoder"].update(num_res_blocks=10**8)),
            r"encoder\.num_res_blocks is 100000000\. Use 1 to 16",
        ),
        (
            with_json("architecture", lambda a: a["decoder"].update(channel_mults=[1] * 10**5)),
            r"decoder\.channel_mults has 100000 levels\. Give one .* 1 to 10 levels",
        ),
        (with_json("schedule", lambda s: s.update(betas="flat")), "betas is 'flat'"),
        (with_json("schedule", lambda s: s.update(num_train_steps="x")), "cannot be built"),
        (with_json("directions", lambda d: [{"name": "yaw"}, d[1]]), "lacks 'min' in direction 0"),
        (with_json("directions", lambda d: d[0].update(min="low")), "invalid direction 0"),
        (with_json("directions", lambda d: d[0].update(min=1.0)), "must contain 0"),
        (with_json("directions", lambda d: ["yaw", "pitch"]), "invalid direction 0"),
        (
            with_json("directions", lambda d: d[0].update(name="yaw\x1b[2J")),
            r"direction 0: its name 'yaw\\x1b\[2J' holds control characters",
        ),
        (with_json("directions", lambda d: d[0].update(name="a\nb")), r"'a\\nb' holds control"),
        (with_json("architecture", lambda a: a.update({"\x1b[2J": 1})), r"key '\\x1b\[2J'"),
        (with_json("directions", lambda d: [d[1], d[1]]), "two directions 'yaw'"),
        (with_text("directions", '[{"min": -1e999}, {}]'), "lacks 'name' in direction 0"),
        (with_tensor("directions.vectors", lambda v: v * 2), "has length 2"),
        (with_tensor("directions.vectors", poisoned(float("nan"))), "not finite"),
        (with_tensor("directions.vectors", lambda v: v.double()), "as float64; expected float32"),
    ],
)
@pytest.mark.parametrize("read", [load_checkpoint, read_header])
def test_headers_that_lie(
    rewritten: Callable[..., Path],
    change: Callable[[Tensors, Metadata], Any],
    message: str,
    read: Callable[[Path], object],
) -> None:
    path = rewritten(change)
    with pytest.raises(CheckpointError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_range_without_end(rewritten: Callable[..., Path]) -> None:
    def change(tensors: Tensors, metadata: Metadata) -> None:
        metadata["directions"] = metadata["directions"].replace("-2.0", "-1e999", 1)

    with pytest.raises(CheckpointError, match="'hair length' numbers that are not finite"):
        read_header(rewritten(change))


def test_missing_unexpected_and_unlike_tensors_are_all_named(
    rewritten: Callable[..., Path],
) -> None:
    changed: list[str] = []

    def change(tensors: Tensors, metadata: Metadata) -> None:
        keys = sorted(key for key in tensors if key.startswith("networks."))
        changed.extend([keys[0], keys[5], keys[9]])
        del tensors[keys[0]], tensors["statistics.std"]
        tensors["networks.zzz"] = torch.zeros(1)
        tensors["intruder"] = torch.zeros(1)
        tensors[keys[5]] = torch.zeros(3, 1, 4)
        tensors[keys[9]] = torch.zeros(())

    path = rewritten(change)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    text = str(caught.value)
    assert f"2 missing: {changed[0]}, statistics.std;" in text
    assert "2 unexpected: intruder, networks.zzz;" in text
    assert "2 of another shape: " in text
    assert f"{changed[1]} has (3, 1, 4), expected (" in text
    assert f"{changed[2]} has (), expected (" in text
    assert_two_sentences(caught.value, path.name)


def test_a_long_list_of_tensors_is_shortened(rewritten: Callable[..., Path]) -> None:
    def change(tensors: Tensors, metadata: Metadata) -> None:
        tensors.update({f"extra.{index:02}": torch.zeros(1) for index in range(30)})

    with pytest.raises(CheckpointError, match=r"30 unexpected: extra\.00, .*extra\.07 and 22 more"):
        load_checkpoint(rewritten(change))


def test_names_of_tensors_are_shown_without_commands_to_a_terminal(
    rewritten: Callable[..., Path],
) -> None:
    names = ("x\x1b[2J\n", "y" * 500)
    path = rewritten(lambda t, m: t.update({name: torch.zeros(1) for name in names}))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert rf"2 unexpected: x\x1b[2J\n, {80 * 'y'})" in str(caught.value)


@pytest.mark.parametrize("name", ["größer", "笑顔\u3000大", "می\u200cخواهم"])
def test_names_in_any_script(rewritten: Callable[..., Path], name: str) -> None:
    path = rewritten(with_json("directions", lambda d: d[0].update(name=name)))
    assert load_checkpoint(path).directions[0].name == name


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("key", ["statistics.std", "networks"])
def test_values_that_are_not_finite(rewritten: Callable[..., Path], key: str, value: float) -> None:
    def change(tensors: Tensors, metadata: Metadata) -> None:
        name = next(name for name in sorted(tensors) if name.startswith(key))
        tensors[name] = poisoned(value)(tensors[name])

    with pytest.raises(CheckpointError, match="values that are not finite in ") as caught:
        load_checkpoint(rewritten(change))
    assert_two_sentences(caught.value, "model.safetensors")


@pytest.mark.parametrize(
    ("key", "value", "fact"),
    [
        ("std", -1.0, "a standard deviation of the code is not from 0 to 1,000,000"),
        ("std", 3e38, "a standard deviation of the code is not from 0 to 1,000,000"),
        ("low", 1e3, "the 0.5 % quantile of a scalar of the code is above its 99.5 %"),
    ],
)
def test_statistics_of_no_code(
    rewritten: Callable[..., Path], key: str, value: float, fact: str
) -> None:
    change = with_tensor(f"statistics.{key}", poisoned(value))
    with pytest.raises(CheckpointError, match=f"is damaged or incomplete: {fact}\\. Do") as caught:
        load_checkpoint(rewritten(change))
    assert_two_sentences(caught.value, "model.safetensors")


def test_weights_too_large_for_float16(rewritten: Callable[..., Path]) -> None:
    def change(tensors: Tensors, metadata: Metadata) -> None:
        name = next(name for name in sorted(tensors) if name.startswith("networks."))
        tensors[name] = poisoned(1e6)(tensors[name])

    path = rewritten(change)
    load_checkpoint(path, dtype=torch.bfloat16)
    with pytest.raises(CheckpointError, match="in float16 has values that are not finite"):
        load_checkpoint(path, dtype=torch.float16)


def test_a_giant_architecture_takes_no_memory(rewritten: Callable[..., Path]) -> None:
    def change(architecture: dict[str, Any]) -> None:
        architecture["encoder"]["base_channels"] = 8 * 10**6

    with pytest.raises(CheckpointError, match="of another shape|cannot be built"):
        load_checkpoint(rewritten(with_json("architecture", change)))


def test_an_unknown_dtype(tiny_checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="dtype is int8. Use one of float32, float16, bfloat16"):
        load_checkpoint(tiny_checkpoint, dtype=torch.int8)
