"""How closely an imported model gives the results that the published code wrote down.

A file of reference arrays holds `x` (B, C, S, S) in [-1, 1] and any of what follows from it:

| array | follows from |
|---|---|
| `z_sem` (B, N) | `x`, encoded |
| `eps` | `x_t`, `t` (B,) and `z_sem`: one noise prediction |
| `x_T_ddim10` | `x` and `z_sem`, inverted in 10 steps |
| `recon_ddim10` | `x_T_ddim10` and `z_sem`, drawn in 10 steps |
| `edited_ddim10` | `x_T_ddim10` and `z_sem_edited`, drawn in 10 steps |

The number in a name is that of the steps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..diffusion.samplers import invert_to_noise, sample
from ..editing.editable import EditableModel
from ..editing.pipeline import denoiser_for

FORWARD_TOLERANCE = 1e-5  # of one pass through a network
DRAWN_TOLERANCE = 1e-4  # of an inversion or a sampling run
_INVERTED = re.compile(r"x_T_ddim(\d+)")
_DRAWN = re.compile(r"(recon|edited)_ddim(\d+)")


@dataclass(frozen=True)
class Parity:
    """How one array compares: its largest absolute error, and what is tolerated."""

    name: str
    error: float
    tolerance: float

    @property
    def is_within(self) -> bool:
        """Whether the error is tolerated; one that is no number is not."""
        return self.error <= self.tolerance


def read_references(path: Path) -> dict[str, Tensor]:
    """The arrays of a .safetensors file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Give a .safetensors file of arrays.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path.name} is no .safetensors file of arrays: {str(error).rstrip('.')}. Write it "
            "anew."
        ) from error


@torch.no_grad()
def compare(
    model: EditableModel,
    references: Mapping[str, Tensor],
    on_array: Callable[[str], object] = lambda _name: None,
) -> list[Parity]:
    """Every reference that the model has a result for, in the order of the table above.

    Args:
        on_array: called with the name of each before it is computed.

    Raises: ValueError for arrays that are missing, of another shape, or none that is known.
    """
    results: list[Parity] = []
    for name, tolerance, compute in _computations(model, references):
        on_array(name)
        result, expected = compute(), references[name]
        if result.shape != expected.shape:
            raise ValueError(
                f"'{name}' has shape {tuple(expected.shape)}, and the model gives "
                f"{tuple(result.shape)}. Compare it with the model that the arrays are from."
            )
        error = float((result.cpu() - expected.float()).abs().max())
        results.append(Parity(name, error, tolerance))
    if not results:
        raise ValueError(
            "None of the arrays is a result that is known. Give z_sem, eps, x_T_ddim10, "
            "recon_ddim10 or edited_ddim10, and what they follow from."
        )
    return results


Computation = tuple[str, float, Callable[[], Tensor]]


def _computations(model: EditableModel, references: Mapping[str, Tensor]) -> list[Computation]:
    device, schedule, config = model.networks.device, model.schedule, model.networks.config
    image = (config.in_channels, config.image_size, config.image_size)

    def given(name: str) -> Tensor:
        if name not in references:
            raise ValueError(
                f"The array '{name}' is missing. Add what the other arrays follow from."
            )
        tensor = references[name]
        shape = {"t": (), "z_sem": (config.latent_dim,), "z_sem_edited": (config.latent_dim,)}
        if tuple(tensor.shape[1:]) != shape.get(name, image):
            raise ValueError(
                f"'{name}' has shape {tuple(tensor.shape)}, which does not fit the model. Compare "
                "it with the model that the arrays are from."
            )
        return tensor.to(device)

    def encoded() -> Tensor:
        return model.networks.encode_semantic(given("x")).mu

    def predicted() -> Tensor:
        return model.networks.predict(given("x_t"), given("t"), given("z_sem"))

    def inverted(steps: int) -> Tensor:
        denoiser = denoiser_for(model, given("z_sem"), None)
        return invert_to_noise(denoiser, given("x"), schedule, num_steps=steps)

    def drawn(code: str, steps: int) -> Tensor:
        denoiser = denoiser_for(model, given(code), None)
        x_T = given(f"x_T_ddim{steps}")
        return sample(denoiser, x_T, schedule, sampler="ddim", num_steps=steps)

    found: list[Computation] = []
    if "z_sem" in references:
        found.append(("z_sem", FORWARD_TOLERANCE, encoded))
    if "eps" in references:
        found.append(("eps", FORWARD_TOLERANCE, predicted))
    for name in sorted(references):
        if match := _INVERTED.fullmatch(name):
            steps = int(match[1])
            found.append((name, DRAWN_TOLERANCE, lambda steps=steps: inverted(steps)))
    for name in sorted(references, reverse=True):
        if match := _DRAWN.fullmatch(name):
            code = {"recon": "z_sem", "edited": "z_sem_edited"}[match[1]]
            steps = int(match[2])
            compute = lambda code=code, steps=steps: drawn(code, steps)  # noqa: E731
            found.append((name, DRAWN_TOLERANCE, compute))
    return found
