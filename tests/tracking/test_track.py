"""What `track` makes of simple and of broken generators."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("cv2")

from comfyui_cldis.editing.code_path import CodePath
from comfyui_cldis.tracking import (
    STAGES,
    RendererGenerator,
    TrackingSettings,
    axis_vectors,
    measure,
    rotated_vectors,
    track_renderer,
)
from comfyui_cldis.tracking.generator import LARGEST_SIDE, SMALLEST_SIDE, draw
from comfyui_cldis.tracking.vectors import stack_vectors

SETTINGS = TrackingSettings()


class Texture:
    """Two base images of a smooth texture; what a shift does is the subclass's business."""

    num_bases, num_codes = 2, 2

    def __init__(self, size: int = 32, explained: float | None = 1.0) -> None:
        noise = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)) - 0.5
        self.base = torch.nn.functional.interpolate(noise, size=size, mode="bicubic")
        self.explained = explained

    def decode(self, items, shifts):
        return self.base[items]

    def coverage(self, seed):
        return self.explained


class Light(Texture):
    """A grey texture. The first code makes the left half brighter, the second the right half."""

    def decode(self, items, shifts):
        images = self.base[items].mean(1, keepdim=True).repeat(1, 3, 1, 1)
        half = images.shape[-1] // 2
        images[..., :half] += 0.2 * shifts[:, 0, None, None, None]
        images[..., half:] += 0.2 * shifts[:, 1, None, None, None]
        return images


class Blur(Texture):
    """Both codes blur, the second one half as fast."""

    def decode(self, items, shifts):
        amount = torch.sigmoid(6 * shifts @ torch.tensor([1.0, 0.5]))[:, None, None, None]
        sharp = self.base[items] * 2
        soft = torch.nn.functional.avg_pool2d(
            sharp, 9, stride=1, padding=4, count_include_pad=False
        )
        return (sharp + amount * (soft - sharp)).clamp(-1, 1)


def test_a_model_that_does_nothing_scores_nothing():
    score = measure(Texture(), axis_vectors(2), SETTINGS)
    assert score.cts == 0 and score.separation == 0 and score.num_active == 0
    assert score.coverage == 1 and score.purity == 0
    assert score.consistency is None and score.persistence is None and score.monotonicity is None
    assert [row.is_active for row in score.directions] == [False, False]


def test_brightness_is_brightness_and_halves_are_distinguished():
    score = measure(Light(), axis_vectors(2), SETTINGS)
    assert score.num_active == 2
    for row in score.directions:
        assert row.channels["brightness"] > 0.9
        assert row.channels["motion_x"] + row.channels["motion_y"] < 0.05
        assert row.change == pytest.approx(10, rel=0.1)
    assert score.cts > 0.9  # the halves never touch
    mixed = measure(Light(), {"both": (1, 1), "against": (1, -1)}, SETTINGS)
    assert mixed.cts < 0.3


def test_one_kind_of_change_is_not_two_factors():
    score = measure(Blur(), axis_vectors(2), SETTINGS)
    assert score.num_active == 2
    assert score.directions[0].step < score.directions[1].step
    assert score.directions[0].similarity > 0.99 and score.distinctness < 0.01 and score.cts < 0.1


def test_a_bent_direction_is_followed_along_its_path():
    vectors = {"left": (1, 0), "bent": (1, 0)}
    folded = CodePath((-3, 0, 3), ((3, 0), (0, 0), (0, 3)))  # left from the start, right from it
    score = measure(Light(), vectors, SETTINGS, paths={"bent": folded})
    bent = score.directions[1]
    assert bent.similarity == pytest.approx(0.5**0.5, abs=0.05)  # one half is common, one is not
    alike = CodePath((-3, 0, 3), ((-3, 0), (0, 0), (3, 0)))
    same = measure(Light(), vectors, SETTINGS, paths={"bent": alike})
    assert same.directions[1].similarity > 0.999 and same.distinctness < 1e-3


def test_a_single_active_direction_has_nothing_to_be_distinguished_from():
    score = measure(Light(), {"left": (1, 0)}, SETTINGS)
    assert score.num_active == 1 and score.cts == 0
    row = score.directions[0]
    assert row.purity is None and row.nearest is None and row.persistence > 0.9


def test_coverage_scales_the_score_or_leaves_it_open():
    half = measure(Light(explained=0.5), axis_vectors(2), SETTINGS)
    unknown = measure(Light(explained=None), axis_vectors(2), SETTINGS)
    assert half.cts == pytest.approx(0.5 * half.separation) and half.separation > 0.9
    assert unknown.cts is None and unknown.coverage is None
    assert unknown.separation == half.separation
    assert measure(Texture(explained=None), axis_vectors(2), SETTINGS).cts == 0


def test_progress_goes_through_the_stages_and_can_cancel():
    calls = []
    score = measure(Light(), axis_vectors(2), SETTINGS, on_progress=lambda *at: calls.append(at))
    assert list(dict.fromkeys(stage for stage, _ in calls)) == list(STAGES[1:])
    for stage in STAGES[1:]:
        fractions = [fraction for name, fraction in calls if name == stage]
        assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1
    # Each direction: two steps tried on two bases, a pair on each, five frames on each.
    assert score.num_images == 2 * (2 * 2 * 2 + 2 * 2 + 2 * 5)

    def cancel(stage, fraction):
        if stage == "measure":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(Light(), axis_vectors(2), SETTINGS, on_progress=cancel)


def test_other_flow_methods():
    by_name = measure(Light(), axis_vectors(2), TrackingSettings(flow="farneback"))
    assert by_name.settings["flow"] == "farneback" and by_name.cts > 0.5

    def still(first, second):
        return torch.zeros(*first.shape, 2).numpy()

    given = measure(Light(), axis_vectors(2), SETTINGS, method=still)
    assert given.settings["flow"] == "given" and given.persistence == 1


def test_large_images_are_measured_at_128_pixels_and_grey_ones_work():
    class Grey(Light):
        num_bases = 1

        def decode(self, items, shifts):
            return super().decode(items, shifts).mean(1, keepdim=True)

    score = measure(Grey(size=200), axis_vectors(2), SETTINGS)
    evidence = score.directions[0].evidence
    assert evidence.motion.shape == (2, 128, 128) and evidence.frames.shape == (5, 1, 200, 200)


@pytest.mark.parametrize(("height", "width"), [(400, 20), (20, 400)])
def test_long_images_keep_enough_pixels_for_motion(height, width):
    def render(codes):
        return codes[:, :1, None, None].expand(-1, 3, height, width) / 4

    generator = RendererGenerator(render, torch.zeros(2, 2))
    lab = draw(generator, torch.tensor([0, 1]), torch.zeros(2, 2))[1]
    assert sorted(lab.shape[-2:]) == [SMALLEST_SIDE, LARGEST_SIDE]
    score = measure(generator, axis_vectors(2), SETTINGS)
    assert score.num_active == 1


@pytest.mark.parametrize(
    ("decoded", "message"),
    [
        (lambda n: torch.full((n, 3, 32, 32), float("nan")), "NaN"),
        (lambda n: torch.zeros(n, 4, 32, 32), "1 or 3"),
        (lambda n: torch.zeros(n, 3, 8, 32), "32 x 8 pixels"),
        (lambda n: torch.zeros(1, 3, 32, 32), "one image per item"),
    ],
)
def test_images_that_cannot_be_measured_are_refused(decoded, message):
    class Broken(Texture):
        def decode(self, items, shifts):
            return decoded(len(items))

    with pytest.raises(ValueError, match=message):
        measure(Broken(), axis_vectors(2), SETTINGS)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({}, "no directions"),
        ({"a": (1, 0, 0)}, "'a' has 3 numbers but the code has 2"),
        ({"a": (0, 0)}, "'a' has length 0"),
        ({"a": (1, float("nan"))}, "'a' has length nan"),
    ],
)
def test_wrong_directions_are_refused_in_words(vectors, message):
    with pytest.raises(ValueError, match=message):
        measure(Texture(), vectors, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"flow": "raft"}, "'raft'.*dis, farneback"),
        ({"target_change": 0.0}, "target_change is 0"),
        ({"target_change": float("nan")}, "target_change is nan"),
        ({"num_bases": 1}, "num_bases is 1. Use 2 or more"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"num_coverage": -1}, "num_coverage is -1"),
        ({"directions": "both"}, "'both'.*axes, model"),
        ({"version": 3}, "version is 3. Use 1, the default, or 2"),
    ],
)
def test_wrong_settings_are_refused_in_words(changes, message):
    with pytest.raises(ValueError, match=message):
        TrackingSettings(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codes": torch.zeros(3)}, "expected finite numbers"),
        ({"codes": torch.full((3, 2), float("inf"))}, "expected finite numbers"),
        ({"deviations": torch.ones(3)}, r"expected \(2,\)"),
        ({"deviations": torch.zeros(2)}, "all above 0"),
        ({"coverage": 1.5}, "coverage is 1.5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "Use 0 to 18446744073709551615"),
    ],
)
def test_wrong_renderers_are_refused_in_words(arguments, message):
    codes = arguments.pop("codes", torch.zeros(3, 2))
    with pytest.raises(ValueError, match=message):
        track_renderer(lambda code: torch.zeros(len(code), 3, 32, 32), codes, SETTINGS, **arguments)


def test_rotated_vectors_span_the_same_and_stay_orthogonal():
    vectors = {"a": (0.0, 1.0, 0.0), "b": (0.6, 0.0, 0.8)}
    turned = stack_vectors(rotated_vectors(vectors, seed=0))
    assert torch.allclose(turned @ turned.T, torch.eye(2), atol=1e-6)
    original = stack_vectors(vectors)
    assert torch.allclose(turned @ original.T @ original, turned, atol=1e-6)
    assert (turned @ original.T).abs().max() < 0.999
    assert rotated_vectors(vectors, seed=0) != rotated_vectors(vectors, seed=1)
