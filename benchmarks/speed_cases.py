"""What `benchmarks.speed` measures: models by name, and ways to encode, invert and decode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel, LatentStatistics
from comfyui_cldis.editing.facts import ModelFacts, ModelQuality
from comfyui_cldis.model import DiffusionAutoencoder, Networks
from comfyui_cldis.model.adapted import AdaptedConfig
from comfyui_cldis.model.build import build_networks
from comfyui_cldis.model.diffae import DiffAE, DiffAEConfig

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
DEMO_SIZE = 64  # pixels of a side, of the demo model
SIZES = (32, 64, 128, 256)  # of the networks that the growth with the image size is measured on
SEED = 0


@dataclass(frozen=True)
class Way:
    """One way to do an edit: encode, invert, decode.

    Attributes:
        pair: of `speed_solvers.PAIRS`.
        inversion_steps, steps: of its inversion and its sampler.
        dtype: of `DTYPES`; what the networks compute in.
        layout: "contiguous" or "channels_last", of weights and images.
        compiled: whether the U-Net goes through torch.compile with CUDA graphs.
    """

    name: str
    pair: str
    inversion_steps: int
    steps: int
    dtype: str = "fp32"
    layout: str = "contiguous"
    compiled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary of the arguments."""
        return asdict(self)


OFFICIAL = (
    Way("official, T = 250 and 100", "ddim", 250, 100),
    Way("official, T = 250 and 20", "ddim", 250, 20),
)


PUBLISHED_SCHEDULE = ScheduleConfig(  # of Diff-AE
    betas="linear", prediction="eps", zero_terminal_snr=False, spacing="leading", clip_x0=True
)
OFFICIAL_SIZES = {  # of the published models; Bedroom128 and Horse128 are as FFHQ128
    "celeba64": DiffAEConfig(image_size=64),
    "ffhq128": DiffAEConfig(
        image_size=128,
        base_channels=128,
        widths=(128, 128, 256, 384, 512),
        encoder_widths=(128, 128, 256, 384, 512, 512),
    ),
    "ffhq256": DiffAEConfig(
        image_size=256,
        base_channels=128,
        widths=(128, 128, 256, 256, 512, 512),
        encoder_widths=(128, 128, 256, 256, 512, 512, 512),
    ),
}


def random_model(networks: Networks, schedule: ScheduleConfig) -> EditableModel:
    """A model of networks with random weights: enough to measure time and memory."""
    width = torch.ones(networks.config.latent_dim)
    statistics = LatentStatistics(0 * width, width, -3 * width, 3 * width)
    return EditableModel(networks.train(mode=False), NoiseSchedule(schedule), statistics, ())


def demo() -> EditableModel:
    """The bundled model."""
    return load_checkpoint(demo_model_path())


def official(name: str) -> EditableModel:
    """A published architecture of `OFFICIAL_SIZES`, as `cldis import-diffae` builds it."""
    torch.manual_seed(SEED)
    return random_model(DiffAE(OFFICIAL_SIZES[name]), PUBLISHED_SCHEDULE)


def adapted(name: str) -> EditableModel:
    """A published architecture with a small code and a co-pilot, as `cldis adapt` makes it.

    Its file says that content can be followed in its previews: that takes the longer way.
    """
    torch.manual_seed(SEED)
    config = AdaptedConfig(OFFICIAL_SIZES[name])
    model = random_model(build_networks(config), PUBLISHED_SCHEDULE)
    direction = Direction("first", torch.eye(config.latent_dim)[0], -3.0, 3.0)
    facts = ModelFacts(quality=ModelQuality(explained_variance_preview=1.0))
    return replace(model, directions=(direction,), facts=facts)


def demo_at(size: int) -> EditableModel:
    """The demo model's architecture for images of another size, with random weights.

    Attention acts at the same levels, so on four times as many places where the side is doubled.
    """
    model = demo()
    config = model.networks.config
    decoder = config.decoder
    heights = tuple(height * size // DEMO_SIZE for height in decoder.attention_sizes)
    config = replace(config, image_size=size, decoder=replace(decoder, attention_sizes=heights))
    torch.manual_seed(SEED)
    return random_model(DiffusionAutoencoder(config), model.schedule.config)


CASES: dict[str, Callable[[], EditableModel]] = {
    "demo": demo,
    **{name: partial(official, name) for name in OFFICIAL_SIZES},
    **{f"{name}, adapted": partial(adapted, name) for name in OFFICIAL_SIZES},
    **{f"demo at {size}": partial(demo_at, size) for size in SIZES},
}


def prepared(model: EditableModel, way: Way, device: str) -> EditableModel:
    """The model on a device, in the way's dtype and memory format, and compiled if it is to be."""
    networks = model.networks.to(device, DTYPES[way.dtype])
    if way.layout == "channels_last":
        networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if way.compiled:
        networks.unet.compile(mode="reduce-overhead", dynamic=False)
    return model


def laid_out(images: Tensor, way: Way) -> Tensor:
    """Images (B, C, S, S) in the way's memory format."""
    if way.layout == "channels_last":
        return images.contiguous(memory_format=torch.channels_last)
    return images
