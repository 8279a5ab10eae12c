"""Edits at the originals' own size: which way is taken, what is kept, and how good it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from comfyui_cldis.checkpoint import demo_image_paths, demo_model_path, load_checkpoint
from comfyui_cldis.datasets.heads.factors import FACTORS, sample_factors
from comfyui_cldis.datasets.heads.generator import render_heads
from comfyui_cldis.diffusion.samplers import inversion_of
from comfyui_cldis.editing.changes import is_trackable, rendered_changes, small_originals
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.framing import Box, resize
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.original import frame_original
from comfyui_cldis.editing.pipeline import decode, edit, encode, interpolate, preview
from comfyui_cldis.editing.render import TrackedPreview, render
from comfyui_cldis.editing.transfer import amounts_between
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.tensors import image_pixels


@pytest.fixture(scope="module")
def demo() -> EditableModel:
    return load_checkpoint(demo_model_path())


def encoded(
    model: EditableModel, pixels: list[Tensor], rule: str = "crop", box: Box | None = None
) -> Latent:
    config = model.networks.config
    framed = [
        frame_original(each, config.in_channels, config.image_size, rule, box) for each in pixels
    ]
    return encode(
        model,
        torch.cat([square for square, _ in framed]),
        inversion_steps=0,
        origins=tuple(origin for _, origin in framed),
        originals=pixels,
    )


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """A sample head in the middle of (3, 300, 400) uint8."""
    pixels = torch.full((3, 300, 400), 100, dtype=torch.uint8)
    head = image_pixels(read_image(demo_image_paths()[1]).image).float()
    pixels[:, 50:250, 100:300] = resize(head, 200, 200)[0].round().to(torch.uint8)
    return pixels


FACE = Box(100, 50, 200, 200)


@pytest.mark.parametrize("method", ["auto", "tracked", "decoded"])
def test_zero_gives_the_original_itself(tiny_model, method) -> None:
    pixels = [torch.rand(3, 40, 50), (torch.rand(3, 33, 32) * 255).to(torch.uint8)]
    latent = edit(tiny_model, encoded(tiny_model, pixels), {"yaw": 0.0})
    for image, original in zip(render(tiny_model, latent, method=method), pixels, strict=True):
        assert image is original


def test_only_edited_items_are_worked_on(tiny_model) -> None:
    pixels = [torch.rand(3, 40, 40), torch.rand(3, 40, 40)]
    latent = encoded(tiny_model, pixels)
    mixed = Latent.cat([latent[:1], edit(tiny_model, latent[1:], {"yaw": 1})])
    first, second = render(tiny_model, mixed, num_steps=1)
    assert first is pixels[0] and not torch.equal(second, pixels[1])


@pytest.mark.parametrize("method", ["tracked", "decoded"])
def test_a_batch_equals_its_items(demo, photograph, method) -> None:
    pixels = [photograph, photograph.flip(2)]
    latent = edit(demo, encoded(demo, pixels, box=FACE), {"face width": 1, "skin": -0.5})
    together = render(demo, latent, method=method, num_steps=2)
    for index in range(2):
        (alone,) = render(demo, latent[index : index + 1], method=method, num_steps=2)
        difference = (together[index].int() - alone.int()).abs()
        assert int(difference.max()) <= 2 and float(difference.float().mean()) < 0.01


def test_a_face_is_edited_in_place(demo, photograph) -> None:
    latent = edit(demo, encoded(demo, [photograph], box=FACE), {"head turn": 1.0})
    (result,) = render(demo, latent, num_steps=2)
    assert result.shape == photograph.shape and result.dtype == torch.uint8
    is_changed = (result != photograph).any(0)
    assert float(is_changed[50:250, 100:300].float().mean()) > 0.5
    is_changed[50:250, 100:300] = False
    assert not is_changed.any()


def test_pad_and_stretch_edit_the_whole_image(demo, photograph) -> None:
    for rule in ("pad", "stretch"):
        latent = edit(demo, encoded(demo, [photograph], rule), {"background": 1.5})
        (result,) = render(demo, latent, method="tracked")
        assert result.shape == photograph.shape
        assert bool((result != photograph).any(0)[:, :20].any())


@pytest.mark.parametrize("rule", ["crop", "pad", "stretch"])
def test_nothing_around_the_chosen_part_changes(demo, photograph, rule) -> None:
    part = Box(120, 60, 160, 100)
    latent = edit(demo, encoded(demo, [photograph], rule, part), {"background": 2.0})
    (result,) = render(demo, latent, method="tracked")
    live = TrackedPreview(demo, latent).draw({})[0]
    for image in (result, live):
        is_changed = (image != photograph).any(0)
        assert is_changed[60:160, 120:280].any()
        is_changed[60:160, 120:280] = False
        assert not is_changed.any()


def test_one_image_under_two_crops(demo, photograph) -> None:
    parts = [encoded(demo, [photograph], box=box) for box in (FACE, Box(0, 0, 90, 90))]
    together = small_originals(demo, Latent.cat(parts))
    for index, part in enumerate(parts):
        assert torch.equal(together[index : index + 1], small_originals(demo, part))


def test_what_a_preview_draws_may_be_written_into(demo, photograph) -> None:
    latent = encoded(demo, [photograph, photograph.flip(2)], box=FACE)
    live, before = TrackedPreview(demo, latent), photograph.clone()
    for drawn in (live.draw({}), live.draw([{}, {"skin": 1}])):
        assert torch.equal(drawn[0], before)
        for each in drawn:
            each.zero_()
        assert torch.equal(live.images[0], before) and torch.equal(photograph, before)


def test_bad_options_of_a_preview(tiny_model) -> None:
    latent = encoded(tiny_model, [torch.rand(3, 40, 50)])
    for longest in (0, -5):
        with pytest.raises(ValueError, match=f"longest is {longest}. Use at least 1 pixel"):
            TrackedPreview(tiny_model, latent, longest)
    with pytest.raises(ValueError, match="strength is 2. Use a number from 0"):
        TrackedPreview(tiny_model, latent).draw({}, strength=2)


def test_an_empty_latent_is_refused(tiny_model) -> None:
    none = encoded(tiny_model, [torch.rand(3, 40, 50)])[:0]
    for call in (lambda: render(tiny_model, none), lambda: TrackedPreview(tiny_model, none)):
        with pytest.raises(ValueError, match="The latent is empty"):
            call()


def test_the_model_s_size(demo, photograph) -> None:
    latent = encoded(demo, [photograph], box=FACE)
    (plain,) = render(demo, latent, size="model")
    torch.testing.assert_close(plain, (small_originals(demo, latent)[0] + 1) / 2)
    (moved,) = render(demo, edit(demo, latent, {"skin": 1}), size="model", method="tracked")
    assert moved.shape == (3, 64, 64) and float((moved - plain).abs().mean()) > 0.02


def test_trust_decides_the_way(demo, photograph) -> None:
    latent = edit(demo, encoded(demo, [photograph], box=FACE), {"face width": 1.5})
    assert is_trackable(demo)
    (trusted,) = rendered_changes(demo, latent, num_steps=1)
    assert trusted.flow.any()
    for value in (None, 0.6):
        quality = dataclasses.replace(demo.facts.quality, explained_variance_preview=value)
        facts = dataclasses.replace(demo.facts, quality=quality)
        doubtful = dataclasses.replace(demo, facts=facts)
        assert not is_trackable(doubtful)
        (found,) = rendered_changes(doubtful, latent, num_steps=1)
        (wanted,) = rendered_changes(demo, latent, method="decoded", num_steps=1)
        assert not found.flow.any() and torch.equal(found.added, wanted.added)
        live = TrackedPreview(doubtful, latent).draw({"face width": 1.5})[0]
        assert not torch.equal(live, photograph)


def test_the_decoder_draws_only_where_something_appears(demo, photograph) -> None:
    drawn = []
    latent = encoded(demo, [photograph], box=FACE)
    for name, amount in (("skin", -1.0), ("hair length", -1.5), ("fringe", -2.5)):
        steps = []
        render(demo, edit(demo, latent, {name: amount}), num_steps=2, on_step=steps.append)
        drawn.append(bool(steps))
    assert not drawn[0] and any(drawn[1:])


@pytest.mark.parametrize("sampler", ["ddim_2m", "ddim", "dpmpp_2m", "unipc"])
def test_search_for_noise_and_drawing_count_as_one(tiny_model, sampler) -> None:
    latent = edit(tiny_model, encoded(tiny_model, [torch.rand(3, 40, 40)]), {"yaw": 1})
    steps = []
    options = {"method": "decoded", "num_steps": 3, "sampler": sampler}
    (searched,) = render(tiny_model, latent, on_step=steps.append, **options)
    assert [(step.index, step.total) for step in steps] == [(index, 6) for index in range(6)]
    small = small_originals(tiny_model, latent)
    noise = encode(tiny_model, small, inversion=inversion_of(sampler), inversion_steps=3).x_T
    given = dataclasses.replace(latent, x_T=noise)
    steps.clear()
    (drawn,) = render(tiny_model, given, on_step=steps.append, **options)
    assert torch.equal(drawn, searched)  # the search is that whose noise the sampler retraces
    assert [(step.index, step.total) for step in steps] == [(index, 3) for index in range(3)]


def test_a_search_for_noise_can_be_cancelled(tiny_model) -> None:
    latent = edit(tiny_model, encoded(tiny_model, [torch.rand(3, 40, 40)]), {"yaw": 1})

    def cancel(step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(tiny_model, latent, method="decoded", num_steps=2, on_step=cancel)


def test_edits_add_up(demo, photograph) -> None:
    latent = encoded(demo, [photograph], box=FACE)
    once = edit(demo, latent, {"skin": 0.5, "background": 1})
    twice = edit(demo, edit(demo, latent, {"skin": 0.5}), {"background": 1})
    first, second = (render(demo, each, method="tracked")[0] for each in (once, twice))
    assert int((first.int() - second.int()).abs().max()) <= 1


def test_a_seed_draws_the_square_anew_in_its_place(tiny_model) -> None:
    pixels = torch.rand(3, 60, 80)
    latent = encoded(tiny_model, [pixels], box=Box(20, 10, 40, 40))
    (result,) = render(tiny_model, latent, seed=1, num_steps=2)
    drawn = decode(tiny_model, latent, sampler="ddim_2m", seed=1, num_steps=2)
    wanted = (resize(drawn, 40, 40)[0] + 1) / 2
    torch.testing.assert_close(result[:, 20:40, 30:50], wanted[:, 10:30, 10:30], atol=1e-3, rtol=0)
    assert torch.equal(result[:, :10], pixels[:, :10])


def test_without_sources_the_square_is_enlarged(tiny_model) -> None:
    pixels = [torch.rand(3, 40, 50), torch.rand(3, 40, 50)]
    latent = encoded(tiny_model, pixels)
    between = interpolate(latent[:1], latent[1:], 0.5)
    assert not between.sources
    (image,) = render(tiny_model, between, seed=0, num_steps=1)
    assert image.shape == (3, 40, 40)
    assert interpolate(latent[:1], latent[1:], 1).sources == latent.sources[1:]
    for options in ({"strength": 0.5}, {"mask": torch.ones(1, 40, 50)}):
        with pytest.raises(ValueError, match="does not keep its original images"):
            render(tiny_model, between, seed=0, **options)
    with pytest.raises(ValueError, match="does not keep its original images"):
        TrackedPreview(tiny_model, between)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"method": "best"}, "method is 'best'. Use one of auto, tracked, decoded."),
        ({"size": "large"}, "size is 'large'. Use one of original, model."),
        ({"strength": -0.1}, "strength is -0.1. Use a number from 0"),
        ({"mask": torch.ones(1, 5, 5)}, "The mask has 5 x 5 pixels and the image 50 x 40"),
        ({"mask": torch.ones(3, 40, 50)}, "The mask has shape"),
        ({"mask": torch.full((1, 40, 50), float("nan"))}, "The mask holds NaN"),
    ],
)
def test_bad_options(tiny_model, options, sentence) -> None:
    latent = edit(tiny_model, encoded(tiny_model, [torch.rand(3, 40, 50)]), {"yaw": 1})
    with pytest.raises(ValueError, match=sentence):
        render(tiny_model, latent, **options)


def test_a_latent_of_another_model_is_refused(tiny_model, make_model) -> None:
    latent = encoded(tiny_model, [torch.rand(3, 40, 50)])
    other = make_model(latent_dim=6)
    for call in (lambda: render(other, latent), lambda: TrackedPreview(other, latent)):
        with pytest.raises(ValueError, match="The latent has 4 scalars but .* has 6"):
            call()


def test_a_latent_of_a_model_of_the_same_shape_is_refused(tiny_model, make_model) -> None:
    latent, other = encoded(tiny_model, [torch.rand(3, 40, 50)]), make_model(seed=1)
    calls = (render, TrackedPreview, preview, decode, lambda *given: edit(*given, {}))
    for call in calls:
        with pytest.raises(ValueError, match="comes from another model than tiny. Encode the im"):
            call(other, latent)


@pytest.mark.parametrize(
    ("factor", "by", "slider", "gain_db"),
    [
        ("skin", 0.4, "skin", 2.0),
        ("light", 0.5, "light", 2.0),
        ("face_width", 0.5, "face width", 1.5),
        ("yaw", 0.15, "head turn", 0.8),
    ],
)
def test_heads_come_closer_to_the_truth_than_the_enlarged_decode(
    demo, factor, by, slider, gain_db
) -> None:
    """As `benchmarks.lifting` has it, with fewer heads and steps."""
    rows = sample_factors(3, 777)
    column = [each.name for each in FACTORS].index(factor)
    changed = rows.copy()
    changed[:, column] += np.where(rows[:, column] + by <= FACTORS[column].maximum, by, -by)
    originals, truths = (
        list(torch.from_numpy(render_heads(each, 192, 2)).permute(0, 3, 1, 2))
        for each in (rows, changed)
    )
    latent, wanted = encoded(demo, originals), encoded(demo, truths)
    index = [each.name for each in demo.directions].index(slider)
    amounts = amounts_between(demo, latent, wanted)[:, index].tolist()
    moved = edit(demo, latent, [{slider: amount} for amount in amounts])
    noise = encode(demo, small_originals(demo, latent), inversion_steps=10).x_T
    drawn = decode(demo, dataclasses.replace(moved, x_T=noise), num_steps=10)
    before = (resize(drawn, 192, 192) + 1) / 2
    after = torch.stack(render(demo, moved, num_steps=10)).float() / 255
    truth = torch.stack(truths).float() / 255
    errors = [(each - truth).square().flatten(1).mean(1).log10() for each in (before, after)]
    assert float(10 * (errors[0] - errors[1]).mean()) > gain_db
