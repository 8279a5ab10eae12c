"""Warnings that follow from the settings or the images alone, before a run starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..data import DataReport
from ..data.split import few_images_used
from .finding import Finding
from .history import Run

MOST_NATS = 8.0  # of one latent: it then distinguishes 1,000 values, more than an image shows
USUAL_NATS = (1, 2)  # of C per latent in the presets


def check_settings(config: Mapping[str, Any]) -> list[Finding]:
    """What is wrong with the settings of a run.

    Args:
        config: nested mapping as in config.json.
    """
    run = Run([], [], config)
    rules = (joint_capacity, capacity_out_of_reach, feedback_unheard, nothing_decoded)
    return [found for rule in rules if (found := rule(run))]


def few_images(data: DataReport) -> Finding | None:
    """Images that are too few to find sliders for others in."""
    text = few_images_used(data)
    return Finding("warning", "few_images", text) if text else None


def joint_capacity(run: Run) -> Finding | None:
    """Discrete groups that are granted more than the whole code at its least: KL cannot reach C.

    Needs the configuration alone, so it can be asked before a run.
    """
    low = run.setting("loop", "capacity_minimum")
    sizes = run.choices("objective", "discrete_sizes")
    if run.choice("objective", "name") != "joint" or low is None or not sizes:
        return None
    if run.choice("loop", "bottleneck") == "constant":  # C plays no part
        return None
    most = sum(math.log(size) for size in sizes)
    asked = run.setting("objective", "discrete_capacity")
    granted = most if asked is None else min(asked, most)
    if granted < low:
        return None
    text = (
        f"The discrete groups of objective joint may store {granted:.2f} nats, and "
        f"loop.capacity_minimum ({low:g}) leaves the other dimensions nothing when C is low. Set "
        f"loop.capacity_minimum above {granted:.2f}, or lower objective.discrete_capacity."
    )
    return Finding("warning", "joint_capacity", text)


def capacity_out_of_reach(run: Run) -> Finding | None:
    """A capacity that the latents cannot hold, so that the bottleneck never binds."""
    highest, latents = run.setting("loop", "capacity_maximum"), run.setting("model", "latent_dim")
    if highest is None or not latents or highest <= MOST_NATS * latents:
        return None
    if run.choice("loop", "bottleneck") == "constant":  # C plays no part
        return None
    few, many = (each * latents for each in USUAL_NATS)
    text = (
        f"loop.capacity_maximum is {highest:g} nats, and {latents:g} latents never hold more than "
        f"about {MOST_NATS:g} each, {MOST_NATS * latents:g} together, so nothing limits what is "
        f"stored and the sliders mix. Set it to {few:g} to {many:g}, as the presets do."
    )
    return Finding("warning", "capacity_out_of_reach", text)


def feedback_unheard(run: Run) -> Finding | None:
    """A share of the images decoded that is less than one, so that no gradient comes back."""
    share, batch = run.setting("feedback", "share"), run.setting("batch_size")
    is_heard = {*run.words("feedback", "parts")} & {"gradient", "second_decoder", "second_unet"}
    if share is None or not batch or not is_heard or run.is_on("loop", "copilot_only"):
        return None
    name, count = "batch_size", batch
    decoded = run.setting("adapt", "diffusion_items")  # of an adaptation; 0 is another finding
    if decoded and "gradient" in is_heard:  # of the images chosen only those that are decoded count
        name, count = "adapt.diffusion_items", decoded
    if share * count >= 1:
        return None
    text = (
        f"feedback.share is {share:g}, which is less than one image of {name} {count:g}, so "
        "the co-pilot hears nothing of the diffusion branch. Raise one of them."
    )
    return Finding("warning", "feedback_unheard", text)


def nothing_decoded(run: Run) -> Finding | None:
    """An adaptation with feedback from a decoder that no image goes through."""
    asked = {*run.words("feedback", "parts")} & {"gradient", "per_dimension"}
    if run.setting("adapt", "diffusion_items") != 0 or not asked:
        return None
    text = (
        "No image goes through the frozen decoder in training (adapt.diffusion_items is 0), so "
        "the loop is open whatever feedback.parts says. To close it, set adapt.diffusion_items to "
        "as many images of a batch as there is time for."
    )
    return Finding("note", "nothing_decoded", text)
