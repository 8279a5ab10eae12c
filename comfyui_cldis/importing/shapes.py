"""The architecture of a Diff-AE from nothing but the names and shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ..checkpoint.differences import Shape
from ..model.diffae import DiffAEConfig, LatentNetConfig

PUBLISHED_BLOCKS = 2  # residual blocks per level of every published encoder
HEADS = "one attention head, heads within queries, keys and values"


@dataclass(frozen=True)
class _Stage:
    """What the shapes say of one stage.

    Attributes:
        width: channels that come out of its first residual block; 0 without one.
        has_skip: whether that block changes the number of channels.
        has_attention: whether there is attention in it.
        halves, doubles: whether a convolution halves, or anything doubles, the size at its end.
        doubles_in_block: whether that is a residual block.
    """

    width: int
    has_skip: bool
    has_attention: bool
    halves: bool
    doubles: bool
    doubles_in_block: bool


class _Levels(NamedTuple):
    """Widths of the levels of a path, blocks per level, and the levels that have attention."""

    widths: tuple[int, ...]
    num_blocks: int
    attention: tuple[int, ...]


def config_from_shapes(
    shapes: Mapping[str, Shape], noise: Shape
) -> tuple[DiffAEConfig, tuple[str, ...]]:
    """The networks without their latent diffusion model, and what shapes do not say, in words.

    Args:
        noise: (n, C, S, S), which alone tells the size of images.

    Raises:
        ValueError: shapes that no such network has, or that fit several.
        KeyError: a weight is missing.
    """
    if len(noise) != 4 or noise[2] != noise[3]:
        raise ValueError("Neither settings nor the noise 'x_T' say how large its images are")
    size = noise[-1]
    down = list(_stages(shapes, "input_blocks."))[1:]
    up = list(_stages(shapes, "output_blocks."))
    encoder = list(_stages(shapes, "encoder.input_blocks."))[1:]
    plain = any(stage is None or stage.halves for stage in down)
    if plain:
        num_levels = 1 + sum(stage is None or stage.halves for stage in down)
    else:
        num_levels = 1 + sum(stage is not None and stage.doubles for stage in up)
    up_levels = _up(up, num_levels)
    down_levels = _down(down, num_levels, plain)
    encoder_levels = _of_encoder(encoder, plain, down_levels.num_blocks)
    same_widths = down_levels.widths == up_levels.widths
    same_blocks = down_levels.num_blocks == up_levels.num_blocks
    attention = {*up_levels.attention, *down_levels.attention}
    config = DiffAEConfig(
        image_size=size,
        in_channels=shapes["input_blocks.0.0.weight"][1],
        latent_dim=shapes["encoder.out.3.weight"][0],
        base_channels=shapes["time_embed.time_embed.0.weight"][1],
        embed_dim=shapes["time_embed.time_embed.0.weight"][0],
        widths=up_levels.widths,
        input_widths=() if same_widths else down_levels.widths,
        num_res_blocks=up_levels.num_blocks,
        num_input_res_blocks=0 if same_blocks else down_levels.num_blocks,
        attention_sizes=tuple(size >> level for level in sorted(attention)),
        has_resampling_blocks=not plain,
        has_resampling_convolutions=not plain or any(s is not None and s.halves for s in down),
        encoder_widths=encoder_levels.widths,
        encoder_num_res_blocks=encoder_levels.num_blocks,
        encoder_attention_sizes=tuple(size >> level for level in encoder_levels.attention),
    )
    return config, (HEADS,)


def latent_net_from_shapes(shapes: Mapping[str, Shape]) -> LatentNetConfig | None:
    """The latent diffusion model, if there is one, as its published runs were set up.

    Raises: KeyError for a weight that is missing.
    """
    prefix = "latent_net.layers."
    found = re.compile(re.escape(prefix) + r"(\d+)\.linear\.weight")
    inputs = {int(m[1]): shapes[m[0]][1] for name in shapes if (m := found.fullmatch(name))}
    if not inputs:
        return None
    latent_dim = shapes[f"{prefix}{max(inputs)}.linear.weight"][0]
    hidden_dim = shapes[f"{prefix}0.linear.weight"][0]
    time = re.compile(r"latent_net\.time_embed\.\d+\.weight")
    return LatentNetConfig(
        num_layers=len(inputs),
        hidden_dim=hidden_dim,
        skip_layers=tuple(
            index
            for index, width in sorted(inputs.items())
            if width == (hidden_dim if index else latent_dim) + latent_dim
        ),
        time_channels=shapes["latent_net.time_embed.0.weight"][1],
        num_time_layers=sum(time.fullmatch(name) is not None for name in shapes),
        has_norm=f"{prefix}0.norm.weight" in shapes,
        betas="const0.008",
    )


def _stages(shapes: Mapping[str, Shape], prefix: str) -> Iterator[_Stage | None]:
    """The stages of a path in order; None for one without weights, which only pools."""
    groups: dict[int, dict[str, Shape]] = {}
    for name, shape in shapes.items():
        if name.startswith(prefix):
            index, _, rest = name.removeprefix(prefix).partition(".")
            groups.setdefault(int(index), {})[rest] = shape
    if len(groups) > 10_000 or max(groups, default=-1) > 10_000:
        raise ValueError("It has more than 10000 stages")
    for index in range(max(groups, default=-1) + 1):
        group = groups.get(index)
        if group is None:
            yield None
            continue
        in_block = any(re.fullmatch(r"[12]\.in_layers\.2\.weight", name) for name in group)
        in_conv = any(re.fullmatch(r"[12]\.conv\.weight", name) for name in group)
        yield _Stage(
            width=group.get("0.in_layers.2.weight", (0,))[0],
            has_skip="0.skip_connection.weight" in group,
            has_attention="1.qkv.weight" in group,
            halves="0.op.weight" in group,
            doubles=in_block or in_conv,
            doubles_in_block=in_block,
        )


def _up(stages: list[_Stage | None], num_levels: int) -> _Levels:
    """Levels of the up path, the largest images first."""
    blocks, left = divmod(len(stages), num_levels)
    if left or blocks < 2 or any(stage is None for stage in stages):
        raise ValueError(f"Its up path has {len(stages)} stages for {num_levels} levels")
    return _shared(stages[::-1], num_levels, blocks, blocks - 1)


def _down(stages: list[_Stage | None], num_levels: int, plain: bool) -> _Levels:
    """Levels of the down path, without the stages that change the size."""
    blocks, left = divmod(len(stages) - (num_levels - 1), num_levels)
    if left or blocks < 1:
        raise ValueError(f"Its down path has {len(stages)} stages for {num_levels} levels")
    kept = [stage for index, stage in enumerate(stages) if index % (blocks + 1) != blocks]
    return _shared(kept, num_levels, blocks, blocks)


def _shared(
    stages: list[_Stage | None], num_levels: int, per_level: int, num_blocks: int
) -> _Levels:
    """Levels of as many stages each, of which all or none have attention."""
    widths, attention = [], []
    for level in range(num_levels):
        some = stages[level * per_level : (level + 1) * per_level]
        found = {(each.width, each.has_attention) if each else (0, False) for each in some}
        if len(found) != 1:
            raise ValueError(f"The stages of level {level} are not alike")
        ((width, has_attention),) = found
        widths.append(width)
        if has_attention:
            attention.append(level)
    return _Levels(tuple(widths), num_blocks, tuple(attention))


def _of_encoder(stages: list[_Stage | None], plain: bool, guess: int) -> _Levels:
    """Levels of the encoder.

    A residual block that halves the size looks like any other, so several divisions into levels
    may fit; then that with as many blocks as published encoders or the U-Net have is taken.
    """
    fits: dict[int, _Levels] = {}
    for blocks in range(1, len(stages) + 1):
        num_levels, left = divmod(len(stages) + 1, blocks + 1)
        if left or num_levels < 1:
            continue
        between = stages[blocks :: blocks + 1]
        if plain and not all(stage is None or stage.halves for stage in between):
            continue
        if any(stage and (stage.has_skip or stage.has_attention) for stage in between):
            continue
        try:
            fits[blocks] = _down(stages, num_levels, plain)
        except ValueError:
            continue
    if len(fits) == 1:
        return next(iter(fits.values()))
    for blocks in (PUBLISHED_BLOCKS, guess):
        if blocks in fits:
            return fits[blocks]
    raise ValueError("The levels of its encoder cannot be told from the shapes of its weights")
