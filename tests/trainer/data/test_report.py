"""The data report: sizes, modes, duplicates, flat images, its words and its files."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from trainer.data import DataReport, open_images, read_report, write_report
from trainer.data.decode import Decoded
from trainer.data.survey import Survey, survey_drawn, take_fingerprint


def noise(seed, size=(16, 16)):
    generator = np.random.default_rng(seed)
    return Image.fromarray(generator.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Eight images: two pairs of equal ones, one flat, one grey, one palette, of many sizes."""
    root = tmp_path / "images"
    (root / "more").mkdir(parents=True)
    noise(1, (12, 30)).save(root / "a.png")
    noise(2, (40, 20)).save(root / "b.png")
    noise(3, (6, 9)).save(root / "c.png")
    noise(1, (12, 30)).save(root / "d.bmp")
    noise(2, (40, 20)).save(root / "more" / "e.png")
    Image.new("RGB", (100, 100), "teal").save(root / "flat.png")
    noise(4).convert("L").save(root / "grey.png")
    noise(5).convert("P").save(root / "palette.gif")
    (root / "broken.png").write_bytes(b"no")
    (root / "empty.jpg").write_bytes(b"")
    (root / "notes.txt").write_text("not counted")
    return root


def test_findings_of_a_known_folder(folder, tmp_path):
    found = open_images(str(folder), 10, cache_dir=tmp_path / "cache").report.findings
    # By area: 54, 256, 256, 360, 360, 800, 800, 10000; the fifth of eight is the median.
    assert found.smallest == (6, 9)
    assert found.median == (12, 30)
    assert found.largest == (100, 100)
    assert found.num_enlarged == 1
    assert dict(found.modes) == {"RGB": 6, "L": 1, "P": 1}
    assert found.modes[0] == ("RGB", 6)
    assert found.num_duplicates == 2
    assert found.duplicates == (("a.png", "d.bmp"), ("b.png", "more/e.png"))
    assert (found.num_repeated, found.most_repeated) == (2, (2, "a.png"))
    assert (found.num_near_constant, found.near_constant) == (1, ("flat.png",))
    assert [row for row, _ in found.samples] == list(range(8))
    assert found.samples[6] == (6, "more/e.png")


@pytest.mark.parametrize(("resize", "enlarged"), [("crop", 7), ("stretch", 7), ("pad", 3)])
def test_enlarged_depends_on_the_rule(folder, tmp_path, resize, enlarged):
    report = open_images(str(folder), 25, cache_dir=tmp_path / "cache", resize=resize).report
    assert report.findings.num_enlarged == enlarged


def test_words_of_the_report(folder, tmp_path):
    lines = open_images(str(folder), 10, cache_dir=tmp_path / "cache").report.describe()
    assert lines.replace(str(folder), "DATA").split("\n") == [
        "DATA: 10 images found = 8 used + 2 skipped",
        "  sizes 6 x 9 to 100 x 100, median 12 x 30; 1 smaller than 10 pixels, enlarged",
        # 60 % of 12 x 30, twice; 50 % of 40 x 20, twice; 33 % of 6 x 9
        "  5 not square: the crop cuts off 51 % of their area on average, 60 % at most (a.png); "
        "resize=pad keeps all",
        "  modes: 6 RGB, 1 L, 1 P",
        "  4 of those used are only 2 images, pixel by pixel, and each of these counts twice "
        "(d.bmp = a.png, ...)",
        "  1 of nearly one colour (flat.png)",
        "  other files, not looked at: 1 .txt (accepted: .jpg, .jpeg, .jfif, .png, .webp, .avif, "
        ".bmp, .tif, .tiff, .gif; names that start with a dot are hidden)",
        "  skipped:",
        "    broken.png: not an image of an accepted format, or its first bytes are damaged",
        "    empty.jpg: the file is empty (0 bytes)",
    ]


def test_the_counts_add_up(folder, tmp_path):
    (folder / "gone.png").symlink_to(tmp_path / "nowhere")
    opened = open_images(str(folder), 10, cache_dir=tmp_path / "cache", num_images=4, seed=3)
    report = opened.report
    assert (report.found, report.used) == (11, 4)
    left = 11 - 4 - len(report.skipped)
    first = report.describe().split("\n")[0].removeprefix(f"{folder}: ")
    assert first == (
        f"11 images found = 4 used + {len(report.skipped)} skipped + {left} not asked for"
    )
    assert DataReport("x", 5, 5).describe() == "x: 5 images found, all used"


@pytest.mark.parametrize("resize", ["pad", "stretch"])
def test_other_rules_cut_nothing_off(folder, tmp_path, resize):
    report = open_images(str(folder), 10, cache_dir=tmp_path / "cache", resize=resize).report
    assert report.findings.num_cropped == 0 and "cuts off" not in report.describe()


def test_why_a_file_was_skipped(folder, tmp_path):
    whole = (folder / "flat.png").read_bytes()
    noise(7, (90, 90)).save(tmp_path / "whole.jpg")
    (folder / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:2000])
    (folder / "torn.png").write_bytes(whole[: len(whole) // 2])
    report = open_images(str(folder), 10, cache_dir=tmp_path / "cache").report
    reasons = dict(report.skipped)
    assert reasons["half.jpg"] == "cut off: its end is missing; copy it again"
    assert reasons["torn.png"] == "cut off: its end is missing; copy it again"
    assert "Error" not in reasons["empty.jpg"]


def test_hidden_files_are_counted(folder, tmp_path):
    (folder / ".thumbnail.png").write_bytes(b"x")
    report = open_images(str(folder), 10, cache_dir=tmp_path / "cache").report
    assert dict(report.ignored) == {".txt": 1, "hidden": 1} and report.found == 10


def test_long_list_of_skipped_files_is_shortened():
    report = DataReport("x", 30, 0, tuple((f"{index}.png", "bad") for index in range(30)))
    assert report.describe().endswith("9.png: bad\n    and 20 more")


def test_report_survives_json(folder, tmp_path):
    report = open_images(str(folder), 10, cache_dir=tmp_path / "cache").report
    assert DataReport.from_json(report.to_json()) == report
    bare = DataReport("x", 1, 1)
    assert DataReport.from_json(bare.to_json()) == bare


@pytest.mark.parametrize("field", ["found", "skipped", "findings"])
def test_damaged_report_is_refused(field):
    facts = json.loads(DataReport("x", 1, 1).to_json())
    del facts[field]
    with pytest.raises(ValueError, match=f"data report is damaged.*{field}.*Open the data again"):
        DataReport.from_json(json.dumps(facts))
    with pytest.raises(ValueError, match="not of version"):
        DataReport.from_json("[]")


def test_duplicates_name_the_first_of_their_group():
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    rows = rng.integers(0, 50, 400)
    found = survey_drawn(originals[rows], str)
    first = {int(row): int(np.flatnonzero(rows == row)[0]) for row in np.unique(rows)}
    expected = [
        (str(first[int(row)]), str(index))
        for index, row in enumerate(rows)
        if first[int(row)] != index
    ]
    assert found.num_duplicates == len(expected) == 400 - len(first)
    assert found.duplicates == tuple(expected[:10])
    often = np.bincount(rows)
    assert found.num_repeated == (often > 1).sum()
    count, name = found.most_repeated
    assert count == often.max() == often[rows[int(name)]] and name in map(str, first.values())


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([1, 2, 3], None),
        ([1, 2, 1], "2 of those used are one image, pixel by pixel, which counts twice (2 = 0)"),
        (
            [1, 1, 2, 1],
            "3 of those used are one image, pixel by pixel, which counts 3 times (1 = 0, ...)",
        ),
        (
            [1, 2, 2, 1],
            "4 of those used are only 2 images, pixel by pixel, and each of these "
            "counts twice (2 = 1, ...)",
        ),
        (
            [1, 2, 2, 1, 5, 2],
            "5 of those used are only 2 images, pixel by pixel; 1 counts most "
            "often, 3 times (2 = 1, ...)",
        ),
    ],
)
def test_equal_images_are_counted_exactly(levels, words):
    images = np.zeros((len(levels), 4, 4, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = levels
    report = DataReport("x", 6, 6, image_size=4, findings=survey_drawn(images, str))
    lines = [line.strip() for line in report.describe().split("\n") if "pixel by pixel" in line]
    assert lines == ([] if words is None else [words])
    assert DataReport.from_json(report.to_json()) == report


def test_one_level_of_one_pixel_makes_another_image():
    images = np.full((2, 8, 8, 3), 100, dtype=np.uint8)
    images[1, 7, 7, 2] += 1
    assert survey_drawn(images, str).num_duplicates == 0


@pytest.mark.parametrize(
    ("levels", "is_flat"),
    # Halves that differ by d have a standard deviation of d / 2; the limit is 2.
    [((100, 103), True), ((100, 105), False)],
)
def test_near_constant_is_a_small_spread_in_every_channel(levels, is_flat):
    image = np.full((8, 8, 3), 50, dtype=np.uint8)
    image[:4, :, 1], image[4:, :, 1] = levels
    assert take_fingerprint(image).is_near_constant is is_flat


def test_samples_are_spread_over_the_whole_set():
    found = survey_drawn(np.zeros((1000, 1, 1, 1), dtype=np.uint8), lambda row: f"n{row}")
    rows = [row for row, _ in found.samples]
    assert (len(rows), rows[0], rows[-1]) == (64, 0, 999)
    assert {later - earlier for earlier, later in zip(rows, rows[1:], strict=False)} <= {15, 16}
    assert found.samples[-1][1] == "n999"


def test_a_survey_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no image"):
        Survey(3).sum_up(8, "crop", str)


def test_survey_counts_only_what_was_added():
    survey = Survey(5)
    image = Decoded(np.zeros((4, 4, 3), dtype=np.uint8), 7, 9, "CMYK")
    survey.add(image, take_fingerprint(image.pixels))
    found = survey.sum_up(4, "crop", str)
    assert (found.num_duplicates, found.smallest, found.modes) == (0, (7, 9), (("CMYK", 1),))


# Files


def test_written_report_holds_everything(folder, tmp_path):
    opened = open_images(str(folder), 10, cache_dir=tmp_path / "cache")
    write_report(opened, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"data_report.json", "data_report.png", "skipped_files.txt"}
    text = (tmp_path / "run" / "data_report.json").read_text(encoding="utf-8")
    assert DataReport.from_json(text) == read_report(tmp_path / "run") == opened.report
    assert read_report(tmp_path / "elsewhere") is None
    assert (tmp_path / "run" / "skipped_files.txt").read_text(encoding="utf-8") == (
        "broken.png\tnot an image of an accepted format, or its first bytes are damaged\n"
        "empty.jpg\tthe file is empty (0 bytes)\n"
    )
    with Image.open(tmp_path / "run" / "data_report.png") as sheet:
        assert sheet.width > 8 * 120  # eight tiles of 10 x 12 pixels, and gaps
        colours = {colour for _, colour in sheet.getcolors(1 << 20)}
    assert (0, 128, 128) in colours  # the flat image is on it


def test_list_of_an_earlier_run_does_not_stay(folder, tmp_path):
    write_report(open_images(str(folder), 10, cache_dir=tmp_path / "cache"), tmp_path / "run")
    (folder / "broken.png").unlink()
    (folder / "empty.jpg").unlink()
    write_report(open_images(str(folder), 10, cache_dir=tmp_path / "cache"), tmp_path / "run")
    assert not (tmp_path / "run" / "skipped_files.txt").exists()


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (200, 3), (200, 1)])
def test_sheet_of_any_size_and_depth(folder, tmp_path, size, channels):
    opened = open_images(str(folder), size, cache_dir=tmp_path / "cache", channels=channels)
    write_report(opened, tmp_path / "run")
    with Image.open(tmp_path / "run" / "data_report.png") as sheet:
        assert 8 * 128 < sheet.width < 8 * 150


def test_sheet_of_more_than_64_images_shows_64(folder, tmp_path):
    opened = open_images(str(folder), 10, cache_dir=tmp_path / "cache")
    images = np.resize(opened.images, (300, 10, 10, 3))
    report = dataclasses.replace(opened.report, findings=survey_drawn(images, str))
    write_report(dataclasses.replace(opened, images=images, report=report), tmp_path / "run")
    with Image.open(tmp_path / "run" / "data_report.png") as sheet:
        assert 8 * 138 < sheet.height < 8 * 160  # eight rows with captions


def test_report_without_findings_has_no_sheet(folder, tmp_path):
    opened = open_images(str(folder), 10, cache_dir=tmp_path / "cache")
    bare = dataclasses.replace(opened, report=DataReport("x", 1, 1))
    with pytest.raises(ValueError, match="has no findings. Open the data with open_images"):
        write_report(bare, tmp_path / "run")
