"""How close inversions and samplers come to a long run, on the demo model: for `benchmarks.speed`.

Heads that the model has not seen are encoded and inverted, drawn again as they are and with an
edit each. The reconstruction is compared with the image, the edit with that of the reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.precision import originals
from benchmarks.speed_cases import Way, demo, laid_out, prepared
from benchmarks.speed_solvers import PAIRS
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.framing import frame
from comfyui_cldis.editing.latent import Latent
from comfyui_cldis.editing.pipeline import denoiser_for, edit

REFERENCE = Way("reference", "ddim_2m", 250, 250)
AMOUNT = 1.5  # standard deviations of an edit
LEVELS = 255


@dataclass(frozen=True)
class Fidelity:
    """Errors of a way, root mean squares in levels of 255, each a mean over the images.

    Attributes:
        evaluations: of the network, for inversion and one decode.
        reconstruction: of the image drawn again, against the image.
        edit: of the edited image, against that of the reference.
    """

    way: Way
    evaluations: int
    reconstruction: float
    edit: float

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary."""
        return asdict(self)


class Judge:
    """Measures ways on the same images and edits; the reference is drawn when it is made.

    Args:
        count: of images; image k is edited along direction k of the model.
        device: that the networks are on.
        reference: the way that edits are compared with.
    """

    def __init__(self, count: int, device: str = "cpu", reference: Way = REFERENCE) -> None:
        self._models: dict[str, EditableModel] = {}
        self._device = device
        model = self._model(reference)
        size = model.networks.config.image_size
        pixels = originals(count)
        self._images = frame(pixels * 2 - 1, size, "crop")[0].to(device)
        with torch.no_grad():
            self._codes = model.networks.encode_semantic(self._images).mu
        names = [direction.name for direction in model.directions]
        edits = [{names[index % len(names)]: AMOUNT} for index in range(count)]
        self._edited_codes = edit(model, Latent(self._codes), edits).z
        self._expected = self._draw(reference)[1]

    def measure(self, way: Way) -> Fidelity:
        """The errors of a way."""
        again, edited, evaluations = self._draw(way)
        return Fidelity(
            way, evaluations, _error(again, self._images), _error(edited, self._expected)
        )

    @torch.inference_mode()
    def _draw(self, way: Way) -> tuple[Tensor, Tensor, int]:
        """The images drawn again and edited, (B, C, S, S) each, and the network's evaluations."""
        model = self._model(way)
        images = laid_out(self._images, way)
        pair, calls = PAIRS[way.pair], 0
        denoiser = denoiser_for(model, self._codes, None)

        def counted(x_t: Tensor, t: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return denoiser(x_t, t)

        x_T = pair.invert(counted, images, model.schedule, way.inversion_steps)
        again = pair.draw(counted, x_T, model.schedule, way.steps)
        of_edit = denoiser_for(model, self._edited_codes, None)
        edited = pair.draw(of_edit, x_T, model.schedule, way.steps)
        return again, edited, calls

    def _model(self, way: Way) -> EditableModel:
        if way.dtype not in self._models:
            self._models[way.dtype] = demo()
        return prepared(self._models[way.dtype], way, self._device)


def _error(images: Tensor, expected: Tensor) -> float:
    """Root mean square of each image in levels of 255, their mean."""
    difference = (images.clamp(-1, 1) - expected.clamp(-1, 1)) * (LEVELS / 2)
    return float(difference.square().flatten(1).mean(1).sqrt().mean())


def fewest_steps(found: Iterable[Fidelity], goal: Fidelity) -> Fidelity | None:
    """The one with the fewest evaluations whose errors are both at most those of `goal`."""
    enough = [
        each
        for each in found
        if each.reconstruction <= goal.reconstruction and each.edit <= goal.edit
    ]
    return min(enough, key=lambda each: each.evaluations, default=None)
