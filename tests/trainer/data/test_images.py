"""Folders and zip files of pictures: odd modes, damaged files, the cache and its errors."""

import io
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from trainer.data import DataReport, open_images
from trainer.data.decode import decode_picture

ORANGE = (250, 128, 10)


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(colour=ORANGE, size=(40, 30)):
    return encoded(Image.new("RGB", size, colour))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pictures"
    (root / "nested" / "deeper").mkdir(parents=True)
    (root / "b.png").write_bytes(plain((20, 0, 0)))
    (root / "nested" / "c.PNG").write_bytes(plain((30, 0, 0)))
    (root / "nested" / "deeper" / "d.bmp").write_bytes(
        encoded(Image.new("RGB", (9, 50), (40, 0, 0)), "BMP")
    )
    (root / "a.jpg").write_bytes(b"this is not a picture")
    (root / "truncated.png").write_bytes(encoded(Image.effect_noise((64, 64), 50))[:900])
    (root / "notes.txt").write_text("not a picture, and not counted")
    (root / ".hidden.png").write_bytes(plain())
    return root


def forbid_decoding(monkeypatch):
    def fail(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr("trainer.data.folder._decode_into", fail)


def reds(image_set):
    return image_set.images[:, 4, 4, 0].tolist()


# Decoding


def orange_variants():
    rgb = Image.new("RGB", (24, 16), ORANGE)
    turned = Image.new("RGB", (24, 16), ORANGE)
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "jpeg", encoded(rgb, "JPEG", quality=95)
    yield "exif", encoded(turned, "JPEG", quality=95, exif=exif.tobytes())
    yield "webp", encoded(rgb, "WEBP", lossless=True)
    yield "tiff", encoded(rgb, "TIFF")
    yield "bmp", encoded(rgb, "BMP")
    yield "palette", encoded(rgb.convert("P", palette=Image.Palette.ADAPTIVE))
    yield "opaque alpha", encoded(rgb.convert("RGBA"))
    other = Image.new("RGB", (24, 16), "blue")
    yield "first frame", encoded(rgb, "GIF", save_all=True, append_images=[other])


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in orange_variants()])
def test_formats_and_modes_give_the_same_colour(data):
    pixels = decode_picture(data, 8, 3)
    assert pixels.shape == (8, 8, 3)
    assert np.abs(pixels.astype(int) - ORANGE).max() <= 4


def test_cmyk_becomes_rgb():
    pixels = decode_picture(encoded(Image.new("CMYK", (20, 20), (0, 255, 255, 0)), "JPEG"), 8, 3)
    assert pixels[4, 4, 0] > 200
    assert pixels[4, 4, 1:].max() < 60


def test_deep_grey_is_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    expected = np.repeat((ramp[:, :, None] / 257), 3, axis=2)
    pixels = decode_picture(encoded(Image.fromarray(ramp)), 64, 3)
    assert np.abs(pixels - expected).max() <= 1
    floating = encoded(Image.fromarray((ramp / 65535).astype(np.float32)), "TIFF")
    assert np.abs(decode_picture(floating, 64, 3) - expected).max() <= 1


def test_unbounded_floats_are_refused():
    data = encoded(Image.fromarray(np.full((8, 8), 7.5, dtype=np.float32)), "TIFF")
    with pytest.raises(ValueError, match="0 to 1"):
        decode_picture(data, 8, 3)


def test_transparency_shows_white():
    clear = encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0)))
    keyed = encoded(Image.new("P", (20, 20), 0), transparency=0)
    grey_alpha = encoded(Image.new("LA", (20, 20), (0, 0)))
    for data in (clear, keyed, grey_alpha):
        assert decode_picture(data, 8, 3).min() == 255


def test_grey_output_has_one_channel():
    pixels = decode_picture(plain((255, 255, 255)), 8, 1)
    assert pixels.shape == (8, 8, 1)
    assert pixels.min() == 255


def test_central_square_is_kept():
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 200
    assert decode_picture(encoded(Image.fromarray(wide)), 5, 3).min() == 200


def test_exif_rotation_is_applied():
    picture = np.zeros((16, 16, 3), dtype=np.uint8)
    picture[:8] = 255  # top half white; orientation 6 turns it to the right half
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(picture), "JPEG", quality=95, exif=exif.tobytes())
    pixels = decode_picture(data, 16, 3)
    assert pixels[:, 12:].min() > 200
    assert pixels[:, :4].max() < 50


# Sources


def test_folder_uses_what_it_can_and_reports_the_rest(folder, tmp_path):
    opened = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert isinstance(opened.images, np.memmap)
    assert opened.images.shape == (3, 8, 8, 3)
    assert reds(opened) == [20, 30, 40]  # in the order of their names
    report = opened.report
    assert (report.source, report.found, report.used) == (str(folder), 5, 3)
    reasons = dict(report.skipped)
    assert set(reasons) == {"a.jpg", "truncated.png"}
    assert reasons["a.jpg"] == "not a picture of an accepted format"
    assert "3 of 5 pictures used, 2 skipped" in report.describe()


def test_zip_equals_folder(folder, tmp_path):
    archive = tmp_path / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
        file.write(folder / "b.png", "__MACOSX/b.png")
    zipped = open_images(str(archive), 8, cache_dir=tmp_path / "cache")
    unzipped = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert np.array_equal(zipped.images, unzipped.images)
    assert zipped.report.skipped == unzipped.report.skipped


def test_oversized_picture_is_skipped(folder, tmp_path, monkeypatch):
    (folder / "bomb.png").write_bytes(encoded(Image.new("1", (400, 400))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70_000)
    report = open_images(str(folder), 8, cache_dir=tmp_path / "cache").report
    assert "DecompressionBombError" in dict(report.skipped)["bomb.png"]


def test_limit_takes_a_seeded_choice_of_good_files(folder, tmp_path):
    def open_two(seed, cache):
        return open_images(str(folder), 8, cache_dir=tmp_path / cache, num_images=2, seed=seed)

    assert len(open_two(0, "one").images) == 2
    assert reds(open_two(0, "one")) == reds(open_two(0, "two"))
    assert len({tuple(reds(open_two(seed, "one"))) for seed in range(8)}) > 1


def test_linked_folders_are_followed_once(folder, tmp_path):
    try:
        (folder / "nested" / "loop").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not allow links")
    assert open_images(str(folder), 8, cache_dir=tmp_path / "cache").report.used == 3


# The cache


def test_second_open_does_not_decode(folder, tmp_path, monkeypatch):
    first = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    forbid_decoding(monkeypatch)
    second = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert np.array_equal(first.images, second.images)
    assert first.report == second.report


@pytest.mark.parametrize("change", ["add", "touch", "remove", "size", "channels"])
def test_any_change_decodes_again(folder, tmp_path, monkeypatch, change):
    size, channels = 8, 3
    open_images(str(folder), size, cache_dir=tmp_path / "cache")
    if change == "add":
        (folder / "e.png").write_bytes(plain())
    elif change == "touch":
        os.utime(folder / "b.png", ns=(1, 1))
    elif change == "remove":
        (folder / "b.png").unlink()
    elif change == "size":
        size = 9
    else:
        channels = 1
    forbid_decoding(monkeypatch)
    with pytest.raises(AssertionError, match="decoded again"):
        open_images(str(folder), size, cache_dir=tmp_path / "cache", channels=channels)


def test_damaged_cache_is_built_again(folder, tmp_path):
    first = open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    expected = np.array(first.images)
    del first
    (pixels,) = (tmp_path / "cache").glob("*.npy")
    pixels.write_bytes(pixels.read_bytes()[:200])
    assert np.array_equal(
        open_images(str(folder), 8, cache_dir=tmp_path / "cache").images, expected
    )


def test_failed_build_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    forbid_decoding(monkeypatch)
    with pytest.raises(AssertionError):
        open_images(str(folder), 8, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


# Errors


def test_missing_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.*check the path"):
        open_images(str(tmp_path / "nowhere"), 8, cache_dir=tmp_path)


def test_file_that_is_no_zip(folder, tmp_path):
    with pytest.raises(ValueError, match="put single pictures into a folder"):
        open_images(str(folder / "b.png"), 8, cache_dir=tmp_path)
    (tmp_path / "bad.zip").write_bytes(b"PK but not really")
    with pytest.raises(ValueError, match="not a readable zip file"):
        open_images(str(tmp_path / "bad.zip"), 8, cache_dir=tmp_path)


def test_no_usable_picture_names_the_extensions(tmp_path):
    root = tmp_path / "empty"
    root.mkdir()
    with pytest.raises(ValueError, match=r"0 picture files.*\.jpg, \.jpeg, \.png, \.webp"):
        open_images(str(root), 8, cache_dir=tmp_path / "cache")
    (root / "broken.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"1 picture files.*broken\.png: "):
        open_images(str(root), 8, cache_dir=tmp_path / "cache")


def test_cache_folder_that_cannot_be_made(folder, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(OSError, match="cannot be written.*choose a folder"):
        open_images(str(folder), 8, cache_dir=blocked / "cache")


def test_full_disk_is_told_before_writing(folder, tmp_path, monkeypatch):
    class Full:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    with pytest.raises(OSError, match="GiB free"):
        open_images(str(folder), 8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    "options", [{"image_size": 0}, {"channels": 2}, {"num_images": 0}, {"seed": -1}]
)
def test_numbers_out_of_range_are_named(folder, tmp_path, options):
    options = {"image_size": 8, "cache_dir": tmp_path, **options}
    with pytest.raises(ValueError, match="expected"):
        open_images(str(folder), **options)


def test_long_report_is_shortened():
    report = DataReport("x", 30, 0, tuple((f"{index}.png", "bad") for index in range(30)))
    assert report.describe().endswith("and 20 more")
