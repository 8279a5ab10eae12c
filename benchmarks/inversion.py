"""How well images come back from inverted noise: the usual DDIM inversion against the corrected.

    python -m benchmarks.inversion [MODEL]

Prints one table: corrections per step, network evaluations, PSNR, seconds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from comfyui_cldis.checkpoint import demo_image_paths, demo_model_path, load_checkpoint
from comfyui_cldis.diffusion.samplers import invert
from comfyui_cldis.editing.framing import frame
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import decode, denoiser_for
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.tensors import to_tensor


@torch.no_grad()
def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else demo_model_path()
    model = load_checkpoint(path)
    size = model.networks.config.image_size
    read = [to_tensor(read_image(path, 3).image) for path in demo_image_paths()]
    images = torch.cat([frame(image, size, "crop")[0] for image in read])
    posterior = model.networks.encode_semantic(images)
    denoiser = denoiser_for(model, posterior.mu, posterior.residual)
    print(f"{path.name}, {len(images)} images, threads: {torch.get_num_threads()}")
    print("steps  corrections  evaluations  PSNR dB  seconds")
    for num_steps in (10, 20, 50):
        for corrections in (0, 1, 2):
            calls = 0

            def counted(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
                nonlocal calls
                calls += 1
                return denoiser(x_t, t)

            began = time.perf_counter()
            x_T = invert(
                counted, images, model.schedule, num_steps=num_steps, num_corrections=corrections
            )
            seconds = time.perf_counter() - began
            latent = Latent(posterior.mu, x_T, posterior.residual)
            back = decode(model, latent, num_steps=num_steps)
            error = (back - images).square().flatten(1).mean(1)
            psnr = float((10 * torch.log10(4 / error)).mean())
            print(f"{num_steps:5d}  {corrections:11d}  {calls:11d}  {psnr:7.2f}  {seconds:7.1f}")


if __name__ == "__main__":
    main()
