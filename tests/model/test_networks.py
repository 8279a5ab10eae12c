"""Shapes, the null condition, batch independence and refusals of the networks."""

from dataclasses import replace

import pytest
import torch

from comfyui_cldis.model import CopilotConfig, DecoderConfig, DiffusionAutoencoder, EncoderConfig
from comfyui_cldis.model.config import ModelConfig


def small(**changes) -> ModelConfig:
    decoder = DecoderConfig(
        base_channels=16,
        channel_mults=(1, 2),
        attention_sizes=changes.pop("attention_sizes", (8,)),
        embed_dim=32,
        token_dim=8,
        conditioner=changes.pop("conditioner", "tokens"),
    )
    values = {
        "image_size": 32,
        "latent_dim": 5,
        "patch_size": 2,
        "encoder": EncoderConfig(base_channels=8, channel_mults=(1, 2), hidden_dim=16),
        "decoder": decoder,
        "copilot": CopilotConfig(image_size=16, base_channels=4, hidden_dim=16),
        **changes,
    }
    return ModelConfig(**values)


def build(config: ModelConfig) -> DiffusionAutoencoder:
    torch.manual_seed(0)
    networks = DiffusionAutoencoder(config)
    for parameter in networks.parameters():  # zero-initialised layers would hide mistakes
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return networks.train(False)


@pytest.mark.parametrize("conditioner", ["adagn", "tokens"])
@pytest.mark.parametrize("patch_size", [1, 2])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("residual_dim", [0, 6])
def test_shapes(conditioner, patch_size, channels, residual_dim):
    config = small(
        conditioner=conditioner,
        patch_size=patch_size,
        in_channels=channels,
        residual_dim=residual_dim,
        attention_sizes=(16, 8),
    )
    networks = build(config)
    x = torch.rand(2, channels, 32, 32) * 2 - 1
    posterior = networks.encode_semantic(x)
    assert posterior.mu.shape == posterior.logvar.shape == (2, 5)
    assert (posterior.residual is None) == (residual_dim == 0)
    t = torch.tensor([0, 999])
    out = networks.predict(x, t, posterior.mu, posterior.residual)
    assert out.shape == x.shape and out.dtype == torch.float32
    small_x = networks.copilot.resize(x)
    assert small_x.shape[-1] == 16
    mu, logvar = networks.copilot.encode(small_x)
    assert networks.copilot.decode(mu).shape == (2, channels, 16, 16)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_all_image_sizes_run(size):
    networks = build(small(image_size=size, patch_size=2, attention_sizes=(size // 4,)))
    x, t = torch.zeros(1, 3, size, size), torch.tensor([5])
    drawn = networks.predict(x, t, torch.zeros(1, 5))
    assert drawn.shape == x.shape
    assert not torch.equal(networks.predict(x, t, torch.ones(1, 5)), drawn)  # the code is heard


def test_a_code_that_the_decoder_would_not_hear_is_refused():
    sentence = r"levels have at image_size 64 \(32, 16\).*Choose some of them, such as 32, 16\."
    with pytest.raises(ValueError, match=sentence):
        small(image_size=64)
    small(image_size=64, conditioner="adagn")  # it scales every block


@pytest.mark.parametrize("conditioner", ["adagn", "tokens"])
def test_null_condition_hides_the_code(conditioner):
    networks = build(small(conditioner=conditioner, residual_dim=3))
    x, t = torch.randn(2, 3, 32, 32), torch.tensor([500, 500])
    keep = torch.tensor([True, False])
    with torch.no_grad():
        one = networks.predict(x, t, torch.zeros(2, 5), torch.zeros(2, 3), keep)
        other = networks.predict(x, t, torch.ones(2, 5), torch.ones(2, 3), keep)
    assert not torch.allclose(one[0], other[0])
    assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("conditioner", ["adagn", "tokens"])
def test_no_residual_code_is_one_of_zeros_as_training_drops_it(conditioner):
    networks = build(small(conditioner=conditioner, residual_dim=3))
    x, t, z = torch.randn(2, 3, 32, 32), torch.tensor([500, 999]), torch.randn(2, 5)
    with torch.no_grad():
        without = networks.predict(x, t, z)
        zeros = networks.predict(x, t, z, torch.zeros(2, 3))
        ones = networks.predict(x, t, z, torch.ones(2, 3))
    assert torch.equal(without, zeros) and not torch.allclose(without, ones)


@pytest.mark.parametrize("conditioner", ["adagn", "tokens"])
def test_items_of_a_batch_do_not_touch_each_other(conditioner):
    networks = build(small(conditioner=conditioner))
    x, z = torch.randn(3, 3, 32, 32), torch.randn(3, 5)
    t = torch.tensor([10, 500, 999])
    with torch.no_grad():
        together = networks.predict(x, t, z)
        single = networks.predict(x[1:2], t[1:2], z[1:2])
    assert torch.allclose(together[1:2], single, atol=1e-5)


def test_every_scalar_reaches_the_output():
    networks = build(small())
    z = torch.zeros(1, 5, requires_grad=True)
    out = networks.predict(torch.randn(1, 3, 32, 32), torch.tensor([999]), z)
    (gradient,) = torch.autograd.grad(out.square().sum(), z)
    assert bool((gradient.abs() > 0).all())


def test_config_round_trip_and_unknown_key():
    config = small(conditioner="adagn")
    assert ModelConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="'patchsize'.*Did you mean 'patch_size'"):
        ModelConfig.from_dict({**config.to_dict(), "patchsize": 2})
    with pytest.raises(ValueError, match="'conditoner' in the decoder.*'conditioner'"):
        ModelConfig.from_dict({"decoder": {"conditoner": "tokens"}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": 512}, "image_size is 512"),
        ({"image_size": 33, "patch_size": 2}, "image_size 33 is not divisible by 4"),
        ({"patch_size": 3}, "patch_size is 3"),
        ({"in_channels": 2}, "in_channels is 2"),
        ({"latent_dim": 0}, "latent_dim is 0"),
        ({"conditioner": "film"}, "conditioner is 'film'.*adagn, tokens"),
    ],
)
def test_bad_values_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        small(**changes)


def test_dropped_skips_change_only_their_items_and_none_dropped_is_the_usual_pass():
    networks = build(small())
    x, t, z = torch.randn(2, 3, 32, 32), torch.tensor([10, 900]), torch.randn(2, 5)
    plain = networks.predict(x, t, z)
    keep = torch.ones(2, networks.unet.num_skips, dtype=torch.bool)
    assert torch.equal(networks.predict(x, t, z, keep_skips=keep), plain)
    for skip in range(networks.unet.num_skips):
        keep = torch.ones_like(keep)
        keep[1, skip] = False
        dropped = networks.predict(x, t, z, keep_skips=keep)
        assert torch.equal(dropped[0], plain[0]) and not torch.equal(dropped[1], plain[1])


def test_narrow_upsampling_is_smaller_and_a_file_without_the_setting_means_wide():
    wide = small()
    narrow = replace(wide, decoder=replace(wide.decoder, narrow_upsampling=True))
    sizes = [sum(p.numel() for p in build(config).parameters()) for config in (narrow, wide)]
    assert sizes[0] < sizes[1]
    out = build(narrow).predict(torch.randn(1, 3, 32, 32), torch.tensor([5]), torch.randn(1, 5))
    assert out.shape == (1, 3, 32, 32)
    values = wide.to_dict()
    del values["decoder"]["narrow_upsampling"]
    assert ModelConfig.from_dict(values) == wide


def test_one_seed_gives_one_copilot_whatever_stands_beside_it():
    ones = [build(small(conditioner=name)).copilot.state_dict() for name in ("adagn", "tokens")]
    for a, b in zip(ones[0].values(), ones[1].values(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_copilot_that_reads_tokens(size):
    part = CopilotConfig(image_size=size, base_channels=8, hidden_dim=16, conditioner="tokens")
    copilot = build(small(image_size=64, attention_sizes=(16,), copilot=part)).copilot
    z = torch.randn(3, 5)
    images = copilot.decode(z)
    assert images.shape == (3, 3, size, size) and images.std(0).min() > 0
    single = torch.cat([copilot.decode(each[None]) for each in z])
    assert torch.allclose(images, single, atol=1e-5)
    z.requires_grad_()
    copilot.decode(z).sum().backward()
    assert (z.grad != 0).all()  # every scalar is read
    decoder = {name for name, p in copilot.named_parameters() if name.startswith("from_tokens")}
    idle = {name for name in decoder if copilot.get_parameter(name).grad is None}
    assert decoder and not idle  # several processes wait for the gradient of each parameter


def test_the_copilots_encoder_starts_alike_whatever_its_decoder_reads():
    states = []
    for conditioner in ("linear", "tokens"):
        part = CopilotConfig(image_size=16, base_channels=8, hidden_dim=16, conditioner=conditioner)
        torch.manual_seed(0)
        states.append(DiffusionAutoencoder(small(copilot=part)).copilot.state_dict())
    shared = states[0].keys() & states[1].keys()
    assert {name.split(".")[0] for name in shared} == {"down", "hidden", "mu", "logvar"}
    assert all(torch.equal(states[0][name], states[1][name]) for name in shared)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"conditioner": "adagn"}, "copilot.conditioner is 'adagn'. Use one of linear, tokens."),
        ({"conditioner": "tokens", "base_channels": 12}, "12, and its conditioner 'tokens' needs"),
    ],
)
def test_copilot_conditioners_that_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        CopilotConfig(**changes)
