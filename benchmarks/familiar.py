"""How well the note on images that a model does not know tells them from those it knows.

    python -m benchmarks.familiar MODEL SET [SET ...] [--images N]

A SET is what `cldis train --data` takes: a folder, a .zip file, or the name of drawn images. For
each set the share of the variance of its images that the co-pilot redraws (the mean colour of each
image explains none), and how many of the images the note would name.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.editing.familiar import explained_by_copilot, least_share, unfamiliar
from trainer.data import open_images
from trainer.training.batches import to_tensor

SHOWN = (0.01, 0.05, 0.5, 0.95)  # quantiles
SEED = 2027


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("sets", nargs="+", metavar="SET")
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_checkpoint(options.model)
    size, quality = model.networks.config.image_size, model.facts.quality
    print(
        f"{model.name}: the co-pilot explains {quality.explained_variance_preview}, and of single"
    )
    print(
        f"images {quality.least_explained_preview} at least; named below {least_share(quality)}\n"
    )
    print(f"| images | number | {' | '.join(f'{each:.0%}' for each in SHOWN)} | named |")
    print("|---" * (len(SHOWN) + 3) + "|")
    for name in options.sets:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
            found = open_images(
                name,
                size,
                cache_dir=Path(cache),
                num_images=options.images,
                seed=SEED,
                channels=model.networks.config.in_channels,
                resize=model.facts.training.resize,
            )
            images = to_tensor(np.array(found.images))
            del found
        shares = torch.cat([explained_by_copilot(model, part) for part in images.split(64)])
        quantiles = " | ".join(f"{shares.quantile(each):.2f}" for each in SHOWN)
        named = len(unfamiliar(model, images))
        print(f"| {Path(name).stem} | {len(images)} | {quantiles} | {named} |")


if __name__ == "__main__":
    main()
