"""Animations: their frames, times and loop, what stands still in them, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from comfyui_cldis.imaging import animation
from comfyui_cldis.imaging.animation import forth_and_back, write_animation

ENDINGS = (".gif", ".webp")


def gradients(count: int, side: int = 48, seed: int = 0) -> list[Image.Image]:
    """Smooth images of many colours, each with a square that has moved on."""
    ramp = np.linspace(40, 215, side)
    base = np.stack(
        [np.tile(ramp, (side, 1)), np.tile(ramp[:, None], (1, side)), np.full((side, side), 90)], 2
    )
    base += np.random.default_rng(seed).uniform(-2, 2, base.shape)
    frames = []
    for step in range(count):
        array = base.copy()
        array[4:12, 4 * step : 4 * step + 8] = (20, 90, 40)
        frames.append(Image.fromarray(array.round().astype(np.uint8)))
    return frames


def read_back(path: Path) -> tuple[np.ndarray, list[float], int]:
    """(F, H, W, 3) int, the milliseconds of each frame, and the loop count."""
    with Image.open(path) as image:
        arrays, times = [], []
        for frame in ImageSequence.Iterator(image):
            frame.load()
            arrays.append(np.asarray(frame.convert("RGB")).astype(int))
            times.append(frame.info["duration"])
        return np.stack(arrays), times, image.info["loop"]


@pytest.mark.parametrize(
    ("frames", "loop"), [("abcd", "abcdcb"), ("abc", "abcb"), ("ab", "ab"), ("a", "a"), ("", "")]
)
def test_forth_and_back_shows_each_end_once(frames: str, loop: str) -> None:
    assert "".join(forth_and_back(frames)) == loop
    assert isinstance(forth_and_back(tuple(frames)), list)


@pytest.mark.parametrize("ending", ENDINGS)
def test_frames_times_and_loop_come_back(tmp_path: Path, ending: str) -> None:
    frames = gradients(6)
    write_animation(tmp_path / f"a{ending}", frames, frames_per_sec=10)
    arrays, times, loop = read_back(tmp_path / f"a{ending}")
    assert arrays.shape == (6, 48, 48, 3) and times == [100] * 6 and loop == 0
    wanted = np.stack([np.asarray(frame) for frame in frames]).astype(int)
    errors = np.abs(arrays - wanted)
    assert errors.mean() < 4
    # each frame is nearest to the one it was made of
    for index, array in enumerate(arrays):
        assert int(np.argmin(np.abs(wanted - array).mean((1, 2, 3)))) == index


@pytest.mark.parametrize(("rate", "gif", "webp"), [(50, 20, 20), (16, 60, 62), (1, 1000, 1000)])
def test_how_long_a_frame_is_shown(tmp_path: Path, rate: float, gif: int, webp: int) -> None:
    for ending, wanted in ((".gif", gif), (".webp", webp)):
        write_animation(tmp_path / f"a{ending}", gradients(2), frames_per_sec=rate)
        assert read_back(tmp_path / f"a{ending}")[1] == [wanted] * 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_frame_that_equals_the_one_before_is_shown_for_longer(
    tmp_path: Path, ending: str
) -> None:
    first, second = gradients(2)
    write_animation(tmp_path / f"a{ending}", [first, first, second], frames_per_sec=10)
    arrays, times, loop = read_back(tmp_path / f"a{ending}")
    assert len(arrays) == 2 and times == [200, 100] and loop == 0
    write_animation(tmp_path / f"b{ending}", [first, first])
    with Image.open(tmp_path / f"b{ending}") as image:
        assert image.size == (48, 48)


def test_what_stands_still_does_not_flicker_in_a_gif(tmp_path: Path) -> None:
    """Error diffusion carries a change into all that lies below it."""
    frames = gradients(8)
    write_animation(tmp_path / "a.gif", frames)
    wanted = np.stack([np.asarray(frame) for frame in frames]).astype(int)
    still = (np.ptp(wanted, axis=0) == 0).all(2)
    assert still.mean() > 0.8
    assert np.ptp(read_back(tmp_path / "a.gif")[0][:, still], axis=0).max() == 0


def test_a_gif_keeps_small_areas_of_a_colour_of_their_own(tmp_path: Path) -> None:
    """Such as eyes, which a median cut gives the colour of the skin around."""
    frames = gradients(4, 192)
    for frame in frames:
        frame.paste((60, 150, 20), (30, 30, 34, 34))
    write_animation(tmp_path / "a.gif", frames)
    areas = read_back(tmp_path / "a.gif")[0][:, 30:34, 30:34]
    assert np.abs(areas.mean((1, 2)) - (60, 150, 20)).max() < 24


def test_dithering_leaves_no_bands(tmp_path: Path) -> None:
    """Averaged over a few pixels, a gradient has its own colours."""
    frames = gradients(2, 192)
    write_animation(tmp_path / "a.gif", frames)
    errors = (read_back(tmp_path / "a.gif")[0][0] - np.asarray(frames[0]).astype(int))[16:]
    assert np.abs(errors.reshape(22, 8, 24, 8, 3).mean((1, 3))).mean() < 0.8


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_other_modes_become_rgb(tmp_path: Path, ending: str, mode: str) -> None:
    frames = [frame.convert(mode) for frame in gradients(3)]
    write_animation(tmp_path / f"a{ending}", frames)
    wanted = np.stack([np.asarray(frame.convert("RGB")) for frame in frames]).astype(int)
    errors = read_back(tmp_path / f"a{ending}")[0] - wanted  # dots lose their colours in WebP
    assert np.abs(errors.reshape(3, 6, 8, 6, 8, 3).mean((2, 4))).mean() < 3


@pytest.mark.parametrize("ending", [".gif", ".GIF", ".webp"])
def test_the_smallest_frames(tmp_path: Path, ending: str) -> None:
    write_animation(tmp_path / f"a{ending}", [Image.new("RGB", (1, 1), c) for c in ("red", "blue")])
    arrays, _, _ = read_back(tmp_path / f"a{ending}")
    assert arrays.shape == (2, 1, 1, 3)
    assert arrays[0, 0, 0].argmax() == 0 and arrays[1, 0, 0].argmax() == 2


@pytest.mark.parametrize("name", ["a.png", "a.mp4", "a", ".gif", "a.gif.txt"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"no such ending. Use one of .gif, .webp"):
        write_animation(tmp_path / name, gradients(2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [0, 0.5, -1, 51, math.inf, math.nan])
def test_rates_that_viewers_do_not_keep_are_refused(tmp_path: Path, rate: float) -> None:
    with pytest.raises(ValueError, match=r"frames_per_sec is .* Use 1 to 50"):
        write_animation(tmp_path / "a.gif", gradients(2), frames_per_sec=rate)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([], "has 0 frames. Give 2 to 512"),
        ([Image.new("RGB", (4, 4))], "has 1 frames. Give 2 to 512"),
        ([Image.new("RGB", (1, 1))] * 513, "has 513 frames. Give 2 to 512"),
        ([Image.new("RGB", (4, 4)), Image.new("RGB", (4, 5))], "differ in size. Give images of"),
        ([Image.new("RGB", (0, 4))] * 2, "have 0 x 4 pixels. Give 1 to 16383"),
        ([Image.new("1", (16384, 1))] * 2, "have 16384 x 1 pixels. Give 1 to 16383"),
        ([Image.new("L", (2048, 2048))] * 33, "33 frames of 2048 x 2048 .* smaller or fewer"),
    ],
)
def test_frames_that_make_no_animation(
    tmp_path: Path, frames: list[Image.Image], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_animation(tmp_path / "a.webp", frames)
    assert not list(tmp_path.iterdir())


def test_the_longest_side_is_the_encoders_own(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (animation.MAX_SIDE, 1), colour) for colour in ("red", "blue")]
    for ending in ENDINGS:
        write_animation(tmp_path / f"a{ending}", frames)
        assert read_back(tmp_path / f"a{ending}")[0].shape == (2, 1, animation.MAX_SIDE, 3)


def test_an_older_file_is_kept_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    write_animation(path, gradients(2))
    older = path.read_bytes()
    with pytest.raises(ValueError, match="differ in size"):
        write_animation(path, [*gradients(2), Image.new("RGB", (3, 3))])
    assert path.read_bytes() == older
    write_animation(path, gradients(3))
    assert path.read_bytes() != older and [each.name for each in tmp_path.iterdir()] == ["a.webp"]


def test_frames_are_left_as_they_are(tmp_path: Path) -> None:
    frames = gradients(3)
    for ending in ENDINGS:
        write_animation(tmp_path / f"a{ending}", frames)
    for frame, fresh in zip(frames, gradients(3), strict=True):
        assert np.array_equal(np.asarray(frame), np.asarray(fresh))
