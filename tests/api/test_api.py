"""The library for Python users: every form of image in, every form out, the same numbers."""

from __future__ import annotations

import dataclasses
import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import comfyui_cldis as cldis
from comfyui_cldis.api.images import as_mask, read_framed
from comfyui_cldis.checkpoint import save_checkpoint
from comfyui_cldis.diffusion.samplers import EDIT_SAMPLER, inversion_of, invert, sample
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.framing import frame
from comfyui_cldis.editing.pipeline import decode, encode
from comfyui_cldis.editing.render import render
from comfyui_cldis.imaging.mask import read_mask
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.tensors import to_tensor
from tests.pretended_device import DEVICE, pretended

STEPS = 3
LEVEL = 1.01 / 127.5  # of 8 bits, in [-1, 1]


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> cldis.Model:
    return cldis.load_model(tiny_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def grey_model(
    make_model: Callable[..., EditableModel], tmp_path_factory: pytest.TempPathFactory
) -> cldis.Model:
    path = tmp_path_factory.mktemp("grey") / "grey.safetensors"
    save_checkpoint(path, make_model(in_channels=1))
    return cldis.load_model(path, device="cpu")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """uint8 (40, 50, 3)."""
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def path(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "noise.png"
    Image.fromarray(pixels).save(path)
    return path


def code(model: cldis.Model, images: Any, **options: Any) -> torch.Tensor:
    return model.encode(images, inversion_steps=0, **options).z


def off_by(first: Any, second: Any, channels: int) -> float:
    """The largest difference of two inputs as a model gets them."""
    a, b = (read_framed(each, 32, channels, "crop").squares for each in (first, second))
    return float((a - b).abs().max())


def test_importing_it_imports_nothing_heavy() -> None:
    program = (
        "import sys; import comfyui_cldis as c; assert 'load_model' in dir(c); "
        "print(sorted({'torch', 'numpy', 'diffusers', 'PIL', 'safetensors'} & set(sys.modules)), "
        "c.load_model.__name__)"
    )
    root = Path(cldis.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "[] load_model\n", done.stderr


def test_every_promised_name_is_there() -> None:
    assert set(cldis.__all__) <= set(dir(cldis))
    for name in cldis.__all__:
        assert getattr(cldis, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        _ = cldis.no_such_name


def test_the_same_image_in_every_form_gives_the_same_code(
    model: cldis.Model, path: Path, pixels: np.ndarray
) -> None:
    wanted = code(model, path)
    assert wanted.shape == (1, 4)
    channels_first = torch.from_numpy(pixels).permute(2, 0, 1)
    with Image.open(path) as opened:
        for same in (str(path), opened, [path], pixels, pixels[None], channels_first):
            assert torch.equal(code(model, same), wanted)
    for close in (pixels / 255, (pixels / 255).astype(">f4"), channels_first[None] / 255):
        torch.testing.assert_close(code(model, close), wanted)


def test_arrays_are_not_changed_and_may_be_read_only(
    model: cldis.Model, pixels: np.ndarray
) -> None:
    for array in (pixels.copy(), pixels / 255, pixels[::-1]):
        before = array.copy()
        array.flags.writeable = False
        code(model, array)
        assert np.array_equal(array, before)


def test_a_list_of_mixed_forms_keeps_its_order_and_equals_its_items(
    model: cldis.Model, path: Path, pixels: np.ndarray
) -> None:
    dark, wide = pixels // 4, pixels[:20]
    latent = model.encode([path, np.stack([dark, dark[::-1]]), wide / 255], inversion_steps=STEPS)
    singles = [model.encode(x, inversion_steps=STEPS) for x in (path, dark, dark[::-1], wide)]
    assert len(latent) == 4 and latent.x_T is not None
    assert [(each.height, each.width) for each in latent.origins] == [(40, 50)] * 3 + [(20, 50)]
    for index, single in enumerate(singles):
        assert single.x_T is not None
        torch.testing.assert_close(latent.z[index], single.z[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(latent.x_T[index], single.x_T[0], atol=1e-4, rtol=1e-3)
    sizes = [image.size for image in model.decode(latent, num_steps=1)]
    assert sizes == [(50, 40)] * 3 + [(50, 20)]


def test_alpha_lies_over_white_and_grey_is_three_equal_channels(model: cldis.Model) -> None:
    white = np.full((32, 32, 3), 255, np.uint8)
    clear = np.zeros((32, 32, 4), np.uint8)
    assert torch.equal(code(model, clear), code(model, white))
    assert torch.equal(code(model, clear / 255), code(model, white))
    grey = np.arange(0, 256, dtype=np.uint8).repeat(4).reshape(32, 32)
    for each in (grey, grey[..., None], torch.from_numpy(grey)[None], grey / 255):
        torch.testing.assert_close(code(model, each), code(model, grey[..., None].repeat(3, -1)))
    half = np.dstack([grey, np.full_like(grey, 128)])  # grey and alpha
    assert off_by(half / 255, half, channels=3) <= LEVEL


def test_a_grey_model_reads_the_luma_and_draws_grey(
    grey_model: cldis.Model, pixels: np.ndarray
) -> None:
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    assert torch.equal(code(grey_model, pixels), code(grey_model, luma))
    assert off_by(pixels / 255, luma, channels=1) <= LEVEL
    latent = grey_model.encode(pixels, inversion_steps=0)
    assert [image.mode for image in grey_model.preview(latent)] == ["L"]
    assert grey_model.preview(latent, output="numpy").shape == (1, 40, 40, 1)


@pytest.mark.parametrize(
    ("resize", "size"), [("crop", (40, 40)), ("pad", (50, 40)), ("stretch", (50, 40))]
)
def test_the_size_comes_back_by_the_rule(
    model: cldis.Model, path: Path, resize: str, size: tuple[int, int]
) -> None:
    latent = model.encode(path, resize=resize, inversion_steps=0)
    framed, _ = frame(to_tensor(read_image(path).image), 32, resize)
    torch.testing.assert_close(latent.z, encode(model.editable, framed, inversion_steps=0).z)
    (image,) = model.preview(latent)
    assert image.size == size
    (image,) = model.preview(latent, size="model")
    assert image.size == (32, 32)


def test_outputs_are_the_pipeline_s_in_three_forms(model: cldis.Model, path: Path) -> None:
    latent = model.edit(model.encode([path, path], inversion_steps=STEPS), {"yaw": 1})
    wanted = torch.stack(render(model.editable, latent, num_steps=STEPS, size="model"))
    tensor = model.decode(latent, num_steps=STEPS, output="torch", size="model")
    torch.testing.assert_close(tensor, wanted)
    array = model.decode(latent, num_steps=STEPS, output="numpy", size="model")
    assert array.dtype == np.float32 and array.shape == (2, 32, 32, 3)
    assert np.array_equal(array, tensor.permute(0, 2, 3, 1).numpy())
    images = model.decode(latent, num_steps=STEPS, size="model")
    for image, each in zip(images, array, strict=True):
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image) / 255 - each).max() <= 0.5 / 255 + 1e-6
    for given in (tensor, array):  # what comes out may go in again
        assert len(code(model, given)) == 2


def test_every_default_names_one_pair_of_inversion_and_sampler() -> None:
    functions = [cldis.Model.encode, cldis.Model.decode, encode, decode, render, invert, sample]
    given = [inspect.signature(each).parameters for each in functions]
    defaults = {
        each[name].default for each in given for name in each.keys() & {"sampler", "inversion"}
    }
    assert defaults == {EDIT_SAMPLER} and inversion_of(EDIT_SAMPLER) == EDIT_SAMPLER


def test_a_list_of_a_path_and_a_tensor_on_another_device(
    model: cldis.Model, path: Path, pixels: np.ndarray
) -> None:
    def drawn(latent: cldis.Latent) -> list[np.ndarray]:
        latent = model.edit(latent, {"yaw": 1})
        options: list[dict[str, Any]] = [{}, {"size": "model"}, {"method": "decoded"}]
        return [model.decode(latent, num_steps=1, output="numpy", **each) for each in options]

    image = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    wanted = drawn(model.encode([path, image], inversion_steps=1))
    with pretended():
        mixed = model.encode([path, image.to(DEVICE)], inversion_steps=1)
        assert {each.pixels.device.type for each in mixed.sources} == {DEVICE}
        apart = [model.encode(each, inversion_steps=1) for each in (path, image.to(DEVICE))]
        joined = cldis.Latent.cat([each.map(torch.Tensor.cpu) for each in apart])
        for latent in (mixed, joined):
            for one, other in zip(drawn(latent), wanted, strict=True):
                np.testing.assert_allclose(one, other, atol=1.01 / 255)


def test_without_an_edit_every_form_comes_back_exactly(
    model: cldis.Model, path: Path, pixels: np.ndarray
) -> None:
    floats = np.random.default_rng(1).random((33, 47, 3)).astype(np.float32)
    latent = model.encode([path, floats], inversion_steps=0)
    first, second = model.decode(latent)
    assert np.array_equal(np.asarray(first), pixels)
    assert np.array_equal(model.decode(latent[1:], output="numpy")[0], floats)
    assert np.abs(np.asarray(second) / 255 - floats).max() <= 0.51 / 255


def test_an_edit_stays_within_its_crop_and_its_mask(model: cldis.Model, pixels: np.ndarray) -> None:
    latent = model.encode(pixels, crop=(10, 5, 30, 30), inversion_steps=0)
    edited = model.edit(latent, {"yaw": 1.5})
    mask = np.zeros((40, 50))
    mask[:, 25:] = 1
    for options, columns in (({}, slice(10, 40)), ({"mask": mask}, slice(25, 40))):
        (image,) = model.decode(edited, num_steps=1, **options)
        is_changed = (np.asarray(image) != pixels).any(-1)
        assert is_changed[5:35, columns].mean() > 0.5
        is_changed[5:35, columns] = False
        assert not is_changed.any()
    with pytest.raises(ValueError, match="The mask has 25 x 20 pixels and the image 50 x 40"):
        model.decode(edited, mask=np.zeros((20, 25)))
    for crop in ((1, 2, 3), 5, "1234", (1, 2, 3.5, 4), np.ones(4)):
        with pytest.raises(ValueError, match=r"^crop is .* Give \(left, top, width, height\)"):
            model.encode(pixels, crop=crop)  # type: ignore[arg-type]
    for options in ({"method": "guess"}, {"size": "big"}, {"output": "jpg"}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))} is "):
            model.decode(edited, **options)  # type: ignore[call-overload]
    for strength in (2, "1", None, math.nan, np.ones(2)):
        with pytest.raises(ValueError, match="^strength is .* Use a number from 0"):
            model.decode(edited, strength=strength)  # type: ignore[arg-type]


def test_images_cropped_differently_fit_into_one_array(
    model: cldis.Model, pixels: np.ndarray
) -> None:
    boxes = ((10, 5, 30, 30), (0, 0, 30, 20))
    parts = [model.encode(pixels, crop=box, inversion_steps=0) for box in boxes]
    parts.append(model.encode(pixels, resize="stretch", inversion_steps=0))
    latent = cldis.Latent.cat(parts)
    edited = model.edit(latent, {"yaw": 1})
    for output, shape in (("numpy", (3, 40, 50, 3)), ("torch", (3, 3, 40, 50))):
        drawn = model.decode(edited, method="tracked", output=output)  # type: ignore[call-overload]
        assert drawn.shape == shape
    assert model.preview(latent[:1], output="numpy").shape == (1, 30, 30, 3)
    both = cldis.Latent.cat([parts[0], model.encode(pixels[:30, :30], inversion_steps=0)])
    assert model.preview(both, output="numpy").shape == (2, 30, 30, 3)
    bare = dataclasses.replace(latent, sources=())
    for call in (lambda: model.preview(latent, output="numpy"), lambda: drawn_anew(model, bare)):
        with pytest.raises(ValueError, match="have different sizes, so they do not fit into one"):
            call()


def drawn_anew(model: cldis.Model, latent: cldis.Latent) -> np.ndarray:
    return model.decode(latent, seed=0, num_steps=1, output="numpy")


def test_a_mask_painted_on_transparency_is_that_of_the_command(
    model: cldis.Model, pixels: np.ndarray, tmp_path: Path
) -> None:
    edited = model.edit(model.encode(pixels), {"yaw": 2.0})
    painted = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    painted[:, 20:, 3] = 0  # white on the left, nothing on the right
    image = Image.fromarray(painted)
    image.save(tmp_path / "mask.png")
    share = read_mask(tmp_path / "mask.png", pixels.shape[1], pixels.shape[0])[0].numpy()
    assert 0 < share.mean() < 1
    wanted = model.decode(edited, mask=share, method="tracked", output="numpy")
    for each in (image, tmp_path / "mask.png", str(tmp_path / "mask.png")):
        drawn = model.decode(edited, mask=each, method="tracked", output="numpy")
        assert np.array_equal(drawn, wanted)


@pytest.mark.parametrize("name", ["mask.png", "mask.jpg"])
def test_a_mask_is_turned_upright_once(tmp_path: Path, name: str) -> None:
    lying = np.zeros((20, 40), np.uint8)
    lying[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(lying).save(tmp_path / name, exif=exif, quality=100)
    wanted = read_mask(tmp_path / name, 20, 40)
    for each in (tmp_path / name, Image.open(tmp_path / name)):
        assert torch.equal(as_mask(each, [(40, 20)]), wanted)


def test_a_mask_of_bool_is_one_of_zero_and_one(model: cldis.Model, pixels: np.ndarray) -> None:
    edited = model.edit(model.encode(pixels, inversion_steps=0), {"yaw": 1})
    mask = np.zeros(pixels.shape[:2], bool)
    mask[:, :20] = True
    wanted = model.decode(edited, mask=mask.astype(np.float32), method="tracked", output="numpy")
    for each in (mask, torch.from_numpy(mask)):
        drawn = model.decode(edited, mask=each, method="tracked", output="numpy")
        assert np.array_equal(drawn, wanted)


def test_a_tracked_preview_equals_the_tracked_edit(model: cldis.Model, pixels: np.ndarray) -> None:
    latent = model.encode(pixels, inversion_steps=0)
    live = model.tracked_preview(latent)
    assert torch.equal(live.draw({"yaw": 0})[0], live.images[0])
    drawn = live.draw({"yaw": 1})[0]
    wanted = model.decode(model.edit(latent, {"yaw": 1}), method="tracked", output="numpy")[0]
    np.testing.assert_allclose(drawn.permute(1, 2, 0).numpy() / 255, wanted, atol=1e-6)
    small = model.tracked_preview(latent, longest=20)
    assert tuple(small.draw({"yaw": 1})[0].shape) == (3, 16, 20)


def test_a_zero_edit_is_the_identity_and_edits_add_up(model: cldis.Model, path: Path) -> None:
    latent = model.encode(path, inversion_steps=STEPS)
    same = model.edit(latent, {"yaw": 0, "hair length": 0.0})
    assert torch.equal(same.z, latent.z) and same.x_T is latent.x_T
    before, after = (model.decode(each, num_steps=STEPS, output="numpy") for each in (latent, same))
    assert np.array_equal(before, after)
    twice = model.edit(model.edit(latent, {"yaw": 1}), {"yaw": -0.5})
    torch.testing.assert_close(twice.z, model.edit(latent, {"yaw": 0.5}).z)
    assert not torch.equal(twice.z, latent.z)


@pytest.mark.parametrize("amount", [np.float32(0.5), torch.tensor(0.5)])
def test_amounts_may_be_scalars_of_numpy_and_torch(
    model: cldis.Model, path: Path, amount: Any
) -> None:
    latent = model.encode(path, inversion_steps=0)
    wanted = model.edit(latent, {"yaw": 0.5}).z
    assert torch.equal(model.edit(latent, {"yaw": amount}).z, wanted)
    assert torch.equal(model.traverse(latent, "yaw", [amount]).z, wanted)


def test_traverse_and_interpolate(model: cldis.Model, path: Path, pixels: np.ndarray) -> None:
    latent = model.encode([path, pixels // 4], inversion_steps=STEPS)
    row = model.traverse(latent, "yaw", np.linspace(-1.0, 1.0, 3))
    assert len(row) == 6
    torch.testing.assert_close(row.z[:3].mean(0), latent.z[0])
    assert torch.equal(row.z[5], model.edit(latent, {"yaw": 1.0}).z[1])
    first, second = latent[0:1], latent[1:2]
    assert torch.equal(model.interpolate(first, second, 0).z, first.z)
    assert torch.equal(model.interpolate(first, second, 1).z, second.z)
    frames = model.interpolate(first, latent, np.linspace(0, 1, 3))
    assert len(frames) == 6 and torch.equal(frames.z[5], second.z[0])
    images = model.decode(frames, output="numpy", method="tracked")
    assert np.array_equal(images[0] * 255, np.asarray(Image.open(path), np.float32))
    assert np.array_equal(np.rint(images[5] * 255), pixels // 4)
    with pytest.raises(ValueError, match="The fraction is 'half'"):
        model.interpolate(first, second, "half")  # type: ignore[arg-type]


def test_transfer(model: cldis.Model, path: Path, pixels: np.ndarray) -> None:
    latent = model.encode([path, pixels // 4], inversion_steps=0)
    moved = model.transfer(latent[:1], latent[1:], ["yaw"])
    torch.testing.assert_close(moved.z[:, 0], latent.z[1:, 0])
    assert torch.equal(moved.z[:, 1:], latent.z[:1, 1:])
    assert torch.equal(model.transfer(latent, latent[:1], strength=0).z, latent.z)


def test_animate(model: cldis.Model, path: Path) -> None:
    latent = model.encode([path, path], inversion_steps=0)
    walk = model.animate(latent, {np.int64(0): {}, 2: {"yaw": 1.0}}, loop=True)
    assert len(walk) == 8
    for index, amount in enumerate((0, 0.5, 1, 0.5)):
        assert torch.equal(walk.z[4 + index], model.edit(latent, {"yaw": amount}).z[1])
    with pytest.raises(ValueError, match="There are no keyframes"):
        model.animate(latent, {})
    for keyframes in ([{}], "0", None):
        with pytest.raises(TypeError, match="^The keyframes are a .* Give a mapping such as"):
            model.animate(latent, keyframes)  # type: ignore[arg-type]


def test_sample(model: cldis.Model) -> None:
    latent = model.sample(2, seed=3, num_steps=STEPS)
    first, second = model.decode(latent)
    assert first.size == (32, 32) and first.tobytes() != second.tobytes()
    assert model.decode(model.sample(seed=4, num_steps=STEPS))[0].size == (32, 32)
    moved = model.decode(model.edit(latent, {"yaw": 1.0}), method="tracked")
    assert moved[0].tobytes() != first.tobytes()


def test_a_seed_draws_the_same_again_and_counts_up_along_the_batch(
    model: cldis.Model, path: Path
) -> None:
    latent = model.encode([path, path], inversion_steps=0)
    options: dict[str, Any] = {"num_steps": STEPS, "output": "numpy", "size": "model"}
    first = model.decode(latent, seed=7, **options)
    assert np.array_equal(first, model.decode(latent, seed=7, **options))
    assert not np.array_equal(first[0], first[1])
    alone = model.decode(latent[1:2], seed=8, **options)
    np.testing.assert_allclose(first[1], alone[0], atol=1e-4)
    for seeds in ([7, 8], np.array([7, 8]), torch.tensor([7, 8]), np.array(7), torch.tensor(7)):
        assert np.array_equal(model.decode(latent, seed=seeds, **options), first)
    for wrong in (np.array([7.0, 8.0]), torch.tensor([[7, 8], [7, 8]]), np.array(7.5)):
        with pytest.raises(TypeError, match="^The seed is .* Give a whole number.$"):
            model.decode(latent, seed=wrong, **options)
    with pytest.raises(ValueError, match="There are 3 seeds for 2 items. Give one for each."):
        model.decode(latent, seed=np.array([7, 8, 9]), **options)


def test_info_and_directions(model: cldis.Model) -> None:
    info = model.info()
    assert (info["image_size"], info["latent_dim"], info["facts"]["name"]) == (32, 4, "tiny")
    assert [each.name for each in model.directions] == ["hair length", "yaw"]
    assert (model.name, model.image_size, model.channels) == ("tiny", 32, 3)
    assert "'tiny', 32 pixels, directions: hair length, yaw" in repr(model)


def test_the_bundled_model_and_its_heads() -> None:
    model = cldis.load_model(device="cpu")
    heads = cldis.sample_images()
    latent = model.encode(heads[:2], inversion_steps=2)
    changed = model.preview(model.edit(latent, {"skin": -1}), output="numpy")
    assert np.abs(changed - model.preview(latent, output="numpy")).mean() > 0.01
    assert len(heads) == 8 and changed.shape == (2, 512, 512, 3)


def test_short_dtypes_are_taken_by_both_names(tiny_checkpoint: Path, path: Path) -> None:
    for dtype in ("bfloat16", torch.bfloat16):
        model = cldis.load_model(tiny_checkpoint, device="cpu", dtype=dtype)
        assert model.editable.networks.dtype == torch.bfloat16
        assert code(model, path).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"dtype": "int8"}, "dtype is 'int8'. Use one of float32, float16, bfloat16."),
        (
            {"dtype": torch.float64},
            "dtype is torch.float64. Use one of float32, float16, bfloat16.",
        ),
        ({"device": "gpu"}, "device is 'gpu'. Use 'auto', 'cpu' or 'cuda'."),
        ({"device": "cuda:99"}, "device is 'cuda:99', but there is no such device. Use 'cpu'."),
        ({"device": "hip"}, "device is 'hip', but there is no such device. Use 'cpu'."),
        ({"device": "mtia"}, "device is 'mtia', but there is no such device. Use 'cpu'."),
        ({"device": "hpu"}, "device is 'hpu', but there is no such device. Use 'cpu'."),
        (
            {"device": torch.device("meta")},
            "device is device(type='meta'), which holds no values. Use 'auto' or 'cpu'.",
        ),
        ({"device": None}, "device is None. Use 'auto', 'cpu' or 'cuda'."),
        ({"device": 1.5}, "device is 1.5. Use 'auto', 'cpu' or 'cuda'."),
    ],
)
def test_bad_options_of_loading(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        cldis.load_model(**options)
    assert str(caught.value) == sentence


def test_what_is_no_model(tmp_path: Path, path: Path) -> None:
    with pytest.raises(cldis.CheckpointError, match="noise.png is not a safetensors file"):
        cldis.load_model(path)
    with pytest.raises(FileNotFoundError, match="There is no model file"):
        cldis.load_model(tmp_path / "none.safetensors")


FLOATS = np.zeros((8, 8, 3))


@pytest.mark.parametrize(
    ("images", "error", "sentence"),
    [
        ([], ValueError, "There are no images. Give at least one."),
        (np.zeros((0, 8, 8, 3)), ValueError, "so there are no images in it"),
        (np.zeros((8, 0, 3), np.uint8), ValueError, "so there are no images in it"),
        (torch.zeros(0, 3, 8, 8), ValueError, "so there are no images in it"),
        (FLOATS.transpose(2, 0, 1), ValueError, r"\(3, 8, 8\). Give \(H, W\), \(H, W, C\) or"),
        (torch.zeros(8, 8, 3), ValueError, r"\(8, 8, 3\). Give \(H, W\), \(C, H, W\) or"),
        (np.zeros(8), ValueError, r"The array has shape \(8,\)"),
        (np.zeros((1, 1, 8, 8, 3)), ValueError, "The array has shape"),
        (FLOATS - 0.5, ValueError, r"from -0.5 to -0.5; .* If -1 is black, give \(x \+ 1\) / 2"),
        (FLOATS + 200, ValueError, "from 200 to 200; .* If 255 is white, give x / 255"),
        (FLOATS + 3000, ValueError, "from 3000 to 3000; .* Scale them, or give uint8"),
        (FLOATS + np.nan, ValueError, "The array holds NaN or infinite values"),
        (torch.full((3, 8, 8), torch.inf), ValueError, "The tensor holds NaN or infinite values"),
        (FLOATS.astype(int), ValueError, "The array holds int64. Give uint8 from 0 to 255, or"),
        (FLOATS.astype(np.uint16), ValueError, "The array holds uint16"),
        (FLOATS.astype(bool), ValueError, "The array holds bool"),
        (FLOATS.astype(complex), ValueError, "The array holds complex128"),
        (torch.zeros(3, 8, 8, dtype=torch.int32), ValueError, "The tensor holds torch.int32"),
        ([FLOATS, FLOATS + 2], ValueError, "Item 1 of the list holds values from 2 to 2"),
        ([FLOATS, None], TypeError, "Item 1 of the list is a NoneType, not an image"),
        (3, TypeError, "The input is a int, not an image. Give a path, a PIL image, a numpy"),
        (Image.new("RGB", (0, 30)), ValueError, "0 x 30 pixels, so there are none"),
        (b"bytes", TypeError, "The input is a bytes, not an image"),
        ("no/such/file.png", FileNotFoundError, "file.png"),
        (Path(__file__), ValueError, "test_api.py cannot be read as a"),
    ],
)
def test_what_is_no_image_is_refused_in_words(
    model: cldis.Model, images: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        model.encode(images, inversion_steps=0)


def test_other_bad_input(model: cldis.Model, path: Path, pixels: np.ndarray) -> None:
    latent = model.encode([path, pixels[:20]], inversion_steps=0)
    with pytest.raises(ValueError, match="'age' is not in 'tiny'. It has: hair length, yaw."):
        model.edit(latent, {"age": 1})
    with pytest.raises(ValueError, match="'age' is not in 'tiny'. It has: hair length, yaw."):
        model.traverse(latent, "age", [1])
    with pytest.raises(ValueError, match="Unknown resize rule 'fill'. Use one of crop, pad"):
        model.encode(path, resize="fill")
    with pytest.raises(ValueError, match="output is 'jpg'. Use one of pil, numpy, torch."):
        model.decode(latent, output="jpg")
    with pytest.raises(ValueError, match="size is 'full'. Use one of original, model."):
        model.preview(latent, size="full")
    with pytest.raises(ValueError, match='Use size="model", or output="pil".'):
        model.decode(latent, seed=0, output="numpy")
    assert model.decode(latent, seed=0, num_steps=1, output="numpy", size="model").shape[0] == 2
    with pytest.raises(ValueError, match="decode from a seed"):
        model.decode(dataclasses.replace(latent, sources=()))
    with pytest.raises(TypeError, match="The latent is a str. Give one that `encode` returned."):
        model.decode(str(path))
    for steps in (1.5, "2"):
        with pytest.raises(TypeError, match="inversion_steps is .* Give a whole number."):
            model.encode(path, inversion_steps=steps)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="The number of steps is .* Give a whole number."):
            model.decode(latent, seed=0, num_steps=steps)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="The seed is .* Give a whole number."):
            model.decode(latent, seed=steps)  # type: ignore[arg-type]
    for edits in ([("yaw", 1)], "yaw=1", None):
        with pytest.raises(TypeError, match="The edits are a .* Give a mapping such as"):
            model.edit(latent, edits)  # type: ignore[arg-type]
    for amounts in (3, np.float32(1), torch.tensor(1.0)):
        with pytest.raises(TypeError, match="The amounts are .* Give a list of numbers."):
            model.traverse(latent, "yaw", amounts)  # type: ignore[arg-type]


def test_a_model_of_latents_takes_no_images(
    make_model: Callable[..., EditableModel], tmp_path: Path, path: Path
) -> None:
    save_checkpoint(tmp_path / "latents.safetensors", make_model(in_channels=4))
    model = cldis.load_model(tmp_path / "latents.safetensors", device="cpu")
    with pytest.raises(ValueError, match="works on image latents with 4 channels"):
        model.encode(path)
