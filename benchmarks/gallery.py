"""The images of docs/gallery.md: what the sliders of a model do, and where they fail.

    python -m benchmarks.gallery [MODEL] [--output docs/gallery] [--steps N]

Without MODEL the bundled demo model on its sample heads. Writes sliders_N.jpg (three directions
each, two images, the whole safe range), pair.jpg (two sliders at once), turns.jpg (one direction on
all images), slider.webp (one direction as an animation), noise.png (one code, several noise maps)
and unknown.png (an image of a kind that the model never saw).
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
from comfyui_cldis.cli.loading import encoded
from comfyui_cldis.cli.sheets import amounts_over_range, direction_label, traverse_frames
from comfyui_cldis.cli.terminal import progress_lines
from comfyui_cldis.datasets.registry import open_factor_data
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.original import frame_original
from comfyui_cldis.editing.pipeline import decode, edit, encode, preview, traverse
from comfyui_cldis.editing.render import render
from comfyui_cldis.imaging.animation import write_animation
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.sheet import Row, contact_sheet
from comfyui_cldis.imaging.tensors import from_pixels, image_pixels, in_model_range

PER_SHEET = 3
TILE, ANIMATED = 224, 256  # pixels of an image
TURNS = (-2.0, -1.2, -0.6, 0.0, 0.6, 1.2, 2.0)
SEEDS = (1, 2, 3)
PAIR_AMOUNTS = (-1.5, 0.0, 1.5)
ROOM = np.array([[2, 6, 0, 4, 1, 7]])  # factors of the drawn room


def sliders(model: EditableModel, latent: Latent, steps: int) -> list[Image.Image]:
    """Sheets of directions, two images in turn for each, over its whole range."""
    rows = []
    for direction in model.directions:
        amounts = amounts_over_range(direction, 2)
        for item in range(len(latent)):
            varied = traverse(model, latent[item : item + 1], direction.name, amounts)
            label = direction_label(direction) if item == 0 else " "
            captions = [f"{amount:+.1f} sd" if amount else "original" for amount in amounts]
            captions = captions if item == len(latent) - 1 else [""] * len(captions)
            rows.append(Row(label, rendered(model, varied, steps), tuple(captions)))
    size = PER_SHEET * len(latent)
    return [contact_sheet(rows[at : at + size], scale=1) for at in range(0, len(rows), size)]


def turns_sheet(model: EditableModel, latent: Latent, name: str, steps: int) -> Image.Image:
    """All images at the same amounts along one direction."""
    rows = []
    for item in range(len(latent)):
        varied = traverse(model, latent[item : item + 1], name, TURNS)
        rows.append(Row("", rendered(model, varied, steps)))
    heads = [f"{name} {amount:+.1f}" if amount else "original" for amount in TURNS]
    return contact_sheet(rows, heads, scale=1)


def rendered(model: EditableModel, latent: Latent, steps: int) -> Tensor:
    """(n, C, TILE, TILE) in [-1, 1]."""
    return in_model_range(torch.stack(render(model, latent, num_steps=steps)))


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
    model: EditableModel, latent: Latent, names: tuple[str, str], steps: int
) -> Image.Image:
    """One image under two sliders at once."""
    rows = []
    for down in PAIR_AMOUNTS:
        moved = [edit(model, latent, {names[0]: down, names[1]: across}) for across in PAIR_AMOUNTS]
        rows.append(Row(f"{names[0]} {down:+g}", rendered(model, Latent.cat(moved), steps)))
    heads = [f"{names[1]} {amount:+g}" for amount in PAIR_AMOUNTS]
    return contact_sheet(rows, heads, scale=1)


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
    parser.add_argument(
        "--outline", default="head turn,hair length", help="names, for turns.jpg and unknown.png"
    )
    parser.add_argument("--pair", default="skin,hair colour", help="two names, for pair.jpg")
    options = parser.parse_args()
    model = load_checkpoint(options.model or demo_model_path())
    config = model.networks.config
    paths = options.image or demo_image_paths()
    originals = [image_pixels(read_image(path, config.in_channels).image)[0] for path in paths]
    images = torch.cat(
        [
            frame_original(each, config.in_channels, config.image_size, "crop")[0]
            for each in originals
        ]
    )
    latents = Latent.cat([encoded(model, each, "crop", None, TILE) for each in originals])
    outline, pair = options.outline.split(","), options.pair.split(",")
    steps = options.steps
    sheets: dict[str, Image.Image | None] = {
        f"sliders_{number}.jpg": sheet
        for number, sheet in enumerate(sliders(model, latents[:2], steps), start=1)
    }
    sheets["pair.jpg"] = pair_sheet(model, latents[-2:-1], (pair[0], pair[1]), steps)
    sheets["turns.jpg"] = turns_sheet(model, latents, outline[0], steps)
    sheets["noise.png"] = noise_sheet(model, images[:4], steps)
    sheets["unknown.png"] = unknown_sheet(model, [*outline, *pair], steps)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, sheet in sheets.items():
        if sheet is not None:
            sheet.save(options.output / name, optimize=True, quality=88)
            print(f"wrote {options.output / name} ({sheet.width} x {sheet.height})")
    frames = traverse_frames(
        model,
        encoded(model, originals[0], "crop", None, ANIMATED),
        outline[0],
        progress_lines,
        method="auto",
        num_steps=steps,
        seed=None,
    )
    write_animation(options.output / "slider.webp", frames)
    print(f"wrote {options.output / 'slider.webp'} ({len(frames)} frames)")


if __name__ == "__main__":
    main()
