"""Resize rules: sizes, what is kept, the way back."""

import pytest
import torch

from comfyui_cldis.editing.framing import RESIZE_RULES, Origin, frame, unframe


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


def test_refusals():
    with pytest.raises(ValueError, match="'fit'. Use one of crop, pad, stretch"):
        frame(torch.zeros(1, 3, 4, 4), 8, "fit")
    with pytest.raises(ValueError, match="different sizes"):
        unframe(torch.zeros(2, 3, 8, 8), (Origin(4, 4, "pad"), Origin(5, 4, "pad")))
    with pytest.raises(ValueError, match="1 images have 0 recorded sizes"):
        unframe(torch.zeros(1, 3, 8, 8), ())
