"""How good an edit is at the size of the original, for each way of getting it there.

    python -m benchmarks.lifting [--heads N] [--sizes 256,512] [--picture FILE]
    python -m benchmarks.lifting --model MODEL --photographs FOLDER [--picture FILE]
    python -m benchmarks.lifting --times

The first form knows the truth: the renderer draws the same head with one factor changed, and the
slider is moved as far as the codes of both drawings say. It prints PSNR and SSIM against the truth
for each factor and method, and inside and outside of the region that changes, in Markdown.
The second has no truth: it prints what is lost of the originals' detail where nothing changes, how
sharp what changes is, and how much of the edit is found when the result is encoded again.
The third prints milliseconds of `TrackedPreview.draw`, and seconds and memory of an edit of 12
megapixels.

Methods. enlarged: the diffusion decoder's square enlarged, without the original. looser noise: the
same, with the noise map 30 % of the way to another. in place: previews, colours alone. tracked,
decoded, auto: as `render` has them. refined: tracked at the model's size, encoded again, decoded
with the moved code, and lifted. DIS: tracked with OpenCV's flow. truth: tracked between small
drawings of the truth itself.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.fidelity import Fidelity, fidelity
from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from comfyui_cldis.datasets.heads.factors import FACTORS, sample_factors
from comfyui_cldis.datasets.heads.generator import render_heads
from comfyui_cldis.diffusion.noise import gaussian_noise
from comfyui_cldis.editing.changes import tracked_changes
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.framing import Origin, resize
from comfyui_cldis.editing.latent import Latent, slerp
from comfyui_cldis.editing.original import frame_original
from comfyui_cldis.editing.pipeline import decode, edit, encode, preview
from comfyui_cldis.editing.render import TrackedPreview, render
from comfyui_cldis.editing.transfer import amounts_between
from comfyui_cldis.imaging.reading import read_image
from comfyui_cldis.imaging.sheet import Row, contact_sheet
from comfyui_cldis.imaging.tensors import image_pixels
from comfyui_cldis.lifting import Change, Region, apply_change, fill, find_change, find_difference
from comfyui_cldis.lifting import change as changes
from comfyui_cldis.metrics.detail import detail_kept

SEED = 777
STEPS = 20
# Factor, how far it is changed, and the slider that should do it.
EDITS = (
    ("skin", 0.4, "skin"),
    ("light", 0.5, "light"),
    ("hair_color", 0.4, "hair colour"),
    ("mouth", 0.5, "mouth"),
    ("face_width", 0.5, "face width"),
    ("yaw", 0.15, "head turn"),
    ("yaw", 0.4, "head turn"),
    ("hair_length", 0.4, "hair length"),
    ("background", 0.3, "background"),
    ("fringe", 0.4, "fringe"),
)
CHANGED = 0.06  # of [0, 1]: what differs by more counts as changed, with REACH of the side around
REACH = 0.03
TILE, ROWS = 192, 6  # pixels of an image on a sheet of photographs, and its rows
FIGURES = (  # as `Fidelity` has them
    "PSNR, dB",
    "SSIM",
    "PSNR inside, dB",
    "PSNR outside, dB",
    "SSIM inside",
    "SSIM outside",
)
SHOWN = ("original", "truth", "enlarged", "in place", "tracked", "decoded", "auto")

Method = Callable[[EditableModel, Latent, Latent], list[Tensor]]


def enlarged(model: EditableModel, latent: Latent, moved: Latent) -> list[Tensor]:
    """What was given before there was anything else: the square, enlarged to the original."""
    drawn = decode(model, moved, num_steps=STEPS)
    size = moved.sources[0].pixels.shape[1:]
    return list((resize(drawn, *size) + 1) / 2)


def loosened(model: EditableModel, latent: Latent, moved: Latent) -> list[Tensor]:
    """The same from noise that has gone 30 % of the way to another."""
    assert moved.x_T is not None
    other = gaussian_noise(moved.x_T.shape, seed=0)
    return enlarged(model, latent, replace(moved, x_T=slerp(moved.x_T, other, 0.3)))


def in_place(model: EditableModel, latent: Latent, moved: Latent) -> list[Tensor]:
    found = find_difference(preview(model, latent), preview(model, moved)).without_added()
    return applied(found, moved)


def with_dis(model: EditableModel, latent: Latent, moved: Latent) -> list[Tensor]:
    ours = changes.follow
    changes.follow = dis_follow
    try:
        return applied(tracked_changes(model, moved), moved)
    finally:
        changes.follow = ours


def dis_follow(frames: Tensor) -> tuple[Tensor, Tensor]:
    """`flow.follow` with OpenCV's DIS on enlarged grey images, as good as it gets there."""
    cv2: Any = importlib.import_module("cv2")
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    side = frames.shape[-1]

    def grey(image: Tensor) -> np.ndarray:
        levels = ((image.permute(1, 2, 0).numpy() + 1) * 127.5).clip(0, 255).astype(np.uint8)
        large = cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY)
        return cv2.resize(large, (256, 256), interpolation=cv2.INTER_CUBIC)

    def find(after: Tensor, before: Tensor) -> Tensor:
        found = finder.calc(grey(after), grey(before), None)
        small = cv2.resize(found, (side, side), interpolation=cv2.INTER_LINEAR) * (side / 256)
        return torch.from_numpy(small).permute(2, 0, 1)

    whole = torch.stack([find(item[-1], item[0]) for item in frames])
    steps = [
        torch.stack([find(b, a) for a, b in zip(item[:-1], item[1:], strict=True)])
        for item in frames
    ]
    return whole, torch.stack(steps)


def refined(model: EditableModel, latent: Latent, moved: Latent) -> list[Tensor]:
    small = torch.stack(render(model, moved, method="tracked", size="model")) * 2 - 1
    again = encode(model, small, inversion_steps=STEPS)
    drawn = decode(model, again.with_z(moved.z), num_steps=STEPS)
    found = fill(find_difference(small, drawn), small, drawn)
    return applied(found, moved, render(model, moved, method="tracked"))


def rendered(method: str) -> Method:
    def draw(model: EditableModel, latent: Latent, moved: Latent) -> list[Tensor]:
        return render(model, moved, method=method, num_steps=STEPS)

    return draw


METHODS: dict[str, Method] = {
    "enlarged": enlarged,
    "looser noise": loosened,
    "in place": in_place,
    "tracked": rendered("tracked"),
    "DIS": with_dis,
    "refined": refined,
    "decoded": rendered("decoded"),
    "auto": rendered("auto"),
}


def applied(found: Change, moved: Latent, images: Sequence[Tensor] = ()) -> list[Tensor]:
    results = []
    for index, source in enumerate(moved.sources):
        image = images[index] if images else source.pixels
        region = Region(0, 0, image.shape[2], image.shape[1])
        results.append(apply_change(image, found.item(index), region))
    return results


def as_floats(images: Sequence[Tensor]) -> Tensor:
    """(n, C, H, W) in [0, 1]."""
    floats = [image / 255 if image.dtype == torch.uint8 else image for image in images]
    return torch.stack(floats).clamp(0, 1)


def changed_region(first: Tensor, second: Tensor) -> Tensor:
    """(n, 1, H, W) of 0 and 1: where two images differ, and a little around."""
    differs = ((first - second).abs().amax(1, keepdim=True) > CHANGED).float()
    reach = max(1, round(REACH * first.shape[-1]))
    return torch.nn.functional.max_pool2d(differs, 2 * reach + 1, stride=1, padding=reach)


def encoded(
    model: EditableModel, originals: Sequence[Tensor], inversion_steps: int = STEPS
) -> Latent:
    config = model.networks.config
    framed = [
        frame_original(pixels, config.in_channels, config.image_size, "crop")
        for pixels in originals
    ]
    return encode(
        model,
        torch.cat([square for square, _ in framed]),
        inversion_steps=inversion_steps,
        origins=tuple(origin for _, origin in framed),
        originals=tuple(originals),
    )


def moved_towards(model: EditableModel, latent: Latent, wanted: Latent, slider: str) -> Latent:
    """The latent moved along one slider to where `wanted` lies on it, items one by one.

    The difference is shared out among all the sliders, of which one is moved.
    """
    index = [each.name for each in model.directions].index(slider)
    amounts = amounts_between(model, latent, wanted)[:, index]
    return edit(model, latent, [{slider: amount} for amount in amounts.tolist()])


def heads(model: EditableModel, count: int, size: int, shown: dict[str, list[Tensor]]) -> None:
    """Prints the tables of one size; keeps images of it to be shown."""
    rows = sample_factors(count, SEED)
    originals = pixels_of(render_heads(rows, size, 2))
    latent = encoded(model, originals)
    names = [factor.name for factor in FACTORS]
    table: dict[str, list[Fidelity]] = {name: [] for name in [*METHODS, "truth"]}
    seconds = dict.fromkeys(METHODS, 0.0)
    for factor, by, slider in EDITS:
        column = names.index(factor)
        changed, top = rows.copy(), FACTORS[column].maximum
        changed[:, column] += np.where(rows[:, column] + by <= top, by, -by)
        truths = pixels_of(render_heads(changed, size, 2))
        truth, before = as_floats(truths), as_floats(originals)
        wanted = encoded(model, truths)
        moved = moved_towards(model, latent, wanted, slider)
        region = changed_region(truth, before)
        drawn: dict[str, Tensor] = {}
        for name, method in METHODS.items():
            began = time.perf_counter()
            drawn[name] = as_floats(method(model, latent, moved))
            seconds[name] += time.perf_counter() - began
        drawn["truth"] = as_floats(applied(truth_change(model, latent, wanted), moved))
        for name, images in drawn.items():
            table[name].append(fidelity(images, truth, region))
        if factor in ("skin", "hair_color", "face_width", "hair_length") or by == 0.15:
            drawn |= {"original": before, "truth": truth}
            row = torch.stack([drawn[name][0] for name in SHOWN]) * 2 - 1
            shown.setdefault(f"{slider}\n{size} pixels", []).append(row)
    heading = " | ".join(f"{factor} {by:g}" for factor, by, _ in EDITS)
    for index, figure in enumerate(FIGURES):
        print(f"\n{figure}, {count} heads, 64 -> {size} pixels\n")
        print(f"| method | {heading} | mean of 8 | mean |\n|---|{'---|' * (len(EDITS) + 2)}")
        for name, figures in table.items():
            values = [each[index] for each in figures]
            values += [float(np.mean(values[:8])), float(np.mean(values))]
            form = "{:.1f}" if "dB" in figure else "{:.3f}"
            print(f"| {name} | {' | '.join(form.format(value) for value in values)} |")
    per_image = 1000 / (count * len(EDITS))
    times = ", ".join(f"{name} {spent * per_image:.0f}" for name, spent in seconds.items())
    print(f"\nMilliseconds for an image of {size} pixels (batch of {count}): {times}")


def truth_change(model: EditableModel, before: Latent, after: Latent) -> Change:
    """Tracked between the truth's own small drawings: what lifting itself loses."""
    size, channels = model.networks.config.image_size, model.networks.config.in_channels
    small = [
        torch.cat([frame_original(s.pixels, channels, size, "crop")[0] for s in latent.sources])
        for latent in (before, after)
    ]
    return find_change(torch.stack(small, dim=1))


def pixels_of(images: np.ndarray) -> list[Tensor]:
    return list(torch.from_numpy(images).permute(0, 3, 1, 2))


def photographs(model: EditableModel, folder: Path, count: int) -> list[Row]:
    """Prints a table of the strongest directions at 70 % of their ranges, and gives a sheet."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    chosen = [paths[round(at)] for at in np.linspace(0, len(paths) - 1, count)]
    originals = [central_square(image_pixels(read_image(path, 3).image)[0]) for path in chosen]
    latent = encoded(model, originals)
    kinds = ("enlarged", "tracked", "decoded", "auto")
    kept: dict[str, list[Tensor]] = {name: [] for name in kinds}
    sharp: dict[str, list[Tensor]] = {name: [] for name in kinds}
    arrived: dict[str, list[Tensor]] = {name: [] for name in kinds}
    rows = []
    for direction in model.directions[:6]:
        for amount in (0.7 * direction.minimum, 0.7 * direction.maximum):
            moved = edit(model, latent, {direction.name: amount})
            drawn = {name: METHODS[name](model, latent, moved) for name in kinds}
            for index, original in enumerate(originals):
                before = as_floats([original])
                images = {name: as_floats([drawn[name][index]]) for name in kinds}
                region = changed_region(images["decoded"], before)
                wanted = moved.z[index] - latent.z[index]
                for name, image in images.items():
                    for shares, weights in ((kept, 1 - region), (sharp, region)):
                        share = detail_kept(image.numpy(), before.numpy(), weights.numpy())
                        shares[name].append(torch.from_numpy(share))
                    found = encoded(model, [(image[0] * 255).round().to(torch.uint8)], 0).z[0]
                    step = found - latent.z[index]
                    arrived[name].append((step @ wanted / wanted.square().sum())[None])
            tiles = [as_floats([originals[0]]), *(as_floats(drawn[name][:1]) for name in kinds)]
            side = min(TILE, tiles[0].shape[-1])
            shown = resize(torch.cat(tiles), side, side) * 2 - 1
            rows.append(Row(f"{direction.name} {amount:+.1f}", shown))
    print(f"{model.name}, {count} images, the six strongest directions at 70 % of their ranges\n")
    print("| method | detail kept outside | detail inside, of the original's | edit found again |")
    print("|---|---|---|---|")
    for name in kinds:
        means = (float(torch.cat(each[name]).nanmean()) for each in (kept, sharp, arrived))
        print(f"| {name} | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    return rows


def central_square(pixels: Tensor) -> Tensor:
    square = Origin(pixels.shape[1], pixels.shape[2], "crop").square
    rows = pixels[:, square.top : square.top + square.height]
    return rows[:, :, square.left : square.left + square.width].contiguous()


def times(model: EditableModel) -> None:
    """Prints how long previews and a large edit take, the median of several."""
    head = pixels_of(render_heads(sample_factors(1, SEED), 512))[0]
    print("| side | skin | head turn |\n|---|---|---|")
    for side in (512, 1024, 2048):
        live = TrackedPreview(model, encoded(model, [resized(head, side, side)]))
        spent = []
        for name in ("skin", "head turn"):
            live.draw({name: 1.0})
            spans = []
            for step in range(9):
                began = time.perf_counter()
                live.draw({name: 0.5 + step / 10})
                spans.append(time.perf_counter() - began)
            spent.append(f"{1000 * float(np.median(spans)):.0f} ms")
        print(f"| {side} | {' | '.join(spent)} |")
    photograph = torch.zeros(3, 3000, 4000, dtype=torch.uint8)
    photograph[:, :, 500:3500] = resized(head, 3000, 3000)
    latent = encoded(model, [photograph])
    for name in ("skin", "head turn"):
        moved = edit(model, latent, {name: 1.0})
        for method in ("tracked", "auto"):
            began = time.perf_counter()
            render(model, moved, method=method)
            print(f"4000 x 3000, {name}, {method}: {time.perf_counter() - began:.2f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"memory of the whole process at most: {peak} MiB")


def resized(pixels: Tensor, height: int, width: int) -> Tensor:
    large = resize(pixels[None].float(), height, width)[0]
    return large.round().clamp(0, 255).to(torch.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", type=int, default=12, metavar="N")
    parser.add_argument("--sizes", default="256,512")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--photographs", type=Path, metavar="FOLDER")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    options = parser.parse_args()
    model = load_checkpoint(options.model or demo_model_path())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, seed {SEED}")
    if options.times:
        times(model)
        return
    if options.photographs:
        rows = photographs(model, options.photographs, 8)[:ROWS]
        columns = ("original", "enlarged", "tracked", "decoded", "auto")
    else:
        shown: dict[str, list[Tensor]] = {}
        for size in map(int, options.sizes.split(",")):
            heads(model, options.heads, size, shown)
        smallest = f"{options.sizes.split(',')[0]} pixels"
        rows = [
            Row(label.split("\n")[0], images[0])
            for label, images in shown.items()
            if label.endswith(smallest)
        ]
        columns = SHOWN
    if options.picture:
        sheet: Image.Image = contact_sheet(rows, columns, scale=1)
        sheet.save(options.picture, optimize=True, quality=88)
        print(f"\nwrote {options.picture} ({sheet.width} x {sheet.height})")


if __name__ == "__main__":
    main()
