"""Checkpoints that would run something, or are damaged, are refused and leave nothing behind."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui_cldis.cli import main
from comfyui_cldis.importing import ForeignFileError, import_diffae
from comfyui_cldis.importing.restricted_pickle import read_pickle
from comfyui_cldis.importing.stored import Inert, StoredTensor, StoredValues
from comfyui_cldis.importing.torch_file import OLD_MAGIC, OLD_VERSION
from tests.importing.diffae_files import checkpoint, save, tiny, weights_of


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.fixture(scope="module")
def good() -> dict[str, Any]:
    settings = tiny(num_res_blocks=1, enc_num_res_block=1)
    return checkpoint(weights_of(settings), settings)


def few_weights(good: dict[str, Any]) -> dict[str, Any]:
    """The averaged weights and settings alone, which are all read."""
    weights = {k: v for k, v in good["state_dict"].items() if k.startswith("ema_model.")}
    return {"state_dict": weights, "hyper_parameters": good["hyper_parameters"]}


def nested(good: dict[str, Any], bad: Any) -> dict[str, Any]:
    inner = {**good["hyper_parameters"]["model_conf"], "x": [({"y": bad},)]}
    return {**good, "hyper_parameters": {**good["hyper_parameters"], "model_conf": inner}}


PLACES: dict[str, Callable[[dict[str, Any], Any], Any]] = {
    "whole": lambda good, bad: bad,
    "beside": lambda good, bad: {**good, "extra": bad},
    "before": lambda good, bad: {"first": bad, **good},
    "in settings": nested,
    "as a tensor": lambda good, bad: {
        **good,
        "state_dict": {**good["state_dict"], "ema_model.out.2.bias": bad},
    },
}


@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "old format"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["system", "eval"])
def test_a_call_in_a_file_is_refused_by_name(
    how: str,
    place: str,
    is_old: bool,
    good: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trace, output = tmp_path / "it_ran", tmp_path / "model.safetensors"
    if how == "system":
        bad = Calls(os.system, f"touch '{trace}'")
    else:
        bad = Calls(getattr(builtins, "eval"), f"open({str(trace)!r}, 'w').close()")  # noqa: B009
    path = save(tmp_path / "last.ckpt", PLACES[place](good, bad), is_old=is_old)
    assert main(["import-diffae", str(path), "--output", str(output)]) == 2
    error = capsys.readouterr().err
    name = f"{os.name}.system" if how == "system" else "__builtin__.eval"
    assert f"'{name}'" in error and "last.ckpt" in error
    assert sorted(each.name for each in tmp_path.iterdir()) == ["last.ckpt"]


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"\x80\x04\x8c\x0bcollections\x8c\x1bOrderedDict.__init__.__call\x93.",
        b"ctorch\n_utils._rebuild_tensor_v2\n.",
        b"ccollections.OrderedDict\nfromkeys\n.",
        b"c__builtin__\ngetattr\n(c__builtin__\nobject\nS'__subclasses__'\ntR.",
        b"ctorch.storage\n_load_from_bytes\n(S'x'\ntR.",
        b"cnumpy\nload\n.",
    ],
)
def test_every_way_to_name_something_is_closed(code: bytes) -> None:
    with pytest.raises(ForeignFileError, match="asks for '.*' to be called"):
        read_pickle(io.BytesIO(code), "it", lambda _: None)


def test_a_name_is_shown_without_commands_to_a_terminal() -> None:
    with pytest.raises(ForeignFileError, match=r"asks for 'os\.\\x1b\[2J' to be called"):
        read_pickle(io.BytesIO(b"\x80\x04\x8c\x02os\x8c\x04\x1b[2J\x93."), "it", lambda _: None)


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"\x80\x02}",  # no end
        b"\x80\x02.",  # nothing on the stack
        b"\x80\x04\x82\x01.",  # an extension registry
        b"\x80\x05\x97.",  # a buffer beside the pickle
        b"\x80\x02K\x01K\x02a.",  # appending to a number
        b"\x80\x02}}}s.",  # a dictionary as a key
        b"\x80\x02h\x09.",  # memory that was never filled
        b"\x80\x02t.",  # no mark
        b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"x.",  # a length beyond the file
        b"ccollections\nOrderedDict\n(K\x01tR.",  # arguments that fit nothing
    ],
)
def test_damaged_pickles(code: bytes) -> None:
    with pytest.raises(ForeignFileError, match="damaged or incomplete"):
        read_pickle(io.BytesIO(code), "it", lambda _: None)


DEEP = b")" + 3 * b"\x85"  # a tuple in a tuple; in many more its hash would overflow the stack


@pytest.mark.parametrize(
    "code",
    [
        b"}" + DEEP + b"Ns.",
        b"}(" + DEEP + b"Nu.",
        b"(" + DEEP + b"Nd.",
        b"cargparse\nNamespace\n)R" + DEEP + b"Ns.",
        b"ccollections\nOrderedDict\n(](" + DEEP + b"NtatR.",
    ],
)
def test_a_tuple_is_no_key(code: bytes) -> None:
    with pytest.raises(ForeignFileError, match="damaged or incomplete.*a tuple is a key"):
        read_pickle(io.BytesIO(b"\x80\x02" + code), "it", lambda _: None)


LARGE = b"]" + b"q\x00" + b"(" + 1000 * b"N" + b"e0"  # a list, kept to be named again


@pytest.mark.parametrize(
    "code",
    [
        LARGE + b"ctorch\nSize\nq\x01" + 100 * b"h\x01h\x00\x85R0" + b"N.",
        b"X\xe8\x03\x00\x00" + 1000 * b"x" + b"q\x000" + 100 * b"ctorch\nSize\nh\x00\x85R0" + b"N.",
        b"}q\x00("
        + b"".join(b"M" + struct.pack("<H", key) + b"N" for key in range(1000))
        + b"u0ccollections\nOrderedDict\nq\x01"
        + 100 * b"h\x01h\x00\x85R0"
        + b"N.",
    ],
    ids=["a list", "a text", "a dictionary"],
)
def test_nothing_is_copied_again_and_again(code: bytes) -> None:
    """A few bytes each would ask for any memory."""
    with pytest.raises(ForeignFileError, match=r"damaged or incomplete.*copies more than it holds"):
        read_pickle(io.BytesIO(b"\x80\x02" + code), "it", lambda _: None)


@pytest.mark.parametrize("key", [2**32, -(2**32), 2**61 - 1])
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_a_large_number_is_no_key(key: int, kind: type) -> None:
    """Multiples of 2^61 - 1 share a hash, so that each is compared with all before."""
    with pytest.raises(ForeignFileError, match="damaged or incomplete.*too large a number"):
        read_pickle(io.BytesIO(pickle.dumps(kind({key: None}), 2)), "it", lambda _: None)


@pytest.mark.parametrize("put", [b"p2305843009213693951\n", b"r\xff\xff\xff\xff", b"p-1\n"])
def test_objects_are_counted_as_they_come(put: bytes) -> None:
    with pytest.raises(ForeignFileError, match="damaged or incomplete.*it counts"):
        read_pickle(io.BytesIO(b"\x80\x02N" + put + b"."), "it", lambda _: None)


def test_a_name_is_text() -> None:
    with pytest.raises(ForeignFileError, match="damaged or incomplete.*a name is no text"):
        read_pickle(io.BytesIO(b"\x80\x04" + DEEP + b"\x8c\x06system\x93."), "it", lambda _: None)


def test_recursion_without_end_is_a_sentence() -> None:
    def persistent(identity: Any) -> Any:
        return persistent(identity)

    with pytest.raises(ForeignFileError, match="damaged or incomplete"):
        read_pickle(io.BytesIO(b"\x80\x02NQ."), "it", persistent)


def test_names_of_values_are_text(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    text = b"X\x07\x00\x00\x00storage"
    values = b"(" + text + b"ctorch\nFloatStorage\n" + DEEP + b"X\x03\x00\x00\x00cpuK\x01tQ."
    path.write_bytes(b"\x80\x02" + values)
    with pytest.raises(ForeignFileError, match="the name of a tensor's values is no text"):
        import_diffae(path, tmp_path / "model.safetensors")
    header = (OLD_MAGIC, OLD_VERSION, {}, {})
    listed = b"\x80\x02]" + DEEP + b"a."
    path.write_bytes(b"".join(pickle.dumps(each, 2) for each in header) + listed)
    with pytest.raises(ForeignFileError, match="it does not list all of its tensors"):
        import_diffae(path, tmp_path / "model.safetensors")


def test_plain_values_are_those_of_pickle() -> None:
    values = {
        "a": [1, -2, 2**70, 1.5, None, True, False, "größer", b"bytes", ()],
        2**32 - 1: {"c": (1, 2, 3, 4), "d": [], None: 0, 1.5: 1, True: 2},
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        some = values["a"][:-2] if protocol < 3 else values["a"]  # bytes are a call before
        given = {**values, "a": some, "again": [some, some]}
        data = io.BytesIO(pickle.dumps(given, protocol) + b"more")
        assert read_pickle(data, "it", lambda _: None) == given
        assert data.read() == b"more"


def test_objects_stay_inert() -> None:
    code = b"cpathlib\nPosixPath\n(S'a'\nS'b'\ntR}S'x'\nK\x01sb."
    found = read_pickle(io.BytesIO(code), "it", lambda _: None)
    assert isinstance(found, Inert)
    assert (found.name, found.args, found.state) == ("pathlib.PosixPath", ("a", "b"), {"x": 1})
    assert repr(found) == "<pathlib.PosixPath>"  # its arguments may be nested without end


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (3, 4), (4, 1)),  # 12 of 10
        (8, (3,), (1,)),
        (0, (2,), (10,)),
        (0, (10, 10), (0, 0)),  # as large as one likes
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2, 2), (1,)),
        (0, (1.0,), (1,)),
    ],
)
def test_tensors_stay_within_their_values(
    offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError):
        StoredTensor(StoredValues("0", torch.float32, 10), offset, shape, strides)


@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "old format"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_files(share: float, is_old: bool, good: dict[str, Any], tmp_path: Path) -> None:
    path = save(tmp_path / "last.ckpt", good, is_old=is_old)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ForeignFileError, match=r"last\.ckpt (is|ends)"):
        import_diffae(path, tmp_path / "model.safetensors")
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_damaged_tensor(good: dict[str, Any], tmp_path: Path) -> None:
    path = save(tmp_path / "last.ckpt", good)
    with zipfile.ZipFile(path) as archive:
        name = max(archive.namelist(), key=lambda each: archive.getinfo(each).file_size)
        start = archive.getinfo(name).header_offset
    data = bytearray(path.read_bytes())
    data[start + 5000] ^= 255
    path.write_bytes(data)
    with pytest.raises(ForeignFileError, match="damaged or incomplete"):
        import_diffae(path, tmp_path / "model.safetensors")


@pytest.mark.parametrize("is_old", [False, True], ids=["zip", "old format"])
def test_weights_that_share_their_values(
    is_old: bool, good: dict[str, Any], tmp_path: Path
) -> None:
    """They would ask for many times the memory that the file has bytes."""
    few = few_weights(good)
    weights = few["state_dict"]
    values = torch.zeros(max(weight.numel() for weight in weights.values()))
    shared = {key: values[: w.numel()].view(w.shape) for key, w in weights.items()}
    path = save(tmp_path / "last.ckpt", {**few, "state_dict": shared}, is_old=is_old)
    with pytest.raises(ForeignFileError, match=r"damaged .* weights are larger than the file\. Do"):
        import_diffae(path, tmp_path / "model.safetensors")


def test_a_compressed_entry(good: dict[str, Any], tmp_path: Path) -> None:
    """It could hold any number of bytes."""
    path, other = save(tmp_path / "last.ckpt", good), tmp_path / "other.ckpt"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as new:
        for name in archive.namelist():
            new.writestr(name, archive.read(name))
    with pytest.raises(ForeignFileError, match="compressed, encrypted or too large"):
        import_diffae(other, tmp_path / "model.safetensors")


FLAGS, STORED_SIZE = (8, "<H", 1), (20, "<I", 5)  # of an entry: where, how written, and a lie


@pytest.mark.parametrize("place", ["data.pkl", "data/0"])
@pytest.mark.parametrize("lie", [FLAGS, STORED_SIZE], ids=["encrypted", "shorter than its size"])
def test_entries_that_cannot_be_read(
    lie: tuple[int, str, int], place: str, good: dict[str, Any], tmp_path: Path
) -> None:
    path = save(tmp_path / "last.ckpt", few_weights(good))
    with zipfile.ZipFile(path) as archive:
        at, names = archive.start_dir, archive.namelist()
    data, (offset, kind, value) = bytearray(path.read_bytes()), lie
    for name in names:
        if name.endswith("/" + place):
            struct.pack_into(kind, data, at + offset, value)
        at += 46 + sum(struct.unpack_from("<3H", data, at + 28))
    path.write_bytes(data)
    with pytest.raises(
        ForeignFileError, match=r"last\.ckpt is damaged .*encrypted.*\. Download it"
    ):
        import_diffae(path, tmp_path / "model.safetensors")


def test_a_name_in_a_zip_that_is_no_text(good: dict[str, Any], tmp_path: Path) -> None:
    path = save(tmp_path / "last.ckpt", good)
    with zipfile.ZipFile(path) as archive:
        at = archive.start_dir
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, at + 8, 0x800)  # its name is UTF-8
    data[at + 46] = 255
    path.write_bytes(data)
    with pytest.raises(ForeignFileError, match=r"last\.ckpt is damaged .*\. Download it"):
        import_diffae(path, tmp_path / "model.safetensors")


def test_keys_of_values_that_are_no_numbers_of_this_world(tmp_path: Path) -> None:
    path, header = tmp_path / "last.ckpt", (OLD_MAGIC, OLD_VERSION, {}, {}, [10**5000])
    path.write_bytes(b"".join(pickle.dumps(each, 2) for each in header))
    with pytest.raises(ForeignFileError, match=r"last\.ckpt is damaged .*\. Download it"):
        import_diffae(path, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "no file that PyTorch wrote"),
        (b"no checkpoint at all", "no file that PyTorch wrote"),
        (pickle.dumps({"a": 1}, 2), "damaged or incomplete|did not write"),
    ],
)
def test_other_files(content: bytes, fact: str, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ForeignFileError, match=fact):
        import_diffae(path, tmp_path / "model.safetensors")


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist"):
        import_diffae(tmp_path / "none.ckpt", tmp_path / "model.safetensors")
    with pytest.raises(ForeignFileError, match="is a folder"):
        import_diffae(tmp_path, tmp_path / "model.safetensors")
