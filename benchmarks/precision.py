"""How far fp16 and bf16 weights lead away from fp32, node by node, on the bundled model.

    python -m benchmarks.precision [--heads N] [--steps N]

Draws heads that the model has not seen, encodes, edits and decodes them with each data type, and
prints the largest and the mean deviation from float32 in Markdown: of the code in standard
deviations, of pictures in levels of 8 bits (0 to 255). It runs on the CPU, with one thread.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from comfyui_cldis.datasets.heads.factors import sample_factors
from comfyui_cldis.datasets.heads.generator import render_heads
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.original import frame_original
from comfyui_cldis.editing.pipeline import decode, edit, encode
from comfyui_cldis.editing.render import render

SEED = 4242
ORIGINAL_SIDE = 256  # pixels of an original
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
EDITS = {"light": 1.5, "head turn": 1.0, "skin": 1.5}
LEVELS = 255


@dataclass(frozen=True)
class Stages:
    """What each node gives for the same originals: codes (B, D), pictures (B, 3, H, W) in [0, 1].

    Attributes:
        code: of CLDis Encode.
        tracked: CLDis Decode, method tracked, of the edited code.
        decoded: the same, method decoded.
        again: the model's square drawn again from inverted noise, unedited.
    """

    code: Tensor
    tracked: Tensor
    decoded: Tensor
    again: Tensor


def originals(count: int, seed: int = SEED) -> Tensor:
    """Heads (B, 3, S, S) in [0, 1] of seeded factors."""
    rendered = render_heads(sample_factors(count, seed), ORIGINAL_SIDE)
    return torch.as_tensor(rendered).float().movedim(-1, 1) / LEVELS


@torch.inference_mode()
def stages(model: EditableModel, pixels: Tensor, num_steps: int) -> Stages:
    """Encodes, edits and decodes (B, 3, H, W) in [0, 1]."""
    config = model.networks.config
    framed = [
        frame_original(each, config.in_channels, config.image_size, "crop", None) for each in pixels
    ]
    latent = encode(
        model,
        torch.cat([square for square, _ in framed]),
        inversion_steps=num_steps,
        origins=tuple(origin for _, origin in framed),
        originals=list(pixels),
    )
    edited = edit(model, latent, EDITS)
    tracked, decoded = (
        torch.stack(list(render(model, edited, method=method, num_steps=num_steps)))
        for method in ("tracked", "decoded")
    )
    again = decode(model, latent, num_steps=num_steps, seed=None) / 2 + 0.5
    return Stages(latent.z, tracked.float(), decoded.float(), again.float())


def deviations(exact: Stages, short: Stages, scale: Tensor) -> dict[str, tuple[float, float]]:
    """Largest and mean deviation of each stage; of the code in units of `scale` (D,)."""
    found = {"code": (exact.code - short.code).abs() / scale}
    for name in ("tracked", "decoded", "again"):
        found[name] = (getattr(exact, name) - getattr(short, name)).abs() * LEVELS
    return {name: (float(each.max()), float(each.mean())) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="fp16 and bf16 weights against fp32")
    parser.add_argument("--heads", type=int, default=32, metavar="N")
    parser.add_argument("--steps", type=int, default=20, metavar="N")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pixels = originals(arguments.heads)
    path = demo_model_path()
    started = time.perf_counter()
    exact = stages(load_checkpoint(path), pixels, arguments.steps)
    exact_sec = time.perf_counter() - started
    scale = exact.code.std(0)
    print("| weights | stage | largest | mean | unit | seconds |\n|---|---|---|---|---|---|")
    print(f"| fp32 | all | 0 | 0 | | {exact_sec:.0f} |")
    for name, dtype in DTYPES.items():
        started = time.perf_counter()
        short = stages(load_checkpoint(path, dtype=dtype), pixels, arguments.steps)
        seconds = time.perf_counter() - started
        for stage, (largest, mean) in deviations(exact, short, scale).items():
            unit = "std of the code" if stage == "code" else "levels of 255"
            print(f"| {name} | {stage} | {largest:.3f} | {mean:.4f} | {unit} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
