"""Checks of edits and latents, each with the sentence that a user needs."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from ..checkpoint.slider_names import PARKED
from ..editing.direction import as_number, find_slider
from ..editing.latent import Latent, are_of_one_model
from ..editing.verdict import why_none
from ..typed_json import read_json
from .sockets import LoadedModel

EXAMPLE = '{"name": 1.5}'

logger = logging.getLogger(__name__)


Amounts = dict[str, float]


def parse_edits(text: str) -> Amounts | list[Amounts]:
    """Reads the edits of CLDis Edit Sliders: a JSON object {direction: amount} for all images, or a
    list with one for each; empty text is no edit. "#direction" is passed over: so the sliders keep
    the amounts of directions that the model at hand lacks.

    Raises: ValueError for other text, a name given twice, or an amount that is not a finite number.
    """
    if not text.strip():
        return {}
    found = read_json(
        text,
        "edits",
        f"Write an object such as {EXAMPLE}.",
        lambda name: (
            f"Direction '{name}' stands twice in edits. Keep one amount for each direction."
        ),
    )
    if isinstance(found, list) and all(isinstance(each, dict) for each in found) and found:
        return [_amounts(each) for each in found]
    if not isinstance(found, dict):
        raise ValueError(
            f"edits is {_kind(found)}; expected a JSON object, or a list of one for each image. "
            f"Write it such as {EXAMPLE}."
        )
    return _amounts(found)


def _amounts(found: dict[str, Any]) -> Amounts:
    # Those passed over are checked too: what is not finite could not be sent to the browser.
    amounts = {name: finite_amount(name, amount) for name, amount in found.items()}
    return {name: amount for name, amount in amounts.items() if not name.startswith(PARKED)}


def for_each(
    edits: Amounts | list[Amounts], function: Callable[[Amounts], Amounts]
) -> Amounts | list[Amounts]:
    """`function` of the edits of all images, or of those of each."""
    return function(edits) if isinstance(edits, dict) else [function(each) for each in edits]


def accepted(value: Any, read: Callable[[str], Any]) -> bool | str:
    """What a node's VALIDATE_INPUTS says of a text: True, or the sentence with which `read`
    refuses it. None is a linked value, which is known only when the graph runs.
    """
    if value is None:
        return True
    try:
        read(str(value))
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return True


def finite_amount(name: str, amount: Any) -> float:
    """The amount as a float; ValueError by the direction's name when it is no finite number."""
    number = as_number(amount)
    if number is None:
        raise ValueError(
            f"The amount of direction '{name}' is {_kind(amount)}; expected a number of standard "
            f"deviations. Write it such as {EXAMPLE}."
        )
    if not math.isfinite(number):
        raise ValueError(
            f"The amount of direction '{name}' is {number}; expected a finite number of standard "
            "deviations. Use 0 for no change."
        )
    return number


def limited_amount(model: LoadedModel, name: str, amount: float) -> float:
    """The amount, or the farthest that a known direction can be moved.

    Logged is which of the two, and an amount beyond the range that was seen in training.
    """
    direction = model.editable.direction(name)
    limited = direction.limited(amount)
    if note := direction.beyond_range(amount):
        logger.log(logging.INFO if limited == amount else logging.WARNING, "CL-Dis: %s", note)
    return limited


def limited_amounts(model: LoadedModel, amounts: Mapping[str, float]) -> Amounts:
    """Amounts as they are applied, see `limited_amount`; ValueError as of `check_directions`."""
    check_directions(model, amounts)
    return {name: limited_amount(model, name, amount) for name, amount in amounts.items()}


def check_directions(model: LoadedModel, names: Mapping[str, Any] | tuple[str, ...]) -> None:
    """Raises ValueError naming the first direction that the model lacks, and those it has."""
    directions, why = model.editable.directions, why_none(model.editable)
    for name in names:
        find_slider(directions, name, f"'{model.label}'", why)


def check_latent(model: LoadedModel, latent: Latent) -> None:
    """Raises ValueError when the latent cannot come from this model."""
    config = model.editable.networks.config
    num_scalars = latent.z.shape[-1]
    if num_scalars != config.latent_dim:
        raise ValueError(
            f"The latent has {num_scalars} scalars per image and {model.label} works with "
            f"{config.latent_dim}. Encode the image with the same model."
        )
    expected = (config.in_channels, config.image_size, config.image_size)
    if latent.x_T is not None and tuple(latent.x_T.shape[1:]) != expected:
        raise ValueError(
            f"The latent's noise has shape {tuple(latent.x_T.shape[1:])} and {model.label} works "
            f"with {expected}. Encode the image with the same model."
        )
    if not are_of_one_model(latent.fingerprint, model.editable.fingerprint):
        raise ValueError(
            f"The latent comes from another model than {model.label}. Encode the image with the "
            "same model."
        )


def check_noise(latent: Latent, noise: str) -> None:
    """Raises ValueError when inverted noise is wanted and the latent has no way to it."""
    if noise == "inverted" and latent.x_T is None and not latent.sources:
        raise ValueError(
            "The latent has neither inverted noise nor its images to find it from. Set noise to "
            "'seed', or connect a latent that comes from CLDis Encode Image."
        )


def check_sizes(latent: Latent, size: str) -> None:
    """Raises ValueError when images of several sizes would have to make one batch."""
    sizes = {(source.pixels.shape[2], source.pixels.shape[1]) for source in latent.sources}
    sizes |= set() if latent.sources else {(o.width, o.height) for o in latent.origins}
    if size == "original" and len(sizes) > 1:
        found = ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
        raise ValueError(
            f"The images of this batch have different sizes ({found}), so they do not fit into one "
            "batch. Set size to 'model', or decode them separately."
        )


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value, default=repr)
