"""Resize rules: sizes, what is kept, the way back."""

import pytest
import torch

from comfyui_cldis.editing.framing import (
    RESIZE_RULES,
    Origin,
    frame,
    resize,
    unframe,
    unframed_size,
)


@pytest.mark.parametrize("rule", RESIZE_RULES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (50, 90), (90, 50), (1, 7), (600, 401)])
def test_sizes(rule, height, width):
    images = torch.rand(2, 3, height, width) * 2 - 1
    squares, origins = frame(images, 32, rule)
    assert squares.shape == (2, 3, 32, 32) and origins == (Origin(height, width, rule),) * 2
    assert float(squares.min()) >= -1 and float(squares.max()) <= 1
    back = unframe(squares, origins)
    side = min(height, width)
    assert back.shape[-2:] == ((side, side) if rule == "crop" else (height, width))
    assert back.shape[-2:] == unframed_size(origins[0])


def test_model_sized_images_pass_through():
    images = torch.rand(1, 3, 32, 32)
    for rule in RESIZE_RULES:
        squares, origins = frame(images, 32, rule)
        assert torch.equal(squares, images) and torch.equal(unframe(squares, origins), images)


def test_crop_takes_the_centre_and_pad_keeps_everything():
    images = torch.zeros(1, 1, 10, 30)
    images[..., 10:20] = 1
    assert bool((frame(images, 10, "crop")[0] == 1).all())
    padded, origins = frame(images, 30, "pad")
    assert torch.equal(unframe(padded, origins), images)


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize(
    ("height", "width"), [(50, 90), (90, 50), (33, 64), (64, 33), (1, 7), (7, 1), (401, 600)]
)
def test_pad_equals_extending_to_the_whole_square_first(height, width, size):
    images = torch.rand(2, 3, height, width) * 2 - 1
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    margins = (left, side - width - left, top, side - height - top)
    whole = torch.nn.functional.pad(images, margins, mode="replicate")
    squares, origins = frame(images, size, "pad")
    assert torch.allclose(squares, resize(whole, size, size), atol=1e-6)
    large = resize(squares, side, side)[..., top : top + height, left : left + width]
    assert torch.allclose(unframe(squares, origins), large, atol=1e-6)


@pytest.mark.parametrize("is_tall", [False, True])
def test_pad_of_a_long_image_takes_memory_in_proportion_to_its_length(is_tall):
    images = torch.rand(1, 3, 6, 4000)
    images = images.transpose(-2, -1).contiguous() if is_tall else images
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        unframe(*frame(images, 16, "pad"))
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert 0 < largest <= 2 * 4000 * 16 * 3 * 4  # bytes; the square would take 192 MB


def test_a_batch_is_resized_as_its_images_are():
    images = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0)).round()
    images[1] = images[1] * 3 - 1
    for rule in RESIZE_RULES:
        together, _ = frame(images, 32, rule)
        apart = torch.cat([frame(each[None], 32, rule)[0] for each in images])
        assert torch.equal(together, apart)


def test_one_column_keeps_its_rows():
    """PyTorch resizes a single column to one value all along; a row shows what is right."""
    column = torch.rand(1, 3, 9, 1)
    row = resize(column.transpose(-2, -1), 1, 20)
    assert torch.equal(resize(column, 20, 1), row.transpose(-2, -1))
    assert float(row.std()) > 0.01
    assert torch.allclose(resize(column, 20, 5), row.transpose(-2, -1).expand(-1, -1, -1, 5))
    assert resize(column, 1, 1).shape == (1, 3, 1, 1)


def test_refusals():
    with pytest.raises(ValueError, match="'fit'. Use one of crop, pad, stretch"):
        frame(torch.zeros(1, 3, 4, 4), 8, "fit")
    with pytest.raises(ValueError, match="different sizes"):
        unframe(torch.zeros(2, 3, 8, 8), (Origin(4, 4, "pad"), Origin(5, 4, "pad")))
    with pytest.raises(ValueError, match="1 images have 0 recorded sizes"):
        unframe(torch.zeros(1, 3, 8, 8), ())
