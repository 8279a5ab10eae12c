"""The presets say in their comments what they need; the counts must agree with the claims."""

import re
from dataclasses import replace

import pytest
import torch

from comfyui_cldis.model import DiffusionAutoencoder
from trainer.config.settings import PRESETS_FOLDER, load_preset
from trainer.estimate.costs import count_costs

CLAIMED = ("gpu64", "gpu128", "gpu256", "tiny32")
ON_GPU = CLAIMED[:3]
CLAIM = re.compile(
    r"# ([\d.]+) million parameters, ([\d.]+) GiB of (GPU )?memory, ([\d.e+]+) operations"
)
PROGRAM_GIB = 0.39  # Python, PyTorch and what they load; a CUDA context is about as large
HOURS = re.compile(r"\(([\d.]+) hours at ([\d.]+) TFLOP/s\)")


def claims(name: str) -> tuple[float, float, float, str]:
    text = (PRESETS_FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    found = CLAIM.search(text)
    assert found, f"{name}.toml claims nothing in the form that this test reads"
    return float(found[1]), float(found[2]), float(found[4]), text


@pytest.mark.parametrize("name", CLAIMED)
def test_parameters_are_as_claimed(name):
    with torch.device("meta"):
        networks = DiffusionAutoencoder(load_preset(name).model)
    millions = sum(parameter.numel() for parameter in networks.parameters()) / 1e6
    assert claims(name)[0] == round(millions, 1)


@pytest.mark.parametrize(
    "name", ["tiny32", *(pytest.param(name, marks=pytest.mark.slow) for name in ON_GPU)]
)
def test_memory_and_operations_are_as_claimed(name):
    config = load_preset(name)
    costs = count_costs(config)
    _, gib, operations, _ = claims(name)
    needed = costs.step_bytes(config.batch_size // config.accumulation_steps) / 2**30
    assert gib == pytest.approx(PROGRAM_GIB + needed, rel=0.03, abs=0.06)
    total = costs.operations * config.batch_size * config.steps
    assert operations == pytest.approx(total, rel=0.05)  # torch versions count a few differently


@pytest.mark.parametrize("name", ON_GPU)
def test_hours_follow_from_the_operations_and_are_called_unmeasured(name):
    *_, operations, text = claims(name)
    found = HOURS.search(text)
    assert found
    assert float(found[1]) == pytest.approx(operations / float(found[2]) / 1e12 / 3600, rel=0.05)
    assert "estimated by the dry run, not measured on a GPU" in text


@pytest.mark.parametrize(
    ("name", "size", "unet", "encoder"),
    [
        ("gpu128", 128, (1, 1, 2, 3, 4), (1, 1, 2, 3, 4, 4)),
        ("gpu256", 256, (1, 1, 2, 2, 4, 4), (1, 1, 2, 2, 4, 4, 4)),
    ],
)
def test_large_presets_have_the_official_widths(name, size, unet, encoder):
    """Diff-AE (phizaz/diffae, MIT): 128 channels, 2 blocks, embedding 512, dropout 0.1."""
    model = load_preset(name).model
    assert model.image_size == size
    assert model.decoder.channel_mults == unet and model.encoder.channel_mults == encoder
    for part in (model.decoder, model.encoder):
        assert (part.base_channels, part.num_res_blocks) == (128, 2)
    assert (model.decoder.embed_dim, model.decoder.dropout) == (512, 0.1)
    assert 16 in model.decoder.attention_sizes and model.decoder.conditioner == "tokens"


@pytest.mark.parametrize("name", ON_GPU)
def test_gpu_presets_use_what_a_gpu_is_good_at(name):
    config = load_preset(name)
    assert config.precision == "bf16" and config.use_compile
    assert config.model.decoder.narrow_upsampling
    width = config.model.decoder.base_channels // config.model.decoder.num_heads
    assert width % 8 == 0  # the fast attention kernels want heads of a multiple of 8


def test_a_gpu_preset_runs_a_step_on_a_cpu_at_a_fraction_of_its_width():
    """The shapes of gpu256 fit together: encoder down to 4 x 4, U-Net to 8 x 8 and back."""
    config = load_preset("gpu256").model
    model = replace(
        config,
        encoder=replace(config.encoder, base_channels=8, num_res_blocks=1),
        decoder=replace(config.decoder, base_channels=8, num_res_blocks=1, embed_dim=16),
    )
    networks = DiffusionAutoencoder(model)
    x = torch.zeros(1, 3, 256, 256)
    with torch.no_grad():
        posterior = networks.encode_semantic(x)
        prediction = networks.predict(x, torch.tensor([5]), posterior.mu)
    assert posterior.mu.shape == (1, 32) and prediction.shape == x.shape
