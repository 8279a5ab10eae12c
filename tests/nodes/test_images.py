"""ComfyUI's images to the library's and back: layout, range and the rules for odd channels."""

from __future__ import annotations

import pytest
import torch

from comfyui_cldis.nodes.images import grid, to_comfyui, to_library, to_pixels


def test_layout_and_range() -> None:
    image = torch.rand(2, 5, 7, 3)
    pixels = to_library(image, 3, "m")
    assert pixels.shape == (2, 3, 5, 7)
    assert torch.allclose(pixels[1, 2, 3, 4], image[1, 3, 4, 2] * 2 - 1)
    assert torch.equal(to_comfyui(list(to_pixels(image, 3, "m"))), image)


def test_grey_becomes_colour_and_back() -> None:
    image = torch.rand(1, 4, 4, 1)
    pixels = to_library(image, 3, "m")
    assert torch.equal(pixels[:, 0], pixels[:, 2])
    assert to_comfyui([torch.zeros(1, 4, 4)]).shape == (1, 4, 4, 3)


def test_results_are_a_batch_of_their_own() -> None:
    colour, grey = torch.rand(3, 4, 5) * 3 - 1, torch.rand(1, 4, 5)
    before = colour.clone()
    batch = to_comfyui([colour, grey])
    assert batch.dtype == torch.float32 and batch.is_contiguous()
    assert torch.equal(batch[0], before.clamp(0, 1).movedim(0, -1))
    assert torch.equal(batch[1, ..., 2], grey[0]) and torch.equal(colour, before)
    with pytest.raises(ValueError, match="The images differ in size"):
        to_comfyui([colour, torch.rand(3, 1, 1)])


def test_a_grey_model_reads_the_luma() -> None:
    image = torch.tensor([1.0, 0.0, 0.0]).view(1, 1, 1, 3)
    assert to_library(image, 1, "m").item() == pytest.approx(0.299 * 2 - 1, abs=1e-6)


@pytest.mark.parametrize("num_colours", [1, 3])
def test_transparency_is_laid_over_white(num_colours: int) -> None:
    image = torch.zeros(1, 1, 3, num_colours + 1)
    image[0, 0, :, -1] = torch.tensor([1.0, 0.5, 0.0])
    pixels = to_library(image, 3, "m")
    assert pixels.shape == (1, 3, 1, 3)
    assert pixels[0, 1, 0].tolist() == [-1.0, 0.0, 1.0]


def test_values_are_clipped_and_the_input_is_left_alone() -> None:
    image = torch.tensor([-1.0, 0.5, 3.0]).view(1, 1, 1, 3)
    before = image.clone()
    assert to_library(image, 3, "m").flatten().tolist() == [-1.0, 0.0, 1.0]
    assert torch.equal(image, before)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="holds NaN or infinite values. Fix the node that made it"):
        to_library(torch.full((1, 2, 2, 3), value), 3, "m")


@pytest.mark.parametrize("shape", [(2, 2, 3), (1, 2, 2, 5), (0, 2, 2, 3), (1, 0, 2, 3)])
def test_odd_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="The image has shape"):
        to_library(torch.zeros(shape), 3, "m")


def test_a_model_of_latents_is_refused() -> None:
    with pytest.raises(ValueError, match="vae.safetensors works on 4-channel latents"):
        to_library(torch.zeros(1, 2, 2, 3), 4, "vae.safetensors")


def test_grid_places_row_after_row() -> None:
    image = torch.arange(6.0).div(10).view(6, 1, 1, 1).expand(6, 4, 3, 3)
    sheet = grid(image, 3, gap=2)
    assert sheet.shape == (1, 10, 13, 3)
    assert sheet[0, 6, 5, 0].item() == pytest.approx(0.4)
    assert sheet[0, 4, 0, 0].item() == 1
