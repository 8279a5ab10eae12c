"""Dropout, which draws from torch's own generators, depends on the step alone."""

import numpy as np
import pytest
import torch

from trainer.config.settings import load_preset
from trainer.training.batches import step_generator
from trainer.training.seeded import seeded
from trainer.training.trainer import Trainer

CONFIG = load_preset("tiny32").with_values(
    {
        "steps": 6,
        "batch_size": 4,
        "warmup_steps": 0,
        "loop.copilot_warmup_steps": 0,
        "model.decoder.dropout": 0.1,
        "feedback.usage_every_steps": 2,
    }
)


def open_trainer(**settings) -> Trainer:
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    return Trainer(CONFIG.with_values(settings), images)


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.networks.parameters()])


def test_with_dropout_resuming_equals_never_having_stopped():
    straight, stopped, resumed = open_trainer(), open_trainer(), open_trainer()
    torch.manual_seed(1)
    for _ in range(6):
        straight.train_step()
    torch.manual_seed(2)
    for _ in range(3):
        stopped.train_step()
    resumed.load(stopped.state())
    for _ in range(3):
        torch.rand(5)  # something else in the process that draws
        resumed.train_step()
    assert torch.equal(weights(straight), weights(resumed))
    assert straight.heard == resumed.heard


def test_dropout_differs_from_step_to_step_and_leaves_the_caller_its_state():
    trainer = open_trainer()
    masks: list[torch.Tensor] = []
    layer = next(m for m in trainer.networks.modules() if isinstance(m, torch.nn.Dropout) and m.p)
    layer.register_forward_hook(lambda module, given, made: masks.append(made == 0))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for _ in range(2):
        trainer.train_step()
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(masks[0], masks[1])


def test_every_part_of_a_batch_has_masks_of_its_own():
    trainer = open_trainer(accumulation_steps=2)
    masks: list[torch.Tensor] = []
    layer = next(m for m in trainer.networks.modules() if isinstance(m, torch.nn.Dropout) and m.p)
    layer.register_forward_hook(lambda module, given, made: masks.append(made == 0))
    trainer.train_step()
    first, second = masks
    assert not torch.equal(first, second)


@pytest.mark.parametrize("other", [(1, 2, 3, 5), (1, 2, 4, 4), (1, 3, 3, 4), (2, 2, 3, 4)])
def test_the_numbers_depend_on_seed_step_stream_and_part(other):
    def drawn(*numbers: int) -> torch.Tensor:
        with seeded(*numbers):
            return torch.rand(4)

    assert torch.equal(drawn(1, 2, 3, 4), drawn(1, 2, 3, 4))
    assert not torch.equal(drawn(1, 2, 3, 4), drawn(*other))


def test_an_error_leaves_the_caller_its_state_too():
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="wrong"), seeded(0, 0, 0, 0):
        torch.rand(1)
        raise ValueError("wrong")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_generator_of_the_draws_gives_other_numbers():
    """Masks must not follow the timesteps and noises of the step."""
    with seeded(0, 5, 0, 0):
        masks = torch.rand(4)
    assert not torch.equal(masks, torch.rand(4, generator=step_generator(0, 5)))


def test_a_new_run_leaves_the_generators_of_the_gpus_alone(monkeypatch):
    """A host such as ComfyUI draws from them too, and `torch.manual_seed` seeds them all."""
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeded"))
    before = torch.get_rng_state()
    first, second, other = open_trainer(), open_trainer(), open_trainer(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))
