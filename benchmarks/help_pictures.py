"""The pictures of the nodes' help pages, drawn by the nodes themselves.

    python -m benchmarks.help_pictures [CLDIS_Decode ...] [--output comfyui_cldis/web/docs/images]

One JPEG for each node, from the bundled model and its sample heads, with the nodes' defaults where
nothing else is shown; a few minutes on a CPU, most of them for CLDIS_TrackContent. Needs numba.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from comfyui_cldis.datasets.heads import render_heads, sample_factors
from comfyui_cldis.editing.framing import Box
from comfyui_cldis.editing.original import frame_original
from comfyui_cldis.imaging.sheet import Row, contact_sheet
from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS
from comfyui_cldis.nodes.model_files import BUNDLED
from comfyui_cldis.nodes.sample_image import GROUP, GROUP_BOXES, SAMPLES

LIMIT_BYTES = 40_000  # a page of help is fetched each time it is opened
QUALITIES = range(90, 40, -3)
TILE, SMALL_TILE = 112, 80  # pixels
HEAD = SAMPLES[2]
MARK = (214, 60, 32)


def run(node_id: str, **given: Any) -> Any:
    """The outputs of one node, with the defaults of the inputs that are not given."""
    node = NODE_CLASS_MAPPINGS[node_id]
    types = node.INPUT_TYPES()
    inputs = types["required"] | types.get("optional", {})
    values = {name: spec[1]["default"] for name, spec in inputs.items() if "default" in spec[-1]}
    return node().execute(**values | given)


@cache
def model(dtype: str = "auto") -> Any:
    return run("CLDIS_LoadModel", model_name=BUNDLED, dtype=dtype)[0]


@cache
def head(sample: str = HEAD, batch_size: int = 1) -> Tensor:
    """(B, H, W, 3) in [0, 1]."""
    return run("CLDIS_SampleImage", sample=sample, batch_size=batch_size)[0]


@cache
def latent(sample: str = HEAD) -> Any:
    return run("CLDIS_Encode", model=model(), image=head(sample))[0]


def drawn(moved: Any, **settings: Any) -> Tensor:
    return run("CLDIS_Decode", model=model(), latent=moved, **settings)[0]


def moved(edits: str, sample: str = HEAD) -> Any:
    return run("CLDIS_EditSliders", model=model(), latent=latent(sample), edits=edits)[0]


def tiles(images: Tensor, side: int = TILE) -> Tensor:
    """ComfyUI's (B, H, W, 3) in [0, 1], whole and square on white, as (B, 3, side, side)."""
    made = []
    for pixels in (images * 255).round().to(torch.uint8).numpy():
        picture = Image.fromarray(pixels)
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        if max(picture.size) < side:
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
        square = Image.new("RGB", (side, side), (246, 245, 242))
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        made.append(torch.from_numpy(np.array(square)).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(made)


def sheet(rows: Sequence[tuple[str, Tensor]], heads: Sequence[str] = ()) -> Image.Image:
    return contact_sheet([Row(label, images) for label, images in rows], heads, scale=1)


def load_model() -> Image.Image:
    """The same edit with each number format."""
    columns = [head()]
    for dtype in ("fp32", "fp16", "bf16"):
        code = run("CLDIS_Encode", model=model(dtype), image=head())[0]
        edit = {"model": model(dtype), "latent": code, "edits": '{"hair colour": -1.2}'}
        code = run("CLDIS_EditSliders", **edit)[0]
        columns.append(run("CLDIS_Decode", model=model(dtype), latent=code, method="decoded")[0])
    row = tiles(torch.cat(columns))
    return sheet([("", row)], ["original", "auto, fp32", "fp16", "bf16"])


def encode() -> Image.Image:
    """A wide picture with a crop box, and what the model sees of it."""
    group = head(GROUP)
    left, top, width, height = GROUP_BOXES[2]
    marked = Image.fromarray((group[0] * 255).round().to(torch.uint8).numpy())
    ImageDraw.Draw(marked).rectangle(
        (left - 4, top - 4, left + width + 3, top + height + 3), outline=MARK, width=10
    )
    shown = torch.from_numpy(np.array(marked))[None] / 255
    pixels, size = group[0].permute(2, 0, 1), model().editable.networks.config.image_size
    seen = [
        frame_original(pixels, 3, size, resize, box)[0]
        for resize, box in (
            *((rule, None) for rule in ("crop", "pad", "stretch")),
            ("crop", Box(left, top, width, height)),
        )
    ]
    squares = (torch.cat(seen).permute(0, 2, 3, 1) + 1) / 2
    row = torch.cat([tiles(shown), tiles(squares)])
    return sheet([("", row)], ["1200 x 800", "crop", "pad", "stretch", "crop_x ... : the box"])


def edit_direction() -> Image.Image:
    amounts = (-2.0, -1.0, 0.0, 1.0, 2.0)
    rows = []
    for name in ("head turn", "hair colour", "light"):
        latents = [
            run(
                "CLDIS_EditDirection",
                model=model(),
                latent=latent(),
                direction=name,
                amount=amount,
            )[0]
            for amount in amounts
        ]
        rows.append((name, tiles(torch.cat([drawn(each) for each in latents]))))
    return sheet(rows, [f"{amount:+g}" if amount else "0" for amount in amounts])


def edit_sliders() -> Image.Image:
    edits = ("{}", '{"skin": 1}', '{"skin": 1, "hair colour": -1.5}')
    edits = (*edits, '{"skin": 1, "hair colour": -1.5, "head turn": -1.2}')
    row = tiles(torch.cat([drawn(moved(each)) for each in edits]))
    return sheet([("", row)], ["{}", "skin 1", "+ hair colour -1.5", "+ head turn -1.2"])


def decode() -> Image.Image:
    """Before and after, with each method and half the strength, half masked, and with a seed."""
    edited = moved('{"hair colour": -1.5, "light": 1}')
    mask = torch.zeros(1, 512, 512)
    mask[..., 256:] = 1
    pictures = {
        "before": head(),
        "tracked": drawn(edited, method="tracked"),
        "decoded": drawn(edited, method="decoded"),
        "strength 0.5": drawn(edited, strength=0.5),
        "mask: right half": drawn(edited, mask=mask),
        "noise: seed": drawn(edited, noise="seed", seed=3),
    }
    top, bottom = list(pictures)[:3], list(pictures)[3:]
    rows = [
        Row("", tiles(torch.cat([pictures[each] for each in names]), 176), tuple(names))
        for names in (top, bottom)
    ]
    return contact_sheet(rows, scale=1)


def traverse() -> Image.Image:
    """The node's own sheet."""
    given = {"model": model(), "latent": latent(SAMPLES[3]), "direction": "hair length"}
    image = run("CLDIS_Traverse", **given, from_amount=-2.0, to_amount=1.6, frames=5)[0]
    picture = Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy())
    picture.thumbnail((720, 720), Image.Resampling.LANCZOS)
    return picture


def model_info() -> Image.Image:
    """Each direction over its range: what the names stand for."""
    rows = []
    for direction in model().editable.directions:
        amounts = (direction.minimum, direction.maximum)
        row = [drawn(moved(f'{{"{direction.name}": {amount}}}')) for amount in amounts]
        label = f"{direction.name}\n{direction.minimum:+.1f} to {direction.maximum:+.1f}"
        rows.append((label, tiles(torch.cat(row), SMALL_TILE)))
    half = (len(rows) + 1) // 2
    left, right = (sheet(part, ["lowest", "highest"]) for part in (rows[:half], rows[half:]))
    both = Image.new("RGB", (left.width + right.width, left.height), left.getpixel((0, 0)))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def track_content() -> Image.Image:
    """The top of the node's sheet."""
    image = run("CLDIS_TrackContent", model=model(), directions="model")[0]
    picture = Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy())
    picture = picture.crop((0, 0, picture.width, min(picture.height, 447)))
    picture.thumbnail((820, 820), Image.Resampling.LANCZOS)
    return picture


def train() -> Image.Image:
    """Pictures such as the bundled model was trained on, and sliders that it found in them."""
    pictures = render_heads(sample_factors(5, 7), TILE)
    given = tiles(torch.from_numpy(pictures) / 255)
    rows = [("pictures in", given)]
    for name in ("skin", "hair length"):
        edits = [f'{{"{name}": {amount}}}' for amount in (-1.6, -0.8, 0, 0.8, 1.6)]
        row = torch.cat([drawn(moved(each, SAMPLES[3])) for each in edits])
        rows.append((f"slider out:\n{name}", tiles(row)))
    return sheet(rows)


def sample_image() -> Image.Image:
    """The eight heads, and the group."""
    heads = tiles(head(SAMPLES[0], len(SAMPLES)), 112)
    names = tuple(str(number) for number in range(1, len(SAMPLES) + 1))
    rows = [Row("", heads[:4], names[:4]), Row("", heads[4:], names[4:])]
    left = contact_sheet(rows, scale=1)
    group = Image.fromarray((head(GROUP)[0] * 255).round().to(torch.uint8).numpy())
    group.thumbnail((360, 240), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (left.width + group.width + 20, left.height), left.getpixel((0, 0)))
    both.paste(left, (0, 0))
    both.paste(group, (left.width, (left.height - group.height) // 2))
    return both


def load_preset() -> Image.Image:
    """One preset, multiplied by the amount."""
    preset = {"hair colour": -1.4, "skin": 0.9}
    amounts = (-0.5, 0.0, 0.5, 1.0)
    edits = [{name: each * amount for name, each in preset.items()} for amount in amounts]
    row = torch.cat([drawn(moved(json.dumps(each))) for each in edits])
    return sheet([("", tiles(row))], [f"amount {amount:g}" for amount in amounts])


def transfer_factors() -> Image.Image:
    reference = SAMPLES[6]
    given = {"model": model(), "latent": latent(), "reference": latent(reference)}
    names = ("skin", "hair colour", "skin, hair colour")
    changed = [run("CLDIS_TransferFactors", **given, factors=each)[0] for each in names]
    row = torch.cat([head(), head(reference), *(drawn(each) for each in changed)])
    return sheet([("", tiles(row))], ["latent", "reference", "skin", "hair colour", "both"])


def interpolate() -> Image.Image:
    rows = []
    for first, last in ((SAMPLES[3], SAMPLES[5]), (SAMPLES[6], SAMPLES[0])):
        given = {"latent_a": latent(first), "latent_b": latent(last)}
        frames = run("CLDIS_Interpolate", **given, frames=5)[0]
        rows.append(("", tiles(drawn(frames))))
    return sheet(rows, ["latent_a", "", "", "", "latent_b"])


def animate() -> Image.Image:
    """A short loop of two keyframes."""
    keyframes = [{"frame": 0, "edits": {}}, {"frame": 3, "edits": {"head turn": -1.2, "light": 1}}]
    given = {"model": model(), "latent": latent(), "keyframes": json.dumps(keyframes)}
    frames = run("CLDIS_Animate", **given, loop=True)[0]
    return sheet([("", tiles(frames))], [f"frame {number}" for number in range(len(frames))])


def sample() -> Image.Image:
    rows = []
    for truncation in (0.4, 0.7, 1.0):
        given = {"model": model(), "batch_size": 5, "truncation": truncation}
        rows.append((f"truncation {truncation:g}", tiles(run("CLDIS_Sample", **given)[1])))
    return sheet(rows)


def compare() -> Image.Image:
    after = drawn(moved('{"hair colour": -1.5}'))
    shown = [
        Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy())
        for layout in ("side by side", "split", "difference")
        for image in run("CLDIS_Compare", before=head(), after=after, layout=layout)
    ]
    side, gap = 170, 10
    widths = [round(each.width * side / each.height) for each in shown]
    both = Image.new("RGB", (sum(widths) + gap * 4, side + 2 * gap), (246, 245, 242))
    left = gap
    for picture, width in zip(shown, widths, strict=True):
        both.paste(picture.resize((width, side), Image.Resampling.LANCZOS), (left, gap))
        left += width + gap
    return both


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "CLDIS_LoadModel": load_model,
    "CLDIS_Encode": encode,
    "CLDIS_EditDirection": edit_direction,
    "CLDIS_EditSliders": edit_sliders,
    "CLDIS_Decode": decode,
    "CLDIS_Traverse": traverse,
    "CLDIS_ModelInfo": model_info,
    "CLDIS_TrackContent": track_content,
    "CLDIS_Train": train,
    "CLDIS_SampleImage": sample_image,
    "CLDIS_LoadPreset": load_preset,
    "CLDIS_TransferFactors": transfer_factors,
    "CLDIS_Interpolate": interpolate,
    "CLDIS_Animate": animate,
    "CLDIS_Sample": sample,
    "CLDIS_Compare": compare,
}


def as_jpeg(picture: Image.Image) -> bytes:
    """The picture in the best quality that keeps it below `LIMIT_BYTES`.

    Raises:
        ValueError: when none does.
    """
    for quality in QUALITIES:
        file = io.BytesIO()
        picture.convert("RGB").save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() < LIMIT_BYTES:
            return file.getvalue()
    raise ValueError(f"A picture of {picture.size} is too large for a page. Draw it smaller.")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="default: all")
    parser.add_argument("--output", type=Path, default=Path("comfyui_cldis/web/docs/images"))
    options = parser.parse_args()
    unknown = sorted({*options.nodes} - PICTURES.keys())
    if unknown:
        parser.error(f"there are no pictures of {unknown}; there are: {', '.join(PICTURES)}")
    options.output.mkdir(parents=True, exist_ok=True)
    for node_id in options.nodes or PICTURES:
        picture = PICTURES[node_id]()
        data = as_jpeg(picture)
        path = options.output / f"{node_id}.jpg"
        path.write_bytes(data)
        print(f"wrote {path} ({picture.width} x {picture.height}, {len(data)} bytes)", flush=True)


if __name__ == "__main__":
    main()
