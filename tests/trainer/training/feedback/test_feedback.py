"""The feedback: what it passes to the co-pilot, and by how much."""

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.model import DiffusionAutoencoder
from trainer.config.feedback import FeedbackConfig
from trainer.config.settings import load_preset
from trainer.training.controller import posterior_kl_shape
from trainer.training.feedback import build_feedback, neutral
from trainer.training.feedback.gradient import Gradient, gradient_gain, scaled_gradient
from trainer.training.feedback.meter import measured_items, usage_passes
from trainer.training.feedback.per_dimension import kl_weights
from trainer.training.feedback.per_timestep import PerTimestep, last_timesteps
from trainer.training.feedback.second_decoder import OnePassUNet, PlainDecoder, SecondDecoder
from trainer.training.feedback.state import FeedbackState, observe_loss, observe_usage, signals
from trainer.training.feedback.usage import draw_usage, measure_losses, usage_of, used_share
from trainer.training.objectives import build_objective
from trainer.training.objectives.interface import ObjectiveDraws
from trainer.training.step import TrainingLosses, draw, evenly_chosen
from trainer.training.trainer import Trainer

from ...backbones import open_backbone, quick_config

TINY = load_preset("tiny32").with_values({"batch_size": 4})
SHAPE = posterior_kl_shape(NoiseSchedule(ScheduleConfig()))


@pytest.fixture
def networks():
    torch.manual_seed(0)
    made = DiffusionAutoencoder(TINY.model)
    with torch.no_grad():  # its last layers begin at 0, and pass no gradient
        for parameter in made.unet.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
    return made


def copilot_code(n=4, dims=8):
    mu = torch.randn(n, dims, requires_grad=True)
    draws = ObjectiveDraws(torch.randn(n, dims), torch.rand(n, dims))
    return build_objective(TINY.objective, dims, 10)(mu, torch.zeros(n, dims), draws)


def losses_of(networks, parts, gain=1.0, copilot_only=False):
    """Gradients of the co-pilot's encoder in one update, and the losses."""
    config = TINY.with_values({"feedback.parts": parts})
    torch.manual_seed(1)
    feedback = build_feedback(config)
    objective = build_objective(config.objective, config.model.latent_dim, 10)
    schedule = NoiseSchedule(config.schedule)
    step = TrainingLosses(networks, objective, feedback, schedule, config.loop)
    x0 = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    draws = draw(config, torch.Generator().manual_seed(3), networks.unet.num_skips)
    told = neutral(config.model.latent_dim, config.schedule.num_train_steps)
    told = told._replace(gain=torch.tensor(gain))
    networks.zero_grad()
    found = step(x0, draws, *torch.tensor([2.0, 5.0, 0.05]).unbind(), told, copilot_only)
    found.total.backward()
    gradient = networks.copilot.mu.weight.grad
    assert gradient is not None
    return gradient.clone(), found


def test_open_loop_passes_nothing_and_gradient_passes_its_gain(networks):
    alone, _ = losses_of(networks, [], copilot_only=True)
    open_loop, _ = losses_of(networks, [])
    assert torch.allclose(alone, open_loop, atol=1e-6)
    once, first = losses_of(networks, ["gradient"], gain=1.0)
    thrice, second = losses_of(networks, ["gradient"], gain=3.0)
    assert torch.equal(first.total, second.total)  # the gain is in the gradient alone
    assert float((once - open_loop).norm()) > 0
    # atol: the difference of two float32 gradients of size `open_loop`
    size = float(open_loop.abs().max())
    assert torch.allclose(thrice - open_loop, 3 * (once - open_loop), atol=1e-5 * size)
    silent, _ = losses_of(networks, ["gradient"], gain=0.0)
    assert torch.allclose(silent, open_loop, atol=1e-6 * size)


def test_gradient_gain_is_the_slope_of_the_likelihood():
    values, loss, change = 3072, 0.08, 1e-7
    likelihood = [values / 2 * math.log(each) for each in (loss - change, loss + change)]
    slope = (likelihood[1] - likelihood[0]) / (2 * change)
    assert gradient_gain(loss, values, 5) == pytest.approx(5 * slope, rel=1e-6)
    assert gradient_gain(0.0, values, 5) == 0.0


def test_scaled_gradient_keeps_the_value_exactly():
    x = torch.tensor([0.1, -3.7], requires_grad=True)
    y = scaled_gradient(x, torch.tensor(1e5))
    y.sum().backward()
    assert torch.equal(y.detach(), x.detach())
    assert x.grad is not None and x.grad.tolist() == [1e5, 1e5]


def test_chosen_items_decode_the_copilot():
    code, z, t = copilot_code(), torch.zeros(4, 8), torch.tensor([0, 300, 600, 999])
    chosen = evenly_chosen(4, 0.5)
    assert chosen.tolist() == [False, True, False, True]
    assert int(evenly_chosen(32, 0.3).sum()) == 9 and bool(evenly_chosen(5, 1.0).all())
    given = Gradient().condition(z, code, chosen, t, neutral(8, 1000))
    assert torch.equal(given[chosen], code.z[chosen]) and not given[~chosen].any()


def test_hidden_dimensions_are_at_the_prior_mean():
    code, z, t = copilot_code(), torch.ones(4, 8), torch.tensor([0, 300, 600, 999])
    told = neutral(8, 1000)._replace(last_timesteps=torch.tensor([999, 500, *[0] * 6]))
    given = PerTimestep().condition(z, code, torch.ones(4, dtype=torch.bool), t, told)
    assert (given != 0).sum(1).tolist() == [8, 2, 1, 1]
    rest = PerTimestep().condition(z, code, torch.zeros(4, dtype=torch.bool), t, told)
    assert torch.equal(rest, z)


def test_weak_dimensions_join_as_the_capacity_of_the_schedule_grows():
    last = last_timesteps([1.0, 4.0, 3.0, 0.0], SHAPE, 1000)
    assert last[1] == 999 and last[1] > last[2] > last[0] >= last[3]
    for t in range(0, 999, 37):
        kl = sum(each for each, end in zip([1.0, 4.0, 3.0], last, strict=False) if t <= end)
        assert kl <= max(4.0, 8.0 * float(SHAPE[999 - t - 1]) + 1e-6)
    assert last_timesteps([0.0, 0.0], SHAPE, 1000) == [999, 999]


def test_kl_weights_favour_what_the_decoder_uses():
    # rates 10, 40 and 160 nats per nat: usual 40, weights 2, 1, 1/2
    weights = kl_weights([10.0 - 0.5 + 0.5, 41.5, 167.5], [0.99, 1.0, 1.0], 0.5, 9.0)
    assert weights[0] > 1 > weights[2] and weights[1] == pytest.approx(1.0, abs=0.05)
    exact = kl_weights([9.5, 39.5, 159.5], [0.95, 0.95, 0.95], 0.5, 9.0)
    assert exact == pytest.approx([2.0, 1.0, 0.5])
    assert kl_weights([9.5, 39.5, 159.5], [0.95] * 3, 0.5, 1.5) == pytest.approx([1.5, 1, 1 / 1.5])
    assert kl_weights([9.5, 39.5, 1.0], [0.95, 0.95, 0.05], 0.5, 9.0)[2] == 1.0  # not live
    assert kl_weights([0.0, 0.0], [1.0, 2.0], 0.5, 2.0) == [1.0, 1.0]


def test_usage_is_what_a_dimension_saves_the_decoder(networks):
    """A U-Net whose output is replaced by a known function of the code."""
    schedule = NoiseSchedule(TINY.schedule)
    n, dims = 8, TINY.model.latent_dim
    x0 = torch.zeros(n, 3, 32, 32)
    codes = torch.zeros(n, dims)
    codes[:, 2] = torch.linspace(-2, 2, n)
    draws = draw_usage(n, (3, 32, 32), 1000, torch.Generator().manual_seed(0))
    targets = {}

    def predict(x_t, t, z, residual):
        target = schedule.target(x0, draws.eps, t)
        targets["error"] = 0.1 + (z[:, 2] - codes[:, 2]).abs()
        return target + targets["error"].view(-1, 1, 1, 1)

    networks.predict = predict
    sums = measure_losses(networks, schedule, x0, codes, 0, draws)
    usage = usage_of((sums / n).tolist(), 3072)
    assert [index for index, value in enumerate(usage) if value > 1e-3] == [2]
    assert usage[2] == pytest.approx(1536 * math.log(float(sums[2] / sums[-1])), rel=1e-6)
    # in two parts the same
    parts = [
        measure_losses(
            networks_of(networks, schedule, draws, codes, half),
            schedule,
            x0[half],
            codes,
            half.start,
            draws.part(half),
        )
        for half in (slice(0, 3), slice(3, 8))
    ]
    assert torch.allclose(parts[0] + parts[1], sums, rtol=1e-5)


def networks_of(networks, schedule, draws, codes, half):
    def predict(x_t, t, z, residual):
        target = schedule.target(torch.zeros_like(x_t), draws.eps[half], t)
        return target + (0.1 + (z[:, 2] - codes[half, 2]).abs()).view(-1, 1, 1, 1)

    networks.predict = predict
    return networks


def test_a_small_batch_has_two_images_that_borrow_from_each_other():
    places = {size: measured_items(size, size).tolist() for size in (1, 2, 3, 4, 5, 32)}
    assert places == {
        1: [0],
        2: [0, 1],
        3: [0, 2],
        4: [0, 3],
        5: [0, 4],
        32: [0, 4, 8, 12, 16, 20, 24, 28],
    }


def test_no_more_images_are_measured_than_decoded_but_two():
    places = {decoded: measured_items(32, decoded).tolist() for decoded in (1, 3, 8, 32)}
    assert places == {
        1: [0, 4],
        3: [0, 4, 8],
        8: [0, 4, 8, 12, 16, 20, 24, 28],
        32: [0, 4, 8, 12, 16, 20, 24, 28],
    }


@pytest.mark.parametrize("size", [1, 2, 8])
def test_passes_of_a_measurement_are_counted(size, monkeypatch):
    config = TINY.with_values({"batch_size": size, "feedback.usage_every_steps": 5})
    images = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    trainer = Trainer(config, images)
    done = {"encoder": 0, "decoder": 0}
    encode, predict = trainer.networks.encode_semantic, trainer.networks.predict

    def encoded(x):
        done["encoder"] += len(x)
        return encode(x)

    def predicted(x_t, *more):
        done["decoder"] += len(x_t)
        return predict(x_t, *more)

    monkeypatch.setattr(trainer.networks, "encode_semantic", encoded)
    monkeypatch.setattr(trainer.networks, "predict", predicted)
    trainer.meter.measure(lambda items: trainer.batch(0, items), 1)
    expected = usage_passes(config)
    assert done == pytest.approx({"encoder": 5 * expected.encoder, "decoder": 5 * expected.decoder})
    assert any(done.values()) is (size > 1)


@pytest.mark.parametrize(("size", "is_measured"), [(1, False), (2, True), (4, True)])
def test_a_measurement_of_a_small_batch_is_true_or_left_out(size, is_measured):
    """A decoder that hears the code would be said to use nothing of it otherwise."""
    images = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    trainer = Trainer(TINY.with_values({"batch_size": size}), images)
    with torch.no_grad():
        for parameter in trainer.networks.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    usage = trainer.meter.measure(lambda items: trainer.batch(0, items), 1)
    assert (usage is not None and any(usage)) is is_measured


def dropout_trainer() -> Trainer:
    """A run with much dropout, whose decoder ignores the code."""
    images = np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    trainer = Trainer(TINY.with_values({"model.decoder.dropout": 0.5}), images)
    with torch.no_grad():
        for name, parameter in trainer.networks.unet.named_parameters():
            if name.endswith("conv_out.weight") or name == "out.weight":  # no attention to it
                parameter += 0.05 * torch.randn(parameter.shape)
    return trainer


def test_a_decoder_that_ignores_the_code_uses_nothing_of_it_with_dropout_either():
    trainer = dropout_trainer()
    usage = trainer.meter.measure(lambda items: trainer.batch(0, items), 1)
    assert usage == pytest.approx([0.0] * TINY.model.latent_dim, abs=1e-3)


def test_a_measurement_leaves_every_layer_in_its_mode():
    trainer = dropout_trainer()
    trainer.networks.encoder.train(False)  # as one that is frozen would be
    before = [module.training for module in trainer.networks.modules()]
    trainer.meter.measure(lambda items: trainer.batch(0, items), 1)
    assert [module.training for module in trainer.networks.modules()] == before

    def fails(items: np.ndarray) -> torch.Tensor:
        raise OSError("the cache went away")

    with pytest.raises(OSError, match="went away"):
        trainer.meter.measure(fails, 1)
    assert [module.training for module in trainer.networks.modules()] == before


def test_used_share():
    assert used_share([5.0, 0.5, 0.0], [2.0, 1.0, 1.0]) == pytest.approx(2.5 / 4)
    assert used_share([0.0], [0.0]) == 0.0 and used_share([99.0], [3.0]) == 1.0


def test_second_decoder_is_trained_by_all_updates_and_heard_in_the_shared_ones(networks):
    feedback = SecondDecoder(PlainDecoder(TINY.model), copilot_updates=5)
    own = dict(feedback.named_parameters())
    first = networks.copilot.expand[0].weight
    assert not torch.equal(own["decoder.expand.0.weight"], first)  # drawn anew
    images = torch.zeros(4, 3, 32, 32)
    norms = []
    for is_shared in (False, True):
        code = copilot_code()
        feedback.zero_grad()
        chosen = evenly_chosen(4, 0.5)
        feedback.loss(code, images, chosen, neutral(8, 1000), is_shared).backward()
        assert own["decoder.expand.0.weight"].grad.norm() > 0
        heard = code.mu.grad
        norms.append(None if heard is None else heard.norm(dim=1).gt(0).tolist())
    assert norms == [None, [False, True, False, True]]


def test_second_unet_is_trained_and_heard_in_the_shared_updates():
    unet = OnePassUNet(TINY.model, last_timestep=999)
    with torch.no_grad():  # its last layers begin at 0, and pass no gradient
        for parameter in unet.parameters():
            parameter += 0.02 * torch.randn(parameter.shape)
    feedback = SecondDecoder(unet, copilot_updates=5, is_always_trained=False)
    images, chosen = torch.zeros(4, 3, 32, 32), evenly_chosen(4, 0.5)
    code = copilot_code()
    assert float(feedback.loss(code, images, chosen, neutral(8, 1000), is_shared=False)) == 0
    feedback.loss(code, images, chosen, neutral(8, 1000), is_shared=True).backward()
    assert all(parameter.grad is not None for parameter in unet.parameters())
    assert code.mu.grad.norm(dim=1).gt(0).tolist() == [False, True, False, True]


def test_controls_leave_the_first_weights_of_the_networks():
    images = np.zeros((8, 32, 32, 3), np.uint8)
    first, *others = (
        Trainer(TINY.with_values({"feedback.parts": parts}), images).networks.state_dict()
        for parts in ([], ["second_decoder"], ["second_unet"])
    )
    assert all(torch.equal(first[key], other[key]) for other in others for key in first)


def test_a_frozen_decoder_is_not_copied(tmp_path):
    with pytest.raises(ValueError, match=r"is frozen. Use second_decoder."):
        quick_config(open_backbone(tmp_path), **{"feedback.parts": ["second_unet"]})


def test_signals_follow_the_state():
    parts = ["gradient", "per_dimension", "per_timestep"]
    config = TINY.with_values(
        {"feedback.parts": parts, "feedback.warmup": 0.1, "loop.copilot_updates": 5}
    )
    fresh = signals(FeedbackState(), config, 1.0, SHAPE)
    assert float(fresh.gain) == 0 and fresh.kl_weights.tolist() == [1] * 8
    state = observe_loss(observe_loss(FeedbackState(), 0.2), 0.1)
    assert state.diffusion == pytest.approx(0.19)
    state = observe_usage(state, 0.5, [10.0, 40.0, 160.0], [1.0, 1.0, 1.0])
    state = observe_usage(state, 0.5, [20.0, 40.0, 160.0], [1.0, 3.0, 1.0])
    assert state.usage == (15.0, 40.0, 160.0) and state.kl == (1.0, 2.0, 1.0)
    half = signals(state, config, 0.05, SHAPE)
    assert float(half.gain) == pytest.approx(0.5 * gradient_gain(0.19, 3072, 5))
    assert half.kl_weights[0] > half.kl_weights[2] and half.last_timesteps[1] == 999
    control = config.with_values({"feedback.parts": ["second_decoder"]})
    assert float(signals(state, control, 1.0, SHAPE).gain) == 1.0
    assert FeedbackState(**asdict(state)) == state


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"parts": ("gradients",)}, "has 'gradients'. Use any of gradient, per_dimension"),
        ({"parts": ("per_timestep",)}, "without 'gradient'. Add 'gradient'"),
        (
            {"parts": ("gradient", "second_decoder")},
            "'gradient' and 'second_decoder', of which one",
        ),
        ({"parts": ("second_decoder", "second_unet")}, "Choose one of them"),
        ({"parts": ("gradient", "gradient")}, "Name each once"),
        ({"share": 0.0}, "feedback.share is 0.0"),
        ({"gain": -1.0}, "feedback.gain is -1.0"),
        ({"largest_weight": 0.5}, "feedback.largest_weight is 0.5"),
        ({"usage_every_steps": 0}, "feedback.usage_every_steps is 0"),
    ],
)
def test_wrong_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        FeedbackConfig(**values)


def test_parts_are_a_list_of_words():
    with pytest.raises(ValueError, match="Give a list of words"):
        TINY.with_values({"feedback.parts": "gradient"})
    assert TINY.with_values({"feedback.parts": []}).feedback.parts == ()
