"""One way to train, in a process of its own: does a step for each line on stdin and reports it.

Started by `benchmarks.throughput`. A report is a line of JSON: wall and CPU seconds, page faults.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.throughput_plain import PlainLoop
from comfyui_cldis.model.config import CopilotConfig, DecoderConfig, EncoderConfig, ModelConfig
from trainer.config.settings import TrainConfig, load_preset
from trainer.training.step import Draws
from trainer.training.trainer import Trainer

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
MODIFIERS = ("compile", *LAYOUTS, "mallopt", "jemalloc", "denormals")
NUM_IMAGES = 256
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


@dataclass(frozen=True)
class Variant:
    """A way to train: "plain", or a precision with modifiers, such as "fp32+compile+threads=2".

    Attributes:
        loop: "plain" or "ours".
        modifiers: some of `MODIFIERS`.
        threads: of the CPU.
    """

    name: str
    loop: str
    precision: str
    modifiers: tuple[str, ...]
    threads: int

    @classmethod
    def parse(cls, name: str, threads: int) -> Variant:
        """Raises: ValueError for a word that means nothing."""
        first, *modifiers = name.split("+")
        for word in list(modifiers):
            if word.startswith("threads=") and word[8:].isdigit():
                threads = int(word[8:])
                modifiers.remove(word)
            elif word not in MODIFIERS:
                raise ValueError(
                    f"The variant '{name}' has the modifier '{word}'. Use {', '.join(MODIFIERS)} "
                    "or threads=N."
                )
        if first not in ("plain", "fp32", "bf16"):
            raise ValueError(f"The variant '{name}' starts with '{first}'. Use fp32, bf16, plain.")
        precision = "fp32" if first == "plain" else first
        loop = "plain" if first == "plain" else "ours"
        return cls(name, loop, precision, tuple(modifiers), threads)


def official(size: int, base: int, mults: tuple[int, ...], deeper: int) -> TrainConfig:
    """Widths of an official Diff-AE model; code of 512 numbers through adaptive normalisation."""
    encoder = EncoderConfig(base, (*mults, deeper), num_res_blocks=2, hidden_dim=512)
    decoder = DecoderConfig(
        base,
        mults,
        2,
        attention_sizes=(16,),
        conditioner="adagn",
        embed_dim=512,
        num_heads=1,
        dropout=0.1,
    )
    model = ModelConfig(
        size, latent_dim=512, encoder=encoder, decoder=decoder, copilot=CopilotConfig()
    )
    return TrainConfig(model=model, learning_rate=1e-4, ema_decay=0.9999)


def configuration(size: str) -> TrainConfig:
    """A training configuration by name: an official size of Diff-AE or a preset."""
    if size == "celeba64":
        return official(64, 64, (1, 2, 4, 8), 8)
    if size == "ffhq128":
        return official(128, 128, (1, 1, 2, 3, 4), 4)
    return load_preset(size)


class LayoutTrainer(Trainer):
    """The trainer with weights, images and noise in a memory format of its own."""

    def __init__(self, layout: torch.memory_format, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.layout = layout
        self.networks.to(memory_format=layout)  # type: ignore[call-overload]

    def batch(self, *arguments: Any) -> torch.Tensor:
        """Images in that format."""
        return super().batch(*arguments).contiguous(memory_format=self.layout)

    def _draw(self, update: int) -> Draws:
        draws = super()._draw(update)
        return draws._replace(eps=draws.eps.contiguous(memory_format=self.layout))


def build(size: str, batch: int, variant: Variant, device: str) -> PlainLoop | Trainer:
    """The loop of a variant over random images."""
    config = configuration(size)
    config = replace(
        config,
        batch_size=batch,
        accumulation_steps=1,
        precision=variant.precision,
        use_compile="compile" in variant.modifiers,
        # the plain loop has no measurements
        loop=replace(config.loop, copilot_warmup_steps=0),
        feedback=replace(config.feedback, usage_every_steps=10**9),
    )
    pixels, channels = config.model.image_size, config.model.in_channels
    shape = (NUM_IMAGES, pixels, pixels, channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if variant.loop == "plain":
        return PlainLoop(config, images, device)
    layout = next((LAYOUTS[name] for name in LAYOUTS if name in variant.modifiers), None)
    trainer = (
        Trainer(config, images, device)
        if layout is None
        else LayoutTrainer(layout, config, images, device)
    )
    if note := trainer.compile():
        raise RuntimeError(note)  # what is measured would not be what was asked for
    return trainer


def keep_memory() -> None:
    """Tell glibc's malloc to serve large blocks from its heap and never to give memory back.

    Raises:
        OSError: no glibc, or a setting was refused.
    """
    library = ctypes.CDLL(None)
    for setting, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 64 * 2**20)):
        if not library.mallopt(setting, value):
            raise OSError(f"mallopt refused setting {setting}. Leave out the modifier mallopt.")


def measure(loop: PlainLoop | Trainer, device: str) -> dict[str, float]:
    """Seconds and page faults of one step; CPU seconds are of all threads, user and system."""
    before, faults, began = os.times(), page_faults(), time.perf_counter()
    loop.train_step()
    if device == "cuda":
        torch.cuda.synchronize()
    wall, after = time.perf_counter() - began, os.times()
    return {
        "wall": wall,
        "user": after.user - before.user,
        "system": after.system - before.system,
        "faults": page_faults() - faults,
    }


def page_faults() -> int:
    """Pages this process has been given so far; 0 where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def peak_memory(device: str) -> int:
    """Bytes: of the GPU's tensors, or of the process; 0 where the system does not tell."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ModuleNotFoundError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    task = json.loads(sys.argv[1])
    variant = Variant.parse(task["variant"], task["threads"])
    if "mallopt" in variant.modifiers:
        keep_memory()
    if "denormals" in variant.modifiers:
        torch.set_flush_denormal(True)
    torch.set_num_threads(variant.threads)
    torch.manual_seed(0)
    loop = build(task["size"], task["batch"], variant, task["device"])
    began = time.perf_counter()
    for _ in range(task["warmup"]):
        loop.train_step()
    report = {"variant": asdict(variant), "warmup_seconds": time.perf_counter() - began}
    print(json.dumps(report), flush=True)
    for _ in sys.stdin:
        report = measure(loop, task["device"]) | {"memory": peak_memory(task["device"])}
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
