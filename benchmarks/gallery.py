"""The images of docs/gallery.md: what the sliders of a model do, and where they fail.

    python -m benchmarks.gallery [MODEL] [--output docs/gallery] [--steps N]

Without MODEL the bundled demo model on its sample heads. Writes sliders_N.png (six directions each,
two images, the whole safe range), freedom.png (directions that move the outline, with the
image's own noise and with looser noise), noise.png (one code, several noise maps), pair.png (two
sliders at once) and unknown.png (an image of a kind that the model never saw).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from comfyui_cldis.checkpoint import demo_image_paths, demo_model_path, load_checkpoint
from comfyui_cldis.cli.sheets import amounts_over_range, direction_label
from comfyui_cldis.datasets.registry import open_factor_data
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.framing import frame
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import decode, edit, encode, preview, traverse
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.sheet import Row, contact_sheet
from comfyui_cldis.imaging.tensors import from_pixels, to_tensor

PER_SHEET = 6
HEADED_SCALE = 2  # of sheets whose headings are wider than a small image
FREEDOMS = (0.0, 0.3, 1.0)
SEEDS = (1, 2, 3)
PAIR_AMOUNTS = (-1.5, 0.0, 1.5)
ROOM = np.array([[2, 6, 0, 4, 1, 7]])  # factors of the drawn room


def sliders(model: EditableModel, images: Tensor, steps: int) -> list[Image.Image]:
    """Sheets of directions, two images in turn for each: the original, then its whole range."""
    latent = encode(model, images, inversion_steps=steps)
    rows = []
    for direction in model.directions:
        amounts = amounts_over_range(direction, 3)
        for item in range(len(images)):
            varied = traverse(model, latent[item : item + 1], direction.name, amounts)
            drawn = decode(model, varied, num_steps=steps)
            label = direction_label(direction) if item == 0 else " "
            captions = ["original", *(f"{amount:+.1f} sd" for amount in amounts)]
            captions = captions if item == len(images) - 1 else [""] * len(captions)
            rows.append(Row(label, torch.cat([images[item : item + 1], drawn]), tuple(captions)))
    size = PER_SHEET * len(images)
    return [contact_sheet(rows[at : at + size], scale=1) for at in range(0, len(rows), size)]


def freedom_sheet(
    model: EditableModel, image: Tensor, names: Sequence[str], steps: int
) -> Image.Image:
    """Both ends of some directions, a row each, with the noise as free as the columns say."""
    latent = encode(model, image, inversion_steps=steps)
    ends = [(name, amount) for name in names for amount in _ends(model, name)]
    moved = Latent.cat([latent, *(edit(model, latent, {name: at}) for name, at in ends)])
    columns = [
        decode(model, moved, num_steps=steps, seed=1, freedom=freedom) for freedom in FREEDOMS
    ]
    labels = ["no edit", *(f"{name} {amount:+.1f}" for name, amount in ends)]
    rows = [
        Row(label, torch.cat([image, *(column[i : i + 1] for column in columns)]))
        for i, label in enumerate(labels)
    ]
    heads = ["original", *(f"freedom {freedom:g}" for freedom in FREEDOMS)]
    return contact_sheet(rows, heads, scale=HEADED_SCALE)


def noise_sheet(model: EditableModel, images: Tensor, steps: int) -> Image.Image:
    """Images, with their own noise and with other noise: what is in the code, and what is not."""
    latent = encode(model, images, inversion_steps=steps)
    columns = [images, decode(model, latent, num_steps=steps)]
    columns += [decode(model, latent, num_steps=steps, seed=seed) for seed in SEEDS]
    columns.append(preview(model, latent))
    rows = [Row("", torch.stack([column[i] for column in columns])) for i in range(len(images))]
    heads = ["original", "own noise", *(f"noise {seed}" for seed in SEEDS), "co-pilot"]
    return contact_sheet(rows, heads, scale=1)


def pair_sheet(
    model: EditableModel, image: Tensor, names: tuple[str, str], steps: int
) -> Image.Image:
    """One image under two sliders at once."""
    latent = encode(model, image, inversion_steps=steps)
    rows = []
    for down in PAIR_AMOUNTS:
        moved = [edit(model, latent, {names[0]: down, names[1]: across}) for across in PAIR_AMOUNTS]
        drawn = decode(model, Latent.cat(moved), num_steps=steps)
        rows.append(Row(f"{names[0]} {down:+g}", drawn))
    heads = [f"{names[1]} {amount:+g}" for amount in PAIR_AMOUNTS]
    return contact_sheet(rows, heads, scale=HEADED_SCALE)


def unknown_sheet(model: EditableModel, names: Sequence[str], steps: int) -> Image.Image | None:
    """A drawn room, which no model of heads has seen, under the ends of some sliders."""
    config = model.networks.config
    if config.in_channels != 3:
        return None
    room = open_factor_data("shapes3d-equivalent", config.image_size).images(ROOM)
    image = from_pixels(room)
    latent = encode(model, image, inversion_steps=steps)
    rows = []
    for name in names:
        moved = [edit(model, latent, {name: amount}) for amount in _ends(model, name)]
        drawn = decode(model, Latent.cat([latent, *moved]), num_steps=steps)
        rows.append(Row(name, torch.cat([image, drawn])))
    return contact_sheet(rows, ["original", "no edit", "-", "+"], scale=1)


def _ends(model: EditableModel, name: str) -> tuple[float, float]:
    direction = model.direction(name)
    return direction.minimum, direction.maximum


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--image", type=Path, action="append", help="default: the sample heads")
    parser.add_argument("--output", type=Path, default=Path("docs/gallery"))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--outline", default="head turn,hair length", help="names, for freedom.png")
    parser.add_argument("--pair", default="skin,hair colour", help="two names, for pair.png")
    options = parser.parse_args()
    model = load_checkpoint(options.model or demo_model_path())
    config = model.networks.config
    paths = options.image or demo_image_paths()
    read = (to_tensor(read_image(path, config.in_channels).image) for path in paths)
    images = torch.cat([frame(image, config.image_size, "crop")[0] for image in read])
    outline, pair = options.outline.split(","), options.pair.split(",")
    steps = options.steps
    sheets: dict[str, Image.Image | None] = {
        f"sliders_{number}": sheet
        for number, sheet in enumerate(sliders(model, images[:2], steps), start=1)
    }
    sheets["freedom"] = freedom_sheet(model, images[-1:], outline, steps)
    sheets["noise"] = noise_sheet(model, images[:4], steps)
    sheets["pair"] = pair_sheet(model, images[-2:-1], (pair[0], pair[1]), steps)
    sheets["unknown"] = unknown_sheet(model, [*outline, *pair], steps)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, sheet in sheets.items():
        if sheet is not None:
            path = options.output / f"{name}.png"
            sheet.save(path, optimize=True)
            print(f"wrote {path} ({sheet.width} x {sheet.height})")


if __name__ == "__main__":
    main()
