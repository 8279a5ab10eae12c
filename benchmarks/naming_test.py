"""Would a person name the sliders alike? Sheets of a model without the names, and a key.

    python -m benchmarks.naming_test [MODEL] --output FOLDER [--data SOURCE] [--count 5]
        [--seed 4242] [--share 0.75]

Writes slider_A.png, slider_B.png, ... in random order: images that the model never saw, a row each,
from the minus end (--) over the untouched image (0) to the plus end (++) of one slider. Show them
to somebody who has not read the names, and compare the answers with key.json. Of --data, the images
are those that `cldis train` with the usual seed holds out; without, drawn heads.
"""

from __future__ import annotations

import argparse
import json
import string
import tempfile
from pathlib import Path

import numpy as np
import torch

from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from comfyui_cldis.datasets.heads import render_heads, sample_factors
from comfyui_cldis.editing.pipeline import decode, edit, encode
from comfyui_cldis.imaging.sheet import Row, contact_sheet
from trainer.config.settings import TrainConfig
from trainer.data import open_images
from trainer.data.split import split_images
from trainer.training.batches import to_tensor

HEADINGS = ("--", "-", "0", "+", "++")
STEPS = 20


def unseen(options: argparse.Namespace, size: int) -> np.ndarray:
    """Images (count, size, size, 3) that the model was not trained on, uint8."""
    if options.data is None:
        return render_heads(sample_factors(options.count, options.seed), size)
    config = TrainConfig()
    with tempfile.TemporaryDirectory() as cache:
        images = open_images(options.data, size, cache_dir=Path(cache))
        held_out = split_images(options.data, images, config.held_out, config.seed).held_out
        if held_out is None:
            raise SystemExit(f"{options.data} has too few images to hold some out.")
        order = np.random.default_rng(options.seed).permutation(len(held_out))
        return np.asarray(held_out[np.sort(order[: options.count])])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", metavar="SOURCE", help="folder or zip the model was trained on")
    parser.add_argument("--count", type=int, default=5, help="images")
    parser.add_argument("--seed", type=int, default=4242, help="of the images and of the order")
    parser.add_argument("--share", type=float, default=0.75, help="of the safe range that is shown")
    options = parser.parse_args()
    model = load_checkpoint(options.model or demo_model_path())
    images = unseen(options, model.networks.config.image_size)
    latent = encode(model, to_tensor(images), inversion_steps=STEPS)
    order = np.random.default_rng(options.seed).permutation(len(model.directions))
    options.output.mkdir(parents=True, exist_ok=True)
    key = {}
    for letter, index in zip(string.ascii_uppercase, order, strict=False):
        direction = model.directions[index]
        low, high = options.share * direction.minimum, options.share * direction.maximum
        columns = [
            decode(model, edit(model, latent, {direction.name: amount}), num_steps=STEPS)
            for amount in (low, low / 2, 0.0, high / 2, high)
        ]
        rows = [Row("", torch.stack(row)) for row in zip(*columns, strict=True)]
        sheet = contact_sheet(rows, HEADINGS, scale=2)
        sheet.save(options.output / f"slider_{letter}.png")
        key[letter] = direction.name
    (options.output / "key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {len(key)} sheets and key.json to {options.output}")


if __name__ == "__main__":
    main()
