"""Factor data files: tiny ones in the layout of the real ones, and hostile ones."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from comfyui_cldis import cli
from comfyui_cldis.datasets import stored as module
from comfyui_cldis.datasets.registry import factor_space, is_factor_source, open_factor_data
from trainer.data import open_images

SIZES = (3, 2, 4, 2, 2)  # a small dSprites


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def grid(sizes):
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


class Marker:
    """Unpickling it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def write_dsprites(path, compress=True, pixels=None, classes=None):
    count = int(np.prod(SIZES))
    if pixels is None:
        pixels = random_images(count, 8, 8) % 2
        pixels[:, 0, 0] = 1
    if classes is None:
        classes = np.concatenate([np.zeros((count, 1), dtype=int), grid(SIZES)], axis=1)
    save = np.savez_compressed if compress else np.savez
    metadata = np.array(Marker(path.parent / "unpickled"), dtype=object)
    save(path, imgs=pixels, latents_classes=classes, metadata=metadata)
    return pixels


# Layouts


@pytest.mark.parametrize("compress", [True, False])
def test_dsprites(tmp_path, compress):
    path = tmp_path / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    pixels = write_dsprites(path, compress)
    data = open_factor_data(str(path), 8)
    assert (data.name, data.channels) == ("dsprites", 1)
    assert data.space.names == ("shape", "scale", "orientation", "position_x", "position_y")
    assert data.space.sizes == SIZES
    images = data.images(grid(SIZES))
    assert np.array_equal(images[..., 0], pixels * 255)
    row = int(data.space.to_index(np.array([[2, 1, 3, 0, 1]]))[0])
    assert np.array_equal(data.images(np.array([[2, 1, 3, 0, 1]]))[0, ..., 0], pixels[row] * 255)
    assert not (tmp_path / "unpickled").exists()


def test_plain_npz_is_mapped_and_packed_is_not(tmp_path):
    for compress in (True, False):
        write_dsprites(tmp_path / f"{compress}.npz", compress)
        data = open_factor_data(str(tmp_path / f"{compress}.npz"), 8)
        assert isinstance(data._rows, np.memmap) is not compress


def test_grey_becomes_rgb_when_asked(tmp_path):
    write_dsprites(tmp_path / "a.npz")
    grey = open_factor_data(str(tmp_path / "a.npz"), 8)
    rgb = open_factor_data(str(tmp_path / "a.npz"), 8, channels=3)
    assert (rgb.channels, rgb.image_size, rgb.space) == (3, 8, grey.space)
    levels = grid(SIZES)[5:9]
    assert np.array_equal(rgb.images(levels), np.repeat(grey.images(levels), 3, axis=3))


def test_mpi3d_by_its_axes(tmp_path):
    pixels = random_images(2, 3, 1, 2, 1, 2, 3, 8, 8, 3)
    np.savez(tmp_path / "mpi3d_toy.npz", images=pixels)
    data = open_factor_data(str(tmp_path / "mpi3d_toy.npz"), 8)
    assert data.name == "mpi3d_toy"
    assert data.space.sizes == (2, 3, 1, 2, 1, 2, 3)
    assert data.space.names[0] == "object_color" and data.space.names[-1] == "vertical_axis"
    assert np.array_equal(
        data.images(np.array([[1, 2, 0, 1, 0, 1, 2], [0, 1, 0, 1, 0, 0, 2]])),
        np.stack([pixels[1, 2, 0, 1, 0, 1, 2], pixels[0, 1, 0, 1, 0, 0, 2]]),
    )


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (460_800, (4, 4, 2, 3, 3, 40, 40)),
        (1_036_800, (6, 6, 2, 3, 3, 40, 40)),
        (17_568, (4, 24, 183)),
    ],
)
def test_real_numbers_of_images_give_the_grid(tmp_path, count, sizes):
    pixels = np.zeros((count, 1, 1, 3), dtype=np.uint8)
    marked = tuple(size - 1 for size in sizes[:-1]) + (0,)
    pixels[np.ravel_multi_index(marked, sizes)] = 77
    np.savez(tmp_path / "real.npz", images=pixels)
    data = open_factor_data(str(tmp_path / "real.npz"), 1)
    assert data.space.sizes == sizes
    assert data.images(np.array([marked])).tolist() == [[[[77, 77, 77]]]]
    assert data.images(np.array([(0,) * len(sizes)])).max() == 0


def test_cars3d_from_mat_files(tmp_path):
    scipy_io = pytest.importorskip("scipy.io", reason="Cars3D's .mat files need scipy")
    views = random_images(3, 8, 8, 3, 5, 2)  # three cars, five azimuths, two elevations
    for car in range(3):
        scipy_io.savemat(tmp_path / f"car_{car:03d}_mesh.mat", {"im": views[car]})
    data = open_factor_data(str(tmp_path), 8)
    assert (data.name, data.space.names) == ("cars3d", ("elevation", "azimuth", "object"))
    assert data.space.sizes == (2, 5, 3)
    for elevation, azimuth, car in ((0, 0, 0), (1, 4, 2), (1, 0, 1)):
        image = data.images(np.array([[elevation, azimuth, car]]))[0]
        assert np.array_equal(image, views[car, ..., azimuth, elevation])
    # Training images come through the same door.
    opened = open_images(str(tmp_path), 8, cache_dir=tmp_path / "cache", num_images=7)
    assert opened.images.shape == (7, 8, 8, 3)


SHAPES3D_SIZES = (2, 2, 2, 2, 3, 2)


def write_shapes3d(path, labels=None, images=None, **storage):
    h5py = pytest.importorskip("h5py", reason="3dshapes.h5 needs h5py")
    count = int(np.prod(SHAPES3D_SIZES))
    levels = grid(SHAPES3D_SIZES)
    if labels is None:
        labels = levels * [0.1, 0.1, 0.1, 0.07, 1, 4.3] - [0, 0, 0, -0.75, 0, 30]
    if images is None:
        images = random_images(count, 8, 8, 3)
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=images, **storage)
        file.create_dataset("labels", data=labels)
    return images


@pytest.mark.parametrize(
    ("storage", "is_mapped"),
    [({}, True), ({"chunks": (32, 2, 4, 1), "compression": "gzip"}, False)],
)
def test_shapes3d(tmp_path, storage, is_mapped):
    images = write_shapes3d(tmp_path / "3dshapes.h5", **storage)
    data = open_factor_data(str(tmp_path / "3dshapes.h5"), 8)
    assert data.name == "shapes3d"
    assert data.space.names[0] == "floor_hue" and data.space.sizes == SHAPES3D_SIZES
    assert isinstance(data._rows, np.memmap) is is_mapped
    assert np.array_equal(data.images(grid(SHAPES3D_SIZES)[::-1]), images[::-1])


def test_another_size_is_resized(tmp_path):
    pixels = np.zeros((2, 3, 1, 1, 1, 1, 1, 8, 8, 3), dtype=np.uint8)
    pixels[..., :4, :, :] = 200
    np.savez(tmp_path / "mpi3d_toy.npz", images=pixels)
    small = open_factor_data(str(tmp_path / "mpi3d_toy.npz"), 2).images(np.zeros((1, 7), int))
    assert small[0, :, 0, 0].tolist() == [200, 0]
    large = open_factor_data(str(tmp_path / "mpi3d_toy.npz"), 16).images(np.zeros((1, 7), int))
    assert large.shape == (1, 16, 16, 3)
    assert large[0, 2, 2, 0] == 200 and large[0, 14, 2, 0] == 0


# Unpacking


def test_large_packed_files_are_unpacked_once(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMORY_BYTES", 1000)
    pixels = write_dsprites(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="GiB unpacked.*Give a cache folder"):
        open_factor_data(str(tmp_path / "a.npz"), 8)
    cache = tmp_path / "cache"
    data = open_factor_data(str(tmp_path / "a.npz"), 8, cache_dir=cache)
    assert np.array_equal(data.images(grid(SIZES))[..., 0], pixels * 255)

    def unpacked():
        return {file.name: file.stat().st_mtime_ns for file in cache.iterdir()}

    before = unpacked()
    assert len(before) == 1
    again = open_factor_data(str(tmp_path / "a.npz"), 16, cache_dir=cache)
    assert again.images(grid(SIZES)[:2]).shape == (2, 16, 16, 1)
    assert unpacked() == before
    os.utime(tmp_path / "a.npz", ns=(1, 1))  # another file, as far as one can tell
    open_factor_data(str(tmp_path / "a.npz"), 8, cache_dir=cache)
    assert unpacked().keys() - before.keys()


def test_factors_are_known_without_unpacking(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMORY_BYTES", 1000)
    write_dsprites(tmp_path / "a.npz")
    assert factor_space(str(tmp_path / "a.npz")).sizes == SIZES
    assert factor_space("heads").names == open_factor_data("heads", 32).space.names
    with pytest.raises(FileNotFoundError, match="no factor data"):
        factor_space(str(tmp_path / "b.npz"))


@pytest.mark.parametrize("keeps", [False, True])
def test_a_large_packed_file_is_scored(tiny_checkpoint, tmp_path, monkeypatch, keeps):
    monkeypatch.setattr(module, "MAX_MEMORY_BYTES", 1000)
    write_dsprites(tmp_path / "a.npz")
    cache = ["--cache", str(tmp_path / "cache")] if keeps else []
    arguments = ["--dataset", str(tmp_path / "a.npz"), "--metrics", "active_dims", "--fast"]
    assert cli.main(["evaluate", str(tiny_checkpoint), *arguments, *cache, "--no-controls"]) == 0
    kept = list((tmp_path / "cache").glob("unpacked-*.npy"))
    assert len(kept) == keeps


# As training images


def test_stored_images_train_whole_and_in_order(tmp_path):
    pixels = write_dsprites(tmp_path / "a.npz")
    opened = open_images(str(tmp_path / "a.npz"), 8, cache_dir=tmp_path / "cache")
    assert np.array_equal(opened.images, np.repeat(pixels[..., None] * 255, 3, axis=3))
    assert opened.report.used == 96
    assert opened.report.findings.samples[1][1] == "0 0 0 0 1" or len(pixels) > 64
    few = open_images(str(tmp_path / "a.npz"), 8, cache_dir=tmp_path / "cache", num_images=5)
    assert few.images.shape == (5, 8, 8, 3)
    with pytest.raises(ValueError, match="num_images is 97, .* has 96 images"):
        open_images(str(tmp_path / "a.npz"), 8, cache_dir=tmp_path / "cache", num_images=97)


def test_changed_file_is_read_again(tmp_path):
    first = write_dsprites(tmp_path / "a.npz")
    open_images(str(tmp_path / "a.npz"), 8, cache_dir=tmp_path / "cache", channels=1)
    write_dsprites(tmp_path / "a.npz", pixels=1 - first, compress=False)
    opened = open_images(str(tmp_path / "a.npz"), 8, cache_dir=tmp_path / "cache", channels=1)
    assert np.array_equal(opened.images[..., 0], (1 - first) * 255)
    opened.remove_older()
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_folder_of_images_with_a_mat_file_stays_a_folder(tmp_path):
    from PIL import Image

    Image.new("RGB", (9, 9), "red").save(tmp_path / "a.png")
    (tmp_path / "annotations.mat").write_bytes(b"whatever")
    opened = open_images(str(tmp_path), 8, cache_dir=tmp_path / "cache")
    assert (opened.report.used, opened.report.ignored) == (1, ((".mat", 1),))


def test_images_in_a_folder_beside_a_mat_file_are_images(tmp_path):
    """As Oxford Flowers has them; the folder with the .mat file alone would be Cars3D."""
    from PIL import Image

    (tmp_path / ".notes").mkdir()
    (tmp_path / "imagelabels.mat").write_bytes(b"whatever")
    assert is_factor_source(str(tmp_path))
    (tmp_path / "jpg").mkdir()
    Image.new("RGB", (9, 9), "red").save(tmp_path / "jpg" / "image_00001.jpg")
    assert not is_factor_source(str(tmp_path))
    opened = open_images(str(tmp_path), 8, cache_dir=tmp_path.parent / "cache")
    assert (opened.report.used, opened.report.ignored) == (1, ((".mat", 1),))


# Hostile files


def npz_with(path, name, data, compress=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compress) as archive:
        archive.writestr(name, data)


def npy_header(shape, descr="|u1", fortran=False):
    text = repr({"descr": descr, "fortran_order": fortran, "shape": shape})
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


HOSTILE = {
    "no zip": lambda path: path.write_bytes(b"PK but not really"),
    "empty": lambda path: path.write_bytes(b""),
    "no array": lambda path: npz_with(path, "readme.txt", b"hello"),
    "no header": lambda path: npz_with(path, "images.npy", b"\x93NUMPY"),
    "odd header": lambda path: npz_with(path, "images.npy", b"\x93NUMPY\x01\x00\x05\x00()[]{"),
    "other arrays": lambda path: np.savez(path, weights=np.zeros(3)),
    "floats": lambda path: np.savez(path, images=np.zeros((17568, 1, 1, 3))),
    "objects": lambda path: np.savez(path, images=np.array([Marker(path.parent / "x")] * 9)),
    "fortran": lambda path: npz_with(
        path, "images.npy", npy_header((17568, 1, 1, 3), fortran=True) + bytes(17568 * 3)
    ),
    "claims too much": lambda path: npz_with(
        path, "images.npy", npy_header((1036800, 4096, 4096, 3)) + bytes(100)
    ),
    "negative": lambda path: npz_with(
        path, "images.npy", npy_header((-17568, -1, 1, 3)) + bytes(17568 * 3)
    ),
    "wrong number": lambda path: np.savez(path, images=np.zeros((1000, 8, 8, 3), np.uint8)),
    "not square": lambda path: np.savez(path, images=np.zeros((17568, 1, 2, 3), np.uint8)),
    "channels": lambda path: np.savez(path, images=np.zeros((17568, 1, 1, 4), np.uint8)),
    "a vector": lambda path: np.savez(path, images=np.zeros(17568, np.uint8)),
    "no images": lambda path: np.savez(path, images=np.zeros((0, 8, 8, 3), np.uint8)),
    "labels too few": lambda path: write_dsprites(path, classes=np.zeros((5, 6), int)),
    "labels of floats": lambda path: write_dsprites(path, classes=np.zeros((96, 6))),
    "labels negative": lambda path: write_dsprites(path, classes=np.full((96, 6), -1)),
    "labels flat": lambda path: write_dsprites(path, classes=np.zeros(96, int)),
    "labels mixed up": lambda path: write_dsprites(
        path, classes=np.concatenate([np.zeros((96, 1), int), grid(SIZES)[::-1]], axis=1)
    ),
    "images too few": lambda path: write_dsprites(path, pixels=np.ones((95, 8, 8), np.uint8)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_npz_is_refused_with_a_sentence(tmp_path, kind):
    path = tmp_path / "hostile.npz"
    HOSTILE[kind](path)
    with pytest.raises(ValueError, match="hostile.npz.*[.] (Download|Use|Convert|Check) "):
        open_factor_data(str(path), 8)
    assert not (tmp_path / "x").exists()


def test_npz_that_is_cut_off_or_bent_is_refused(tmp_path):
    plain, packed = tmp_path / "plain.npz", tmp_path / "packed.npz"
    noise = random_images(96, 8, 8)
    write_dsprites(plain, compress=False, pixels=noise)
    write_dsprites(packed, pixels=noise)
    for path in (plain, packed):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(ValueError, match="not a readable .npz file"):
            open_factor_data(str(path), 8)
        bent = bytearray(data)
        start = data.index(b"imgs.npy") + 400
        bent[start : start + 500] = bytes(500)
        path.write_bytes(bytes(bent))
    with pytest.raises(ValueError, match="packed.npz.*not a readable .npz file"):
        open_factor_data(str(packed), 8)


H5_HOSTILE = {
    "mixed up": {"labels": grid(SHAPES3D_SIZES)[::-1].astype(float)},
    "repeated": {"labels": np.zeros((96, 6))},
    "too few labels": {"labels": np.zeros((5, 6))},
    "floats": {"images": np.zeros((96, 8, 8, 3))},
    "not square": {"images": np.zeros((96, 8, 9, 3), np.uint8)},
    "flat": {"images": np.zeros((96, 8), np.uint8)},
}


@pytest.mark.parametrize("kind", H5_HOSTILE)
def test_hostile_h5_is_refused_with_a_sentence(tmp_path, kind):
    path = tmp_path / "3dshapes.h5"
    write_shapes3d(path, **H5_HOSTILE[kind])
    with pytest.raises(ValueError, match="3dshapes.h5.*[.] (Download|Use|Convert) "):
        open_factor_data(str(path), 8)


def test_damaged_h5_is_refused_with_a_sentence(tmp_path):
    h5py = pytest.importorskip("h5py", reason="3dshapes.h5 needs h5py")
    path = tmp_path / "3dshapes.h5"
    path.write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="not a readable HDF5 file"):
        open_factor_data(str(path), 8)
    with h5py.File(path, "w") as file:
        file.create_group("images")
    with pytest.raises(ValueError, match="has the arrays images. Use the .* 'images' and 'labels'"):
        open_factor_data(str(path), 8)
    write_shapes3d(path, chunks=(8, 8, 8, 3), compression="gzip")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="3dshapes.h5.* is not a readable HDF5 file"):
        open_factor_data(str(path), 8)


def test_damaged_mat_files_are_refused_with_a_sentence(tmp_path):
    scipy_io = pytest.importorskip("scipy.io", reason="Cars3D's .mat files need scipy")
    first, second = tmp_path / "a.mat", tmp_path / "b.mat"
    first.write_bytes(b"no mat")
    with pytest.raises(ValueError, match="a.mat.*not a readable .mat file"):
        open_factor_data(str(tmp_path), 8)
    scipy_io.savemat(first, {"other": np.zeros(3)})
    with pytest.raises(ValueError, match="a.mat.*not a readable .mat file with 'im'"):
        open_factor_data(str(tmp_path), 8)
    scipy_io.savemat(first, {"im": np.zeros((8, 8, 3))})
    with pytest.raises(ValueError, match=r"'im' of shape \(8, 8, 3\). .* uint8"):
        open_factor_data(str(tmp_path), 8)
    scipy_io.savemat(first, {"im": random_images(8, 8, 3, 5, 2)})
    scipy_io.savemat(second, {"im": random_images(8, 8, 3, 4, 2)})
    with pytest.raises(ValueError, match="b.mat.*, and a.mat of .* again"):
        open_factor_data(str(tmp_path), 8)


def test_empty_folder_and_unknown_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no .mat files"):
        open_factor_data(str(tmp_path), 8)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match="Use 3dshapes.h5, dsprites"):
        open_factor_data(str(tmp_path / "a.txt"), 8)
    with pytest.raises(FileNotFoundError, match="Use one of heads, shapes3d-equivalent"):
        open_factor_data("shapes3d", 8)
