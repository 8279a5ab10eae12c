"""Images that show how a run is doing: reconstructions, and traversals of the strongest latents.

The images that are moved are typical ones on which much of it can be seen (`choose_bases`).

While only the co-pilot is trained they are the co-pilot's own, which cost next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from comfyui_cldis.atomic_write import replacing
from comfyui_cldis.diffusion.samplers import MEASURING_SAMPLER
from comfyui_cldis.directions.naming import describe_change, describe_ends
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import decode, encode, preview
from comfyui_cldis.imaging.sheet import BACKGROUND, Row, contact_sheet

from ..assemble import measure_statistics
from ..data.evenly import evenly
from ..monitor.run_log import SAMPLES_NAME
from ..training.batches import to_tensor

if TYPE_CHECKING:
    from ..training.trainer import Trainer

NUM_COLUMNS = 8
NUM_ROWS = 8
NUM_BASES = 2
AMOUNTS = (-2.0, -1.0, 1.0, 2.0)  # standard deviations; 0 is the reconstruction, drawn already
NUM_STEPS = 6  # inverted x_T still gives 34 dB on the demo model, ten steps 36
STATISTICS_IMAGES = 256
NUM_AT_ONCE = 8  # codes per base image in one batch, which bounds the memory
SMALLEST_SHARE = 0.05  # of the strongest effect: latents below are idle and get no row
SHOWY_SHARE = 0.5  # of the images, those that the latents change most, may be moved
WORST_SHARE = 0.1  # of the images, those that are drawn worst, are never moved
WORST_FACTOR = 3.0  # nor are those with so many times the median error
COLOUR_GRID = 4  # two images are compared by their mean colours on so many squares a side

Draw = Callable[[Tensor], Tensor]  # codes (K, M, N), M for each base image -> (K, M, C, S, S)


class Strip(NamedTuple):
    """A named image of a sheet."""

    name: str
    image: Image.Image


class MovedLatent(NamedTuple):
    """The one latent that a slider moves, and which way: 1 up, -1 down."""

    axis: int
    sign: int


def write_samples(
    trainer: Trainer, folder: Path, directions: Sequence[Direction] = ()
) -> list[Strip]:
    """Draw the samples of a run's present state and save them as samples/step_000000.png.

    Args:
        directions: of the exported model; the traversals then show them, in their order and by
            their names, instead of ranking the latents anew.

    Returns:
        "reconstruction" and "traversals", for those who show them apart.
    """
    strips = draw_samples(trainer, directions=directions)
    path = folder / SAMPLES_NAME / f"step_{trainer.step:06d}.png"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        stack([strip.image for strip in strips]).save(temporary, "PNG")
    return strips


@torch.no_grad()
def draw_samples(
    trainer: Trainer, num_steps: int = NUM_STEPS, directions: Sequence[Direction] = ()
) -> list[Strip]:
    """Reconstructions and traversals by the averaged networks.

    Args:
        num_steps: DDIM steps of inversion and decoding.
        directions: as in `write_samples`.
    """
    networks = trainer.averaged
    shown = trainer.images if trainer.held_out is None else trainer.held_out
    images = to_tensor(shown[evenly(len(shown), NUM_COLUMNS)])  # the pipeline moves them
    if trainer.step <= trainer.config.copilot_warmup_steps:
        return copilot_samples(trainer, images)
    some, codes = evenly(len(trainer.images), STATISTICS_IMAGES), trainer.wide_codes
    statistics, _ = measure_statistics(
        networks, trainer.images[some], None if codes is None else codes[some]
    )
    model = EditableModel(networks, trainer.schedule, statistics, ())
    latent = encode(model, images, inversion=MEASURING_SAMPLER, inversion_steps=num_steps)
    inverted = decode(model, latent, sampler=MEASURING_SAMPLER, num_steps=num_steps)
    code = replace(latent, residual=None)  # as where the quality is measured
    redrawn = decode(model, code, sampler=MEASURING_SAMPLER, num_steps=num_steps, seed=0)
    rows = [
        Row("original", images),
        Row("random noise", redrawn),
        Row("inverted noise", inverted),
        Row("co-pilot", preview(model, latent)),
    ]
    draw_copilot = copilot_draw(networks, images.shape[-1])
    bases = choose_bases(latent.z, statistics.std, draw_copilot, images, redrawn)
    moving = Latent.cat([latent[index : index + 1] for index in bases])

    def draw(z: Tensor, steps: int) -> Tensor:
        moved = moving.repeat(z.shape[1]).with_z(z.flatten(0, 1))
        drawn = decode(model, moved, sampler=MEASURING_SAMPLER, num_steps=steps)
        return drawn.unflatten(0, z.shape[:2])

    found = [(each, moved) for each in directions if (moved := latent_of(each.vector)) is not None]
    named = {moved.axis: each for each, moved in found}
    signs = {moved.axis: moved.sign for _, moved in found}
    # one step from pure noise shows what a latent does at a tenth of the cost
    axes = list(named)[:NUM_ROWS] or rank_axes(moving.z, statistics.std, lambda z: draw(z, 1))
    traversals = traverse_rows(
        moving.z, statistics.std, axes, inverted[bases], lambda z: draw(z, num_steps), signs
    )
    return [
        Strip("reconstruction", contact_sheet(rows)),
        Strip("traversals", traversal_sheet(traversals, len(bases), named)),
    ]


def copilot_samples(trainer: Trainer, images: Tensor) -> list[Strip]:
    """The same of the co-pilot alone, by the mean of its own code."""
    networks = trainer.averaged
    copilot, device = networks.copilot, networks.device
    draw = copilot_draw(networks, images.shape[-1])
    many = to_tensor(trainer.images[evenly(len(trainer.images), STATISTICS_IMAGES)], device)

    def encode(batch: Tensor) -> Tensor:
        return trainer.objective.mean_code(copilot.encode(copilot.resize(batch)).mu).cpu()

    std, mu = encode(many).std(0), encode(images.to(device))
    drawn = draw(mu[:, None])[:, 0]
    bases = choose_bases(mu, std, draw, images, drawn)
    strongest = rank_axes(mu[bases], std, draw)
    rows = [Row("original", images), Row("co-pilot", drawn)]
    traversals = traverse_rows(mu[bases], std, strongest, drawn[bases], draw)
    return [
        Strip("reconstruction", contact_sheet(rows)),
        Strip("traversals", traversal_sheet(traversals, len(bases), {})),
    ]


def copilot_draw(networks: Any, size: int) -> Draw:
    """Drawing by the co-pilot, which is cheap, at `size` pixels."""

    def draw(z: Tensor) -> Tensor:
        drawn = networks.copilot.decode(z.flatten(0, 1).to(networks.device)).float()
        drawn = torch.nn.functional.interpolate(drawn, size=(size, size), mode="bilinear")
        return drawn.clamp(-1, 1).cpu().unflatten(0, z.shape[:2])

    return draw


def choose_bases(z: Tensor, std: Tensor, draw: Draw, images: Tensor, redrawn: Tensor) -> list[int]:
    """Indices of up to two images to move, without chance.

    An image that the model draws far worse than the others, such as a damaged one, shows nothing
    of it and is left out. On an image that is nearly black or white many changes do not show, so
    one half is left out, that which moving every latent from -1 to +1 sd changes least. Of the
    others: the one that changes most, and the one whose colours differ most from it.

    Args:
        z: codes of the images, (B, N).
        std: (N,).
        images: the images, (B, C, S, S) in [-1, 1].
        redrawn: the same, drawn from their codes alone.
    """
    errors = (redrawn - images).square().mean(dim=(1, 2, 3))  # (B,)
    effects = axis_effects(z, std, draw).mean(1)  # (B,)
    least = min(2, len(z))
    best = errors.argsort(stable=True)
    num_typical = len(z) - math.ceil(WORST_SHARE * len(z))
    num_typical = min(num_typical, int((errors <= WORST_FACTOR * errors.median()).sum()))
    typical = best[: max(least, num_typical)].sort().values
    kept = max(least, min(len(typical), math.ceil(SHOWY_SHARE * len(z))))
    candidates = typical[effects[typical].argsort(descending=True, stable=True)[:kept]]
    colours = torch.nn.functional.adaptive_avg_pool2d(images[candidates], COLOUR_GRID)
    distances = (colours - colours[0]).square().mean(dim=(1, 2, 3))
    farthest = int(distances.argmax())
    chosen = [0] if farthest == 0 else [0, farthest]
    return candidates[chosen].tolist()


def latent_of(vector: Any) -> MovedLatent | None:
    """The latent that a direction's vector moves; None when it moves several or is no vector."""
    if not isinstance(vector, list | tuple):
        return None
    moved = [index for index, value in enumerate(vector) if value]
    return MovedLatent(moved[0], 1 if vector[moved[0]] > 0 else -1) if len(moved) == 1 else None


def rank_axes(z: Tensor, std: Tensor, draw: Draw) -> list[int]:
    """Axes by mean absolute change of the image between -1 and +1 sd, strongest first.

    Idle axes are left out: those with less than a twentieth of the strongest effect.

    Args:
        z: codes of the base images, (K, N).
        std: (N,).
    """
    effect = axis_effects(z, std, draw).mean(0)
    order = effect.argsort(descending=True, stable=True).tolist()
    return [axis for axis in order[:NUM_ROWS] if effect[axis] >= SMALLEST_SHARE * effect.max()]


def axis_effects(z: Tensor, std: Tensor, draw: Draw) -> Tensor:
    """Mean absolute change of each image between -1 and +1 sd of each axis, (K, N)."""
    effects = []
    for shift in torch.diag(std).split(max(1, NUM_AT_ONCE // 2)):
        moved = z[:, None] + torch.cat([-shift, shift])  # (K, 2 * axes, N)
        low, high = draw(moved).chunk(2, dim=1)
        effects.append((high - low).abs().mean(dim=(2, 3, 4)))
    return torch.cat(effects, dim=1)


def traverse_rows(
    z: Tensor,
    std: Tensor,
    axes: list[int],
    centres: Tensor,
    draw: Draw,
    signs: Mapping[int, int] | None = None,
) -> list[Row]:
    """A row per axis: each base image at -2, -1, 0, +1, +2 sd, one base after the other.

    Args:
        z, std: as in `rank_axes`.
        centres: the base images themselves, (K, C, S, S).
        signs: -1 for axes whose rows run from +2 to -2 sd, as their sliders do; the others 1.
    """
    signs = signs or {}
    half = len(AMOUNTS) // 2
    rows = []
    for axis in axes:
        moved = z[:, None].repeat(1, len(AMOUNTS), 1)  # (K, amounts, N)
        moved[:, :, axis] += torch.tensor(AMOUNTS) * signs.get(axis, 1) * std[axis]
        drawn = draw(moved)
        line = torch.cat([drawn[:, :half], centres[:, None], drawn[:, half:]], dim=1)
        rows.append(Row(f"latent {axis}", line.flatten(0, 1)))
    return rows


def traversal_sheet(
    rows: Sequence[Row], num_bases: int, named: Mapping[int, Direction]
) -> Image.Image:
    """The rows with a line between the base images; labels say which slider, and what it does.

    Args:
        rows: of `traverse_rows`.
        named: the direction that moves a latent, where there is one.
    """
    half = len(AMOUNTS) // 2
    labelled = []
    for row in rows:
        axis = int(row.label.removeprefix("latent "))
        if axis in named:
            each = named[axis]
            ends = describe_ends(each.negative_label, each.positive_label)
            label = f"{each.name}\n{row.label}" + (f": {ends}" if ends else "")
        else:
            drawn = row.images.unflatten(0, (num_bases, -1))
            words = describe_change(drawn[:, half - 1], drawn[:, half + 1])  # -1 and +1 sd
            ends = describe_ends(words.negative, words.positive)
            label = f"{row.label}\n{ends}" if ends else row.label
        labelled.append(replace(row, label=label))
    return contact_sheet(labelled, column_labels(num_bases), group_size=len(AMOUNTS) + 1)


def column_labels(num_bases: int) -> list[str]:
    """Amounts above the columns of the traversals."""
    half = len(AMOUNTS) // 2
    amounts = [*AMOUNTS[:half], 0.0, *AMOUNTS[half:]]
    return [f"{amount:+g} sd" if amount else "0" for amount in amounts] * num_bases


def stack(drawn: list[Image.Image]) -> Image.Image:
    """The images one under another."""
    width = max(image.width for image in drawn)
    sheet = Image.new("RGB", (width, sum(image.height for image in drawn)), BACKGROUND)
    top = 0
    for image in drawn:
        sheet.paste(image, (0, top))
        top += image.height
    return sheet
