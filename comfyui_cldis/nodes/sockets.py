"""What travels between the nodes, and the inputs that several nodes share word for word."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..diffusion.noise import MAXIMUM_SEED
from ..diffusion.samplers import EDIT_SAMPLER, INVERSIONS, SAMPLERS
from ..editing.changes import METHODS
from ..editing.easing import EASINGS
from ..editing.editable import EditableModel
from ..editing.render import TrackedPreview

MODEL = "CLDIS_MODEL"  # carries a LoadedModel
LATENT = "CLDIS_LATENT"  # carries a Latent, its tensors on ComfyUI's intermediate device

CATEGORY = "CLDis"
CATEGORY_LOADERS = "CLDis/loaders"
CATEGORY_EDIT = "CLDis/edit"
CATEGORY_SAMPLING = "CLDis/sampling"

SIZES = ["original", "model"]
NOISES = ["inverted", "seed"]
MAXIMUM_STEPS = 1000  # the noise schedule has no more steps than this


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model on its way through the graph.

    Attributes:
        label: what the user chose in the loader; error messages call the model by it.
        editable: networks, schedule, statistics and directions.
        patcher: ComfyUI's handle for moving the networks between devices; None without ComfyUI.
        previews: what `live` draws edits with, by token, so that it goes when the model goes.
    """

    label: str
    editable: EditableModel
    patcher: Any | None = None
    previews: dict[str, TrackedPreview] = field(default_factory=dict, repr=False)


def model_input() -> tuple[str, dict[str, Any]]:
    return (MODEL, {"tooltip": "The model from CLDis Load Model."})


def latent_input(tooltip: str) -> tuple[str, dict[str, Any]]:
    return (LATENT, {"tooltip": tooltip})


def direction_input() -> tuple[str, dict[str, Any]]:
    tooltip = (
        "Name of a direction of the model. CLDis Model Info lists them; a wrong name stops the run "
        "with a message that lists them too."
    )
    return ("STRING", {"default": "", "tooltip": tooltip})


def sampler_input() -> tuple[list[str], dict[str, Any]]:
    tooltip = (
        "How noise becomes an image. ddim_2m and ddim retrace the inversion of the same name and "
        "reproduce the original most exactly; with seeded noise dpmpp_2m and unipc "
        "need fewer steps and show less grain."
    )
    return (list(SAMPLERS), {"default": EDIT_SAMPLER, "tooltip": tooltip})


def inversion_input() -> tuple[list[str], dict[str, Any]]:
    tooltip = (
        "How the noise is searched; choose the sampler of the same name in CLDis Decode Image. "
        "From 15 steps on ddim_2m has less error than ddim; up to 12 steps ddim has less."
    )
    return (list(INVERSIONS), {"default": EDIT_SAMPLER, "tooltip": tooltip})


def steps_input() -> tuple[str, dict[str, Any]]:
    tooltip = (
        "Passes of the decoder per image. More is slower and finer; with inverted noise, use "
        "about as many as in CLDis Encode Image."
    )
    return ("INT", {"default": 20, "min": 1, "max": MAXIMUM_STEPS, "step": 1, "tooltip": tooltip})


def noise_input() -> tuple[list[str], dict[str, Any]]:
    tooltip = (
        "inverted: the noise found by CLDis Encode Image, so the edit changes the image itself. "
        "seed: fresh noise, so the square is drawn anew and only the coded factors stay."
    )
    return (NOISES, {"default": "inverted", "tooltip": tooltip})


def seed_input() -> tuple[str, dict[str, Any]]:
    tooltip = (
        "Seed of the fresh noise; image b of a batch uses seed + b. With noise 'inverted' it "
        "does nothing."
    )
    return ("INT", {"default": 0, "min": 0, "max": MAXIMUM_SEED, "tooltip": tooltip})


def size_input(default: str) -> tuple[list[str], dict[str, Any]]:
    tooltip = (
        "original: the encoded image at its own size and sharpness, with the edit in it. model: "
        "the square that the model sees, at the model's size."
    )
    return (SIZES, {"default": default, "tooltip": tooltip})


def method_input() -> tuple[list[str], dict[str, Any]]:
    tooltip = (
        "How the edit gets into the image. tracked: motion and colour of a quick preview are "
        "carried over, at once. decoded: the diffusion decoder draws it. auto: tracked, and "
        "decoded where something appears or the model's previews are too coarse."
    )
    return (list(METHODS), {"default": METHODS[0], "tooltip": tooltip})


def easing_input() -> tuple[list[str], dict[str, Any]]:
    tooltip = "How the movement runs. linear: at one speed. smooth: it starts and ends slowly."
    return (list(EASINGS), {"default": EASINGS[0], "tooltip": tooltip})


def strength_input() -> tuple[str, dict[str, Any]]:
    tooltip = "Share of the edit; half of it moves things half as far. 0 is the original image."
    limits = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05}
    return ("FLOAT", {**limits, "tooltip": tooltip})


def mask_input() -> tuple[str, dict[str, Any]]:
    tooltip = (
        "Where the edit may act: 1 (white) fully, 0 (black) not at all. Soft edges blend. One for "
        "all images, or one for each."
    )
    return ("MASK", {"tooltip": tooltip})
