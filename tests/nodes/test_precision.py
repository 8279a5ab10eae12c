"""How closely fp16 and bf16 follow fp32 through the nodes, on the bundled model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from comfyui_cldis.nodes import NODE_CLASS_MAPPINGS
from comfyui_cldis.nodes.model_files import BUNDLED
from comfyui_cldis.nodes.sample_image import SAMPLES

STEPS = 3
EDITS = '{"light": 1.5, "head turn": 1.0, "skin": 1.5}'


@dataclass(frozen=True)
class Tolerance:
    """Mean deviation from fp32: of the code, and of a picture in levels of 8 bits."""

    code: float
    picture: float


TOLERANCES = {"fp16": Tolerance(0.005, 0.25), "bf16": Tolerance(0.05, 1.0)}


def results(run: Any, dtype: str) -> dict[str, Tensor]:
    (model,) = NODE_CLASS_MAPPINGS["CLDIS_LoadModel"]().execute(model_name=BUNDLED, dtype=dtype)
    image = run("CLDIS_SampleImage", sample=SAMPLES[2])
    latent = run("CLDIS_Encode", model=model, image=image, inversion_steps=STEPS)
    edited = run("CLDIS_EditSliders", model=model, latent=latent, edits=EDITS)
    found = {"code": latent.z}
    for method in ("tracked", "decoded"):
        found[method] = run("CLDIS_Decode", model=model, latent=edited, steps=STEPS, method=method)
    return found


@pytest.fixture(scope="module")
def exact(run) -> dict[str, Tensor]:
    return results(run, "fp32")


@pytest.mark.parametrize("dtype", list(TOLERANCES))
def test_short_types_follow_fp32_within_the_stated_tolerance(run, exact, dtype) -> None:
    short = results(run, dtype)
    tolerance = TOLERANCES[dtype]
    assert all(each.dtype == torch.float32 for each in short.values())
    assert (short["code"] - exact["code"]).abs().mean() < tolerance.code
    for method in ("tracked", "decoded"):
        assert (short[method] - exact[method]).abs().mean() * 255 < tolerance.picture, method


def test_auto_is_fp32(run, exact) -> None:
    assert torch.equal(results(run, "auto")["tracked"], exact["tracked"])
