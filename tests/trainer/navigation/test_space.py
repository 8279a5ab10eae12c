"""What a model's code space hands to the finders."""

import numpy as np
import torch

from trainer.navigation import ModelSpace
from trainer.training.batches import step_generator


def images(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_codes_are_in_standard_deviations(tiny_model):
    space = ModelSpace.of_images(tiny_model, images())
    raw = tiny_model.networks.encode_semantic(images()).mu
    statistics = tiny_model.statistics
    assert torch.allclose(space.codes * statistics.std + statistics.mean, raw, atol=1e-5)


def test_more_images_give_the_spread_than_are_base_items(tiny_model, monkeypatch):
    from trainer.navigation import space as module
    from trainer.training.batches import to_tensor

    monkeypatch.setattr(module, "BASE_IMAGES", 3)
    monkeypatch.setattr(module, "SPREAD_IMAGES", 5)
    monkeypatch.setattr(module, "ENOUGH_CODES", 1)
    monkeypatch.setattr(module, "BATCH", 2)
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    space = ModelSpace.of_data(tiny_model, images)
    every_other = to_tensor(images[[0, 2, 4, 6, 8]])
    raw = tiny_model.networks.encode_semantic(every_other).mu
    statistics = tiny_model.statistics
    assert torch.allclose(space.spread * statistics.std + statistics.mean, raw, atol=1e-5)
    assert torch.equal(space.codes, space.spread[[0, 2, 4]])
    assert torch.equal(space.images, every_other[[0, 2, 4]])


def test_items_of_a_scene_keep_their_noise_whatever_else_is_drawn(tiny_model):
    space = ModelSpace.of_images(tiny_model, images())
    scene = space.scene(torch.tensor([2, 0]), step_generator(0, 0))
    codes = space.codes[[2, 2, 0, 0]]
    twice = scene(codes)
    assert torch.allclose(twice[0], twice[1], atol=1e-6)
    assert torch.allclose(twice[2], twice[3], atol=1e-6)
    assert not torch.allclose(twice[0], twice[2], atol=1e-2)
    other = space.scene(torch.tensor([2, 0]), step_generator(0, 1))
    assert not torch.allclose(other(codes)[0], twice[0], atol=1e-2)


def test_a_scene_can_be_differentiated_and_leaves_the_weights_alone(tiny_model):
    for view in ("x0_hat", "preview"):
        space = ModelSpace.of_images(tiny_model, images(), view=view)
        codes = space.codes[:2].clone().requires_grad_()
        scene = space.scene(torch.arange(2), step_generator(0, 0))
        (slope,) = torch.autograd.grad(scene(codes).square().sum(), codes)
        assert scene(codes).shape == (2, 3, 32, 32) and float(slope.abs().min()) > 0
    assert all(parameter.grad is None for parameter in tiny_model.networks.parameters())


def test_noise_levels_stay_where_one_evaluation_means_something(tiny_model):
    space = ModelSpace.of_images(tiny_model, images())
    alphas = tiny_model.schedule.alphas_bar
    assert (space.earliest, float(alphas[space.latest]) >= 0.02) == (500, True)
    assert space.latest == 900


def test_without_images_the_model_draws_its_own(tiny_model):
    space = ModelSpace.of_prior(tiny_model, 3, seed=4)
    again = ModelSpace.of_prior(tiny_model, 3, seed=4)
    assert torch.equal(space.codes, again.codes) and torch.equal(space.images, again.images)
    assert space.images.shape == (3, 3, 32, 32) and not space.from_images
    assert bool((space.codes >= space.low - 1e-5).all())
    assert bool((space.codes <= space.high + 1e-5).all())


def test_wide_codes_and_large_images(make_model):
    from trainer.navigation.space import batch_size, spread_images

    assert [spread_images(n) for n in (20, 409, 410, 512)] == [4096, 4096, 4100, 5120]
    sizes = {32: 64, 64: 64, 128: 16, 256: 4}
    for side, size in sizes.items():
        assert batch_size(make_model(image_size=side, patch_size=4)) == size


def test_other_statistics_leave_the_codes_where_they_are(tiny_model):
    from dataclasses import replace

    from comfyui_cldis.editing.editable import LatentStatistics

    space = ModelSpace.of_images(tiny_model, images())
    other = LatentStatistics.from_codes(torch.randn(50, 4) * 3 + 1)
    moved = space.with_model(replace(tiny_model, statistics=other))
    before = tiny_model.statistics.mean + tiny_model.statistics.std * space.codes
    assert torch.allclose(other.mean + other.std * moved.codes, before, atol=1e-5)
    assert torch.equal(moved.images, space.images)
