"""Imported networks against Diff-AE written out, and against results of the published code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.diffusion.samplers import invert_to_noise, sample
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.pipeline import denoiser_for
from comfyui_cldis.importing import import_diffae
from comfyui_cldis.importing.parity import compare, read_references
from comfyui_cldis.model.diffae import DiffAE
from tests.importing import diffae_reference as reference
from tests.importing.diffae_files import checkpoint, save, tiny, tiny_latent, weights_of

FIXTURE = "CLDIS_DIFFAE_FIXTURE"

# Settings that no published run has are among them: none may be taken for granted.
LAYOUTS: dict[str, dict[str, Any]] = {
    "published": tiny(model_channels=32),
    "deeper, attention at two sizes": tiny(
        channel_mult=(1, 1, 2), enc_channel_mult=(1, 2, 2, 3), attention_resolutions=(8, 4)
    ),
    "two heads, convolutions that resample": tiny(
        num_heads=2, resblock_updown=False, num_res_blocks=1, enc_num_res_block=1
    ),
    "head channels, other order, plain resampling": tiny(
        num_head_channels=4,
        use_new_attention_order=True,
        resblock_updown=False,
        conv_resample=False,
    ),
    "two heads in the other order": tiny(num_heads=2, use_new_attention_order=True),
    "fewer blocks down than up": tiny(num_input_res_blocks=1, input_channel_mult=(2, 1)),
    "more blocks down than up": tiny(num_input_res_blocks=3, num_res_blocks=1),
    "attention of the encoder, code width": tiny(
        enc_attn_resolutions=(16, 4),
        enc_num_res_block=3,
        enc_out_channels=24,
        resnet_cond_channels=24,
        embed_channels=40,
    ),
    "first level wider than the base": tiny(channel_mult=(2, 1), enc_channel_mult=None),
}

# The first three values of the noise predicted by the reference, so that it cannot change unseen.
PINNED: dict[str, tuple[float, float, float]] = {
    "published": (0.15538, 0.21572, -0.04985),
    "deeper, attention at two sizes": (-0.25385, -0.15135, -0.24274),
    "two heads, convolutions that resample": (-0.29408, -0.27089, 0.05536),
    "head channels, other order, plain resampling": (0.05817, 0.06877, -0.14379),
    "two heads in the other order": (0.08618, 0.29250, 0.04597),
    "fewer blocks down than up": (0.09641, -0.08999, 0.05712),
    "more blocks down than up": (-0.06574, 0.01925, -0.17997),
    "attention of the encoder, code width": (-0.16671, -0.01071, 0.22658),
    "first level wider than the base": (0.19555, -0.18146, -0.02640),
}


def run(settings: dict[str, Any], tmp_path: Path) -> tuple[reference.Weights, EditableModel]:
    """Random weights, and the model that came of them through a checkpoint and a model file."""
    w = weights_of(settings)
    path = save(tmp_path / "last.ckpt", checkpoint(w, settings))
    import_diffae(path, tmp_path / "model.safetensors")
    return w, load_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", LAYOUTS)
def test_networks_equal_the_reference(name: str, tmp_path: Path) -> None:
    settings = LAYOUTS[name]
    w, model = run(settings, tmp_path)
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(2, 3, 16, 16, generator=generator) * 2 - 1
    t = torch.tensor([3, 801])
    z = reference.encode(w, settings, x)
    eps = reference.predict(w, settings, x, t, z)
    torch.testing.assert_close(model.networks.encode_semantic(x).mu, z, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.networks.predict(x, t, z), eps, atol=1e-5, rtol=0)
    expected = torch.tensor(PINNED[name])
    torch.testing.assert_close(eps[0, 0, 0, :3], expected, atol=1e-4, rtol=0)


def test_sampling_and_inversion_equal_the_reference(tmp_path: Path) -> None:
    settings = tiny()
    w, model = run(settings, tmp_path)
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1
    z = reference.encode(w, settings, x)

    # A tenth: noise of 1e-7 in a random network's whole prediction grows to 1e-4 in ten steps.
    def denoise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return reference.predict(w, settings, x_t, t, z) / 10

    def ours(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return denoiser_for(model, z, None)(x_t, t) / 10

    noise = reference.invert(denoise, x, 10)
    found = invert_to_noise(ours, x, model.schedule, num_steps=10)
    torch.testing.assert_close(found, noise, atol=1e-4, rtol=0)
    drawn = reference.draw(denoise, noise, 10)
    found = sample(ours, noise, model.schedule, sampler="ddim", num_steps=10)
    torch.testing.assert_close(found, drawn, atol=1e-4, rtol=0)
    assert drawn.abs().max() == 1  # clipping had something to do


def test_parity_draws_as_the_published_code_does(tmp_path: Path) -> None:
    settings = tiny()
    w, model = run(settings, tmp_path)
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1
    noise = torch.randn(1, 3, 16, 16, generator=generator)
    z = reference.encode(w, settings, x)
    drawn = reference.draw(lambda x_t, t: reference.predict(w, settings, x_t, t, z), noise, 2)
    results = compare(model, {"x": x, "z_sem": z, "x_T_ddim2": noise, "recon_ddim2": drawn})
    found = {result.name: result for result in results}
    assert found["recon_ddim2"].is_within, found


@pytest.mark.parametrize(
    "latent",
    [
        tiny_latent(),
        tiny_latent(use_norm=False, condition_bias=0, skip_layers=()),
        tiny_latent(num_time_layers=3, time_last_act=True, skip_layers=(0, 2)),
    ],
)
def test_the_latent_model_equals_the_reference(latent: dict[str, Any], tmp_path: Path) -> None:
    settings = tiny()
    w = weights_of(settings, latent)
    codes = torch.randn(50, 16, generator=torch.Generator().manual_seed(3))
    values = checkpoint(w, settings, latent, conds=codes)
    import_diffae(save(tmp_path / "last.ckpt", values), tmp_path / "model.safetensors")
    networks = load_checkpoint(tmp_path / "model.safetensors").networks
    assert isinstance(networks, DiffAE) and networks.latent_net is not None
    t = torch.tensor([0, 500, 999])
    expected = reference.predict_code(w, latent, codes[:3], t)
    torch.testing.assert_close(networks.latent_net(codes[:3], t), expected, atol=1e-5, rtol=0)


def test_results_of_the_published_code(tmp_path: Path) -> None:
    """Against arrays of the published code itself, where they lie on this machine.

    The folder that the variable names holds `*last.ckpt`, such as one of random weights, and
    `*io.safetensors` with what github.com/phizaz/diffae makes of it: arrays as `importing.parity`
    describes them.
    """
    folder = os.environ.get(FIXTURE)
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"{FIXTURE} names no folder with results of the published code")
    (path,), (arrays,) = Path(folder).glob("*last.ckpt"), Path(folder).glob("*io.safetensors")
    import_diffae(path, tmp_path / "model.safetensors")
    results = compare(load_checkpoint(tmp_path / "model.safetensors"), read_references(arrays))
    assert len(results) >= 5
    assert all(each.is_within for each in results), results
