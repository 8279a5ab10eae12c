"""The interaction penalty against numbers worked out by hand, and in a run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainer.config.settings import load_preset
from trainer.training.interaction import interaction
from trainer.training.trainer import Trainer

CONFIG = replace(load_preset("tiny32"), batch_size=4, accumulation_steps=1, steps=10).with_values(
    {"loop.copilot_warmup_steps": 1, "model.latent_dim": 6}
)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)


def penalty(decode, z: torch.Tensor, exchanged: list, variance: float = 1.0) -> torch.Tensor:
    mask = torch.tensor(exchanged)
    return interaction(decode, z, decode(z), mask, torch.tensor(variance))


def product(z: torch.Tensor) -> torch.Tensor:
    """Images of one channel and 1 x 2 values: the product of both dimensions, and their sum."""
    return torch.stack([z[:, 0] * z[:, 1], z[:, 0] + z[:, 1]], 1)[:, None, None]


def test_a_product_pays_what_is_worked_out_by_hand():
    """Codes (1, 2) and (3, 5) become (3, 2) and (1, 5): 2 + 15 - 6 - 5 = 6, half of 36."""
    z = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert penalty(product, z, [[True, False], [False, False]]).item() == 18.0
    assert penalty(product, z, [[False, True], [False, False]]).item() == 18.0
    assert penalty(product, z, [[True, False], [False, False]], variance=4.0).item() == 4.5


@pytest.mark.parametrize("exchanged", [[True, True], [False, False]])
def test_exchanging_all_or_nothing_costs_nothing(exchanged):
    z = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    assert penalty(product, z, [exchanged, exchanged]).item() == 0.0


def test_a_sum_over_dimensions_pays_nothing():
    torch.manual_seed(0)
    z, weights = torch.randn(8, 3), torch.randn(3, 12)
    exchanged = torch.rand(8, 3) < 0.5

    def decode(z: torch.Tensor) -> torch.Tensor:
        return (torch.sin(3 * z) @ weights).reshape(-1, 3, 2, 2)

    assert interaction(decode, z, decode(z), exchanged, torch.tensor(1.0)).item() < 1e-10


def test_angle_and_radius_pay_more_than_factors_on_axes():
    """The same images, of a hue and a size, from both codes; the hues cover a circle."""
    torch.manual_seed(0)
    angle, size = 6.2832 * torch.rand(512), 1 + torch.rand(512)

    def draw(angle: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
        bright = torch.stack([angle.cos(), angle.sin()], 1)
        return torch.cat([bright, 2 * size[:, None]], 1)[:, :, None, None]

    def of_axes(z: torch.Tensor) -> torch.Tensor:
        return draw(z[:, 0], z[:, 1])

    def of_polar(z: torch.Tensor) -> torch.Tensor:
        return draw(torch.atan2(z[:, 1], z[:, 0]), z.norm(dim=1))

    exchanged = torch.rand(512, 2) < 0.5
    axes = torch.stack([angle, size], 1)
    polar = torch.stack([angle.cos() * size, angle.sin() * size], 1)
    torch.testing.assert_close(of_axes(axes), of_polar(polar))
    one = torch.tensor(1.0)
    assert interaction(of_axes, axes, of_axes(axes), exchanged, one).item() < 1e-9
    assert interaction(of_polar, polar, of_polar(polar), exchanged, one).item() > 0.05


def test_the_last_of_an_odd_batch_is_left_out():
    z = torch.tensor([[1.0, 2.0], [3.0, 5.0], [7.0, 11.0]])
    rows = [[True, False]] * 3
    assert penalty(product, z, rows).item() == penalty(product, z[:2], rows[:2]).item()


def test_the_gradient_reaches_code_and_decoder_but_not_the_variance():
    z = torch.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    gain, variance = torch.ones(1, requires_grad=True), torch.ones((), requires_grad=True)

    def decode(z: torch.Tensor) -> torch.Tensor:
        return gain * product(z)

    exchanged = torch.tensor([[True, False], [True, False]])
    interaction(decode, z, decode(z), exchanged, variance).backward()
    assert gain.grad is not None and gain.grad.item() == 36.0  # d/dg of g^2 18
    # (z_a1 - z_b1)(z_a2 - z_b2) = 6, half of the square: 6 (z_a2 - z_b2) by z_a1
    assert z.grad is not None and z.grad.tolist() == [[-18.0, -12.0], [18.0, 12.0]]
    assert variance.grad is None


def train(images: np.ndarray, num_steps: int, **values) -> tuple[Trainer, list]:
    trainer = Trainer(CONFIG.with_values({f"objective.{k}": v for k, v in values.items()}), images)
    return trainer, [trainer.train_step() for _ in range(num_steps)]


def flat(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.networks.parameters()])


def test_a_run_pays_it_in_proportion_to_its_weight(images):
    """The first step is of the same weights and draws."""
    _, without = train(images, 1)
    _, once = train(images, 1, interaction_weight=0.1)
    _, twice = train(images, 1, interaction_weight=0.2)
    assert without[0].penalty == 0.0
    assert once[0].penalty > 0.0
    assert twice[0].penalty == pytest.approx(2 * once[0].penalty, rel=1e-5)
    assert once[0].reconstruction == without[0].reconstruction


def test_a_run_measures_it_in_units_of_the_reconstruction_error(images, monkeypatch):
    """The variance that the likelihood of the same step tells: 3072 / 2 (ln 2 pi s^2 + 1)."""
    given = []

    def note(decode, z, image, exchanged, variance):
        torch.testing.assert_close(decode(z), image)
        assert exchanged.shape == z.shape and exchanged.dtype == torch.bool
        given.append(variance.item())
        return torch.tensor(5.0)

    monkeypatch.setattr("trainer.training.step.interaction", note)
    _, (losses,) = train(images, 1, interaction_weight=0.1)
    variance = math.exp(2 * losses.reconstruction / 3072 - 1) / (2 * math.pi)
    assert losses.penalty == pytest.approx(0.5) and given[-1] == pytest.approx(variance, rel=1e-4)


def test_a_run_with_it_resumes_as_if_it_had_never_stopped(images, tmp_path):
    straight, _ = train(images, 5, interaction_weight=0.1)
    stopped, _ = train(images, 3, interaction_weight=0.1)
    torch.save(stopped.state(), tmp_path / "state.pt")
    resumed, _ = train(images, 0, interaction_weight=0.1)
    resumed.load(torch.load(tmp_path / "state.pt", weights_only=True))
    resumed.train_step()
    resumed.train_step()
    assert torch.equal(flat(straight), flat(resumed))


def test_it_is_paid_where_only_the_copilot_is_trained_and_beside_another_penalty(images):
    alone = CONFIG.with_values({"loop.copilot_only": True, "objective.interaction_weight": 0.1})
    assert Trainer(alone, images).train_step().penalty > 0.0
    _, entropy = train(images, 1, vne_weight=1.0)
    _, both = train(images, 1, vne_weight=1.0, interaction_weight=0.1)
    assert both[0].penalty > entropy[0].penalty
