"""Quality figures of directions, on images whose figures are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import comfyui_cldis.directions.quality as quality_module
from comfyui_cldis.directions.quality import drawn_latent, measure_direction, monotone_share
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.editing.facts import DirectionQuality
from comfyui_cldis.editing.latent import Latent


def measured(monkeypatch: pytest.MonkeyPatch, model: EditableModel, draw: Any) -> Any:
    """Direction 0 (along code 1) of a model that draws `draw(code 1 in sd, item)`."""
    std = model.statistics.std[1]

    def decode(_: EditableModel, latent: Latent, *, sampler: str, num_steps: int) -> Tensor:
        return torch.stack([draw(float(z[1] / std), float(z[0])) for z in latent.z])

    monkeypatch.setattr(quality_module, "decode", decode)
    latent = Latent(torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0]]))
    return measure_direction(model, latent, model.directions[0])


def test_an_even_brightening(tiny_model: EditableModel, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(monkeypatch, tiny_model, lambda at, item: torch.full((3, 64, 64), at / 4))
    assert found.effect == pytest.approx(0.5, abs=1e-5)  # from -1/4 to 1/4
    assert found.quality == DirectionQuality(monotone=1, balance=1, consistency=1)
    assert found.words == ("brightness whole", "darker", "brighter")
    assert found.thumbnails.shape == (3, 48, 48, 3)
    levels = [int(each.float().mean()) for each in found.thumbnails]
    assert levels == [64, 128, 191]  # 127.5 (1 + v), rounded, for v = -1/2, 0, 1/2


def test_figures_of_an_uneven_direction(
    tiny_model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(at: float, item: float) -> Tensor:
        """Item 0 gets brighter, three times as much above 0; item 1 darker, less so at 2."""
        if item == 0:
            return torch.full((3, 8, 8), at / 10 * (3 if at > 0 else 1))
        return torch.full((3, 8, 8), {2.0: -0.1}.get(round(at, 2), -at / 5))

    found = measured(monkeypatch, tiny_model, draw)
    assert found.quality.monotone == 0.5
    assert found.quality.consistency == pytest.approx(-1)
    # to the negative side: 0.2 and 0.4; to the positive side: 0.6 and 0.1
    assert found.quality.balance == pytest.approx(0.3 / 0.35, abs=1e-4)


def test_amounts_stay_within_the_safe_range(
    tiny_model: EditableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    narrow = replace(tiny_model.directions[0], minimum=-0.6, maximum=1.2)
    model = replace(tiny_model, directions=(narrow, tiny_model.directions[1]))

    def draw(at: float, item: float) -> Tensor:
        seen.append(round(at, 4))
        return torch.full((1, 16, 16), at / 4)

    found = measured(monkeypatch, model, draw)
    assert seen[:5] == [-0.6, -0.6, 0.0, 1.0, 1.2]
    assert found.quality.monotone == 1  # though two of the amounts are one
    assert found.thumbnails.shape == (3, 16, 16, 3)


def test_monotone_share_by_hand() -> None:
    paths = torch.tensor([[0.0, 1.0, 2.0], [0.0, 3.0, 2.0], [0.0, -1.0, -2.0], [0.0, 0.0, 0.0]])
    images = paths[:, :, None, None, None].expand(-1, -1, 1, 2, 2)
    assert monotone_share(images) == 0.5  # the first and the third; standing still is not rising


def test_drawn_codes_are_those_of_the_statistics(tiny_model: EditableModel) -> None:
    latent, again = drawn_latent(tiny_model, 3), drawn_latent(tiny_model, 2)
    assert torch.equal(latent.z[:2], again.z)
    statistics = tiny_model.statistics
    assert bool(((latent.z >= statistics.low) & (latent.z <= statistics.high)).all())
    assert latent.x_T is not None and latent.x_T.shape == (3, 3, 32, 32)
    assert latent.residual is not None and latent.residual.shape == (3, 3)
    assert float(latent.z.std(0).min()) > 0
