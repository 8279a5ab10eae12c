"""The objectives against explicit loops, closed forms and numbers computed by hand."""

import math

import pytest
import torch
from torch.distributions import Categorical, MultivariateNormal, Normal, kl_divergence

from comfyui_cldis.editing.facts import CODED_BY_OBJECTIVE
from trainer.training.losses import gaussian_kl
from trainer.training.objectives import Objective, ObjectiveConfig, ObjectiveDraws, build_objective
from trainer.training.objectives.beta_tc import BetaTC, log_weights, total_correlation
from trainer.training.objectives.dip import DIP, identity_penalty, mean_covariance
from trainer.training.objectives.factor import Factor, permute_columns
from trainer.training.objectives.joint import Joint, categorical_kl, gumbel_softmax
from trainer.training.objectives.qlae import QLAE
from trainer.training.objectives.vne import WithEntropy, von_neumann_entropy

B, N, IMAGES = 12, 6, 100
CONFIGS = {
    "plain": ObjectiveConfig(),
    "beta_tc": ObjectiveConfig("beta_tc"),
    "stratified": ObjectiveConfig("beta_tc", sampling="stratified"),
    "factor": ObjectiveConfig("factor", discriminator_width=16, discriminator_layers=2),
    "dip_i": ObjectiveConfig("dip_i"),
    "dip_ii": ObjectiveConfig("dip_ii"),
    "joint": ObjectiveConfig("joint", discrete_sizes=(3, 2)),
    "qlae": ObjectiveConfig("qlae"),
    "vne": ObjectiveConfig("factor", vne_weight=0.3, discriminator_width=16),
}


def make(
    b: int = B, n: int = N, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, ObjectiveDraws]:
    generator = torch.Generator().manual_seed(seed)
    mu = torch.randn(b, n, generator=generator)
    logvar = torch.randn(b, n, generator=generator) - 1
    noise = torch.randn(b, n, generator=generator)
    uniform = torch.rand(b, n, generator=generator)
    return mu, logvar, ObjectiveDraws(noise, uniform)


def build(name: str) -> Objective:
    torch.manual_seed(0)
    return build_objective(CONFIGS[name], N, IMAGES)


# What holds for all of them


@pytest.mark.parametrize("name", CONFIGS)
def test_code_has_the_promised_shapes_and_trains_everything(name):
    objective = build(name)
    mu, logvar, draws = make()
    mu.requires_grad_()
    code = objective(mu, logvar, draws)
    assert code.mu.shape == code.logvar.shape == code.z.shape == (B, N)
    assert code.kl.shape == (N,) and code.penalty.shape == ()
    assert bool((code.kl >= 0).all())
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in code)
    (code.z.square().sum() + code.penalty + code.kl.sum()).backward()
    assert mu.grad is not None and mu.grad.isfinite().all() and bool((mu.grad != 0).any(0).all())
    for parameter in objective.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
        assert bool((parameter.grad != 0).any())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_mean_code_needs_no_draws_and_mostly_is_what_the_encoder_gives(name):
    objective = build(name)
    mu, logvar, draws = make()
    mean = objective.mean_code(mu)
    assert torch.allclose(mean, objective(mu, logvar, draws).mu, atol=1e-6)
    assert torch.equal(mean, mu) == (CONFIGS[name].name not in CODED_BY_OBJECTIVE)


def test_the_mean_code_with_an_entropy_is_that_of_the_objective():
    objective = Joint(30.0, (3, 2), None, 0.67)
    mu, _, _ = make()
    assert torch.equal(WithEntropy(objective, 0.3).mean_code(mu), objective.mean_code(mu))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_draws_are_the_only_randomness(name):
    objective = build(name)
    mu, logvar, draws = make()
    before = torch.get_rng_state()
    first, second = objective(mu, logvar, draws), objective(mu, logvar, draws)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("name", CONFIGS)
def test_extreme_posteriors_stay_finite(name):
    objective = build(name)
    _, _, draws = make()
    uniform = draws.uniform.clone()
    uniform[:2] = 0.0
    uniform[2] = 1 - 2.0**-24
    draws = draws._replace(uniform=uniform)
    for scale, logvar in ((0.0, -10.0), (0.0, 0.0), (50.0, -10.0), (50.0, 4.0)):
        mu = (scale * make()[0]).requires_grad_()
        spread = torch.full((B, N), logvar, requires_grad=True)
        code = objective(mu, spread, draws)
        (code.penalty + code.kl.sum() + code.z.sum()).backward()
        assert all(value.isfinite().all() for value in code)
        for grad in (mu.grad, spread.grad):
            assert grad is None or grad.isfinite().all()


@pytest.mark.parametrize("name", CONFIGS)
def test_half_precision_autocast_changes_nothing(name):
    objective = build(name)
    mu, logvar, draws = make()
    expected = objective(mu, logvar, draws)
    with torch.autocast("cpu", torch.bfloat16):
        code = objective(mu, logvar, draws)
    assert all(torch.equal(a, b) for a, b in zip(code, expected, strict=True))


def test_wrong_draws_and_batches_are_refused():
    mu, logvar, draws = make()
    with pytest.raises(ValueError, match=r"draws\.uniform has shape \(1, 6\).*one number per"):
        build("plain")(mu, logvar, draws._replace(uniform=draws.uniform[:1]))
    mu, logvar, draws = make(b=1)
    build("plain")(mu, logvar, draws)
    for name in ("beta_tc", "factor", "dip_i", "dip_ii", "vne"):
        with pytest.raises(ValueError, match="batch has 1 images.* 2 or more"):
            build(name)(mu, logvar, draws)


@pytest.mark.parametrize("name", ["plain", "beta_tc", "factor", "dip_i", "dip_ii"])
def test_gaussian_objectives_share_the_plain_code(name):
    mu, logvar, draws = make()
    code = build(name)(mu, logvar, draws)
    posterior = Normal(mu, (0.5 * logvar).exp())
    assert torch.equal(code.mu, mu) and torch.equal(code.logvar, logvar)
    assert torch.allclose(code.z, posterior.mean + posterior.stddev * draws.noise, atol=1e-6)
    assert torch.allclose(code.kl, kl_divergence(posterior, Normal(0.0, 1.0)).mean(0), atol=1e-5)
    assert (code.penalty.item() == 0) == (name != "factor")  # the cross-entropy of D
    assert (code.kl_penalty.item() == 0) == (name == "plain")


# beta-TCVAE


@pytest.mark.parametrize("sampling", ["weighted", "stratified"])
def test_total_correlation_against_explicit_loops(sampling):
    b, n, images = 4, 3, 50
    mu, logvar, draws = make(b, n)
    z = mu + (0.5 * logvar).exp() * draws.noise

    def weight(i: int, j: int) -> float:
        if sampling == "weighted":
            return 1 / (images * b)
        rest = b - 1
        special = {i: 1 / images, (i + 1) % b: (images - rest) / (images * rest)}
        return special.get(j, 1 / rest)

    total = 0.0
    for i in range(b):
        joint, marginals = 0.0, [0.0] * n
        for j in range(b):
            density = [
                math.exp(-((float(z[i, d] - mu[j, d])) ** 2) / (2 * v)) / math.sqrt(2 * math.pi * v)
                for d, v in enumerate(logvar[j].exp().tolist())
            ]
            joint += weight(i, j) * math.prod(density)
            for d in range(n):
                marginals[d] += weight(i, j) * density[d]
        total += (math.log(joint) - sum(math.log(m) for m in marginals)) / b
    weights = log_weights(b, images, sampling)
    assert float(total_correlation(z, mu, logvar, weights)) == pytest.approx(total, rel=1e-4)
    code = BetaTC(6.0, images, sampling)(mu, logvar, draws)
    assert code.kl_penalty.item() == pytest.approx(5 * total, rel=1e-4)


def test_total_correlation_of_a_correlated_gaussian():
    # Codes of almost no variance of their own around means that are N(0, [[1, r], [r, 1]]);
    # the posterior's width acts as the kernel of the density estimate.
    r, width, b = 0.9, 0.15, 500
    torch.manual_seed(1)
    covariance = torch.tensor([[1.0, r], [r, 1.0]])
    mu = MultivariateNormal(torch.zeros(2), covariance).sample((b,))
    logvar = torch.full((b, 2), 2 * math.log(width))
    z = mu + width * torch.randn(b, 2)
    correlation = r / (1 + width**2)  # of q(z), whose variances are 1 + width^2
    expected = -0.5 * math.log(1 - correlation**2)
    stratified = float(total_correlation(z, mu, logvar, log_weights(b, b, "stratified")))
    assert stratified == pytest.approx(expected, abs=0.12)
    # Two dimensions: weighted sampling shifts the estimate by (2 - 1) ln N.
    weighted = float(total_correlation(z, mu, logvar, log_weights(b, 9000, "weighted")))
    assert weighted - math.log(9000) == pytest.approx(expected, abs=0.12)


def test_stratified_weights_sum_to_one_with_the_own_item_on_the_diagonal():
    weights = log_weights(5, 40, "stratified").exp()
    assert torch.allclose(weights.sum(1), torch.ones(5))
    assert weights.diagonal().tolist() == pytest.approx([1 / 40] * 5)
    assert weights[4, 0] == pytest.approx(36 / 160) and weights[2, 3] == pytest.approx(36 / 160)
    assert weights[0, 2] == pytest.approx(1 / 4)


def test_stratified_sampling_refuses_a_batch_larger_than_the_data_set():
    mu, logvar, draws = make()
    with pytest.raises(ValueError, match="batch has 12 images and the data set 11.*smaller batch"):
        BetaTC(6.0, 11, "stratified")(mu, logvar, draws)
    assert BetaTC(6.0, 12, "stratified")(mu, logvar, draws).kl_penalty.isfinite()


# FactorVAE


def test_columns_are_permuted_by_the_order_of_the_uniform_numbers():
    z = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    uniform = torch.tensor([[0.9, 0.1], [0.2, 0.5], [0.5, 0.3]])
    expected = torch.tensor([[2.0, 10.0], [3.0, 30.0], [1.0, 20.0]])
    assert torch.equal(permute_columns(z, uniform), expected)


def linear_factor(weight: float) -> Factor:
    """A discriminator whose logit is 2 z_0 - z_1 + 0.5: one layer, made transparent."""
    objective = Factor(weight, latent_dim=2, width=2, num_layers=1)
    first, _, last = objective.discriminator
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[2.0, -1.0], [0.0, 0.0]]))
        first.bias.copy_(torch.tensor([0.5, 0.0]) + 10)  # positive: the leaky ReLU is linear
        last.weight.copy_(torch.tensor([[1.0, 0.0]]))
        last.bias.fill_(-10.0)
    return objective


def test_factor_penalty_by_hand():
    mu = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    uniform = torch.tensor([[0.1, 0.9], [0.5, 0.2]])  # swaps the second column only
    draws = ObjectiveDraws(torch.zeros(2, 2), uniform)
    code = linear_factor(3.0)(mu, torch.zeros(2, 2), draws)
    logits, permuted = [2.5, -0.5], [1.5, 0.5]  # of (1,0), (0,1) and of (1,1), (0,0)
    correlation = sum(logits) / 2
    entropy = sum(math.log(1 + math.exp(-x)) for x in logits) / 4
    entropy += sum(math.log(1 + math.exp(x)) for x in permuted) / 4
    assert code.kl_penalty.item() == pytest.approx(3 * correlation, rel=1e-5)
    assert code.penalty.item() == pytest.approx(entropy, rel=1e-5)


def test_no_gradient_leaks_between_factor_and_its_discriminator():
    mu, logvar, draws = make(b=8, n=2)
    gradients = {}
    for weight in (0.0, 7.0):
        objective = linear_factor(weight)
        means = mu.clone().requires_grad_()
        code = objective(means, logvar, draws)
        (code.penalty + code.kl_penalty).backward()
        gradients[weight] = [p.grad for p in objective.parameters()]
        # Only the density ratio reaches the encoder: weight * (2, -1) / B.
        expected = weight * torch.tensor([[2.0, -1.0]]) / 8
        assert torch.allclose(means.grad, expected.expand(8, 2), atol=1e-6)
    for without, with_ratio in zip(gradients[0.0], gradients[7.0], strict=True):
        assert torch.equal(without, with_ratio)
    code = mu + (0.5 * logvar).exp() * draws.noise
    objective = linear_factor(7.0)
    objective.cross_entropy(code, draws.uniform).backward()
    for parameter, gradient in zip(objective.parameters(), gradients[7.0], strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)


def test_discriminator_learns_a_dependence():
    torch.manual_seed(0)
    objective = Factor(1.0, latent_dim=2, width=16, num_layers=2)
    optimizer = torch.optim.Adam(objective.parameters(), 1e-2)
    r = 0.95
    for _ in range(80):
        z = torch.randn(128, 1) * math.sqrt(r) + torch.randn(128, 2) * math.sqrt(1 - r)
        optimizer.zero_grad()
        objective.cross_entropy(z, torch.rand(128, 2)).backward()
        optimizer.step()
    z = torch.randn(2000, 1) * math.sqrt(r) + torch.randn(2000, 2) * math.sqrt(1 - r)
    expected = -0.5 * math.log(1 - r * r)  # 1.16 nats
    assert float(objective.total_correlation(z)) == pytest.approx(expected, abs=0.3)


# DIP-VAE


def test_dip_on_a_covariance_by_hand():
    mu = torch.tensor([[1.0, 2.0], [-1.0, 0.0], [3.0, 1.0], [1.0, 1.0]])
    # Means (1, 1); deviations (0,1), (-2,-1), (2,0), (0,0): covariance [[8, 2], [2, 2]] / 4.
    covariance = torch.tensor([[2.0, 0.5], [0.5, 0.5]])
    assert torch.allclose(mean_covariance(mu), covariance)
    off, diagonal = 2 * 0.5**2, (2 - 1) ** 2 + (0.5 - 1) ** 2
    assert float(identity_penalty(covariance, 3.0, 7.0)) == pytest.approx(3 * off + 7 * diagonal)
    logvar = torch.log(torch.tensor([[0.1, 0.4], [0.3, 0.4], [0.1, 0.8], [0.3, 0.4]]))
    draws = ObjectiveDraws(torch.zeros(4, 2), torch.zeros(4, 2))
    first = DIP(3.0, 7.0, sampled=False)(mu, logvar, draws).kl_penalty
    assert first.item() == pytest.approx(3 * off + 7 * diagonal)
    second = DIP(3.0, 7.0, sampled=True)(mu, logvar, draws).kl_penalty
    diagonal = (2.2 - 1) ** 2 + (1.0 - 1) ** 2  # mean variances .2 and .5 added
    assert second.item() == pytest.approx(3 * off + 7 * diagonal, rel=1e-5)


def test_dip_is_zero_for_a_white_code_and_i_ignores_the_variance():
    mu = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    draws = ObjectiveDraws(torch.zeros(4, 2), torch.zeros(4, 2))
    for logvar in (-10.0, 0.0):
        code = DIP(5.0, 50.0, sampled=False)(mu, torch.full((4, 2), logvar), draws)
        assert code.kl_penalty.item() == pytest.approx(0.0, abs=1e-9)
    code = DIP(5.0, 50.0, sampled=True)(mu, torch.zeros(4, 2), draws)
    assert code.kl_penalty.item() == pytest.approx(50 * 2)  # variances 2 in place of 1


# JointVAE


def test_categorical_kl_is_spread_without_loss():
    log_probability = torch.log_softmax(3 * make(20, 5)[0], dim=1)
    uniform = Categorical(logits=torch.zeros(20, 5))
    expected = kl_divergence(Categorical(logits=log_probability), uniform).mean()
    kl = categorical_kl(log_probability)
    assert kl.shape == (5,) and bool((kl >= 0).all())
    assert float(kl.sum()) == pytest.approx(float(expected), rel=1e-5)
    certain = torch.log_softmax(torch.tensor([[200.0, 0.0, 0.0, 0.0]]), dim=1)
    assert float(categorical_kl(certain).sum()) == pytest.approx(math.log(4), rel=1e-5)
    assert float(categorical_kl(torch.full((3, 4), -math.log(4))).sum()) == pytest.approx(0)


def test_gumbel_softmax_picks_classes_by_their_probability():
    torch.manual_seed(0)
    p = torch.tensor([0.6, 0.3, 0.1])
    uniform = torch.rand(20_000, 3)
    sample = gumbel_softmax(p.log().expand(20_000, 3), uniform, 0.5)
    assert torch.allclose(sample.sum(1), torch.ones(20_000), atol=1e-5)
    share = torch.bincount(sample.argmax(1), minlength=3) / 20_000
    assert torch.allclose(share, p, atol=0.015)
    gumbel = [-math.log(-math.log(u)) for u in uniform[0].tolist()]
    logits = [(math.log(q) + g) / 0.5 for q, g in zip(p.tolist(), gumbel, strict=True)]
    expected = torch.softmax(torch.tensor(logits), 0)
    assert torch.allclose(sample[0], expected, atol=1e-4)


def test_joint_code_by_hand():
    # One Gaussian dimension, one group of two classes with p = (.8, .2).
    mu = torch.tensor([[0.5, math.log(4.0), 0.0]])
    logvar = torch.tensor([[-1.0, 9.0, 9.0]])
    draws = ObjectiveDraws(torch.tensor([[2.0, 9.0, 9.0]]), torch.full((1, 3), 0.5))
    code = Joint(30.0, (2,), None, temperature=0.5)(mu, logvar, draws)
    assert code.mu[0].tolist() == pytest.approx([0.5, 0.8, 0.2])
    variance = code.logvar[0].exp().tolist()
    assert variance == pytest.approx([math.exp(-1), 0.161, 0.161], rel=1e-5)
    # Equal Gumbel noise cancels: softmax(ln p / .5) = p^2 / sum = (.64, .04) / .68.
    z = [0.5 + 2 * math.exp(-0.5), 0.64 / 0.68, 0.04 / 0.68]
    assert code.z[0].tolist() == pytest.approx(z, rel=1e-5)
    kl = math.log(2) + 0.8 * math.log(0.8) + 0.2 * math.log(0.2)
    assert float(code.kl[1:].sum()) == pytest.approx(kl, rel=1e-5)
    assert float(code.kl[0]) == pytest.approx(float(gaussian_kl(mu, logvar)[0]))
    assert code.penalty.item() == pytest.approx(30 * (math.log(2) - kl), rel=1e-5)


def test_joint_capacity_is_cut_off_and_only_the_penalty_moves_the_classes():
    assert Joint(30.0, (3, 2), 5.0, 0.67).capacity == pytest.approx(math.log(6))
    assert Joint(30.0, (3, 2), 1.0, 0.67).capacity == 1.0
    mu, logvar, draws = make()
    mu.requires_grad_()
    code = Joint(30.0, (3, 2), 0.0001, 0.67)(mu, logvar, draws)
    code.kl.sum().backward(retain_graph=True)
    assert bool((mu.grad[:, :1] != 0).all()) and not bool(mu.grad[:, 1:].any())
    mu.grad = None
    code.penalty.backward()
    assert not bool(mu.grad[:, :1].any()) and bool((mu.grad[:, 1:] != 0).all())


def test_joint_may_be_all_discrete():
    mu, logvar, draws = make()
    code = Joint(30.0, (4, 2), None, 0.67)(mu, logvar, draws)
    assert torch.allclose(code.mu.sum(1), torch.full((B,), 2.0), atol=1e-5)


# QLAE


def test_quantisation_by_hand():
    objective = QLAE(10.0, latent_dim=2, num_values=3)
    assert objective.values.tolist() == [[-0.5, 0.0, 0.5]] * 2
    with torch.no_grad():
        objective.values[1] = torch.tensor([2.0, -1.0, 0.0])  # order does not matter
    mu = torch.tensor([[0.2, 0.9], [0.3, -3.0], [-0.1, 1.1], [0.24, -0.6]], requires_grad=True)
    draws = ObjectiveDraws(torch.zeros(4, 2), torch.zeros(4, 2))
    code = objective(mu, torch.zeros(4, 2), draws)
    values = torch.tensor([[0.0, 0.0], [0.5, -1.0], [0.0, 2.0], [0.0, -1.0]])
    assert torch.allclose(code.z, values, atol=1e-6) and torch.equal(code.mu, code.z)
    error = ((mu.detach() - values) ** 2).mean()
    assert code.penalty.item() == pytest.approx(20 * float(error), rel=1e-5)
    entropy = [
        -(0.75 * math.log(0.75) + 0.25 * math.log(0.25)),
        -(0.5 * math.log(0.5) + 2 * 0.25 * math.log(0.25)),
    ]
    assert code.kl.tolist() == pytest.approx(entropy, rel=1e-5) and not code.kl.requires_grad
    steps = torch.tensor([0.5, 1.5])
    assert torch.allclose(code.logvar.exp(), (steps**2 / 12).expand(4, 2), rtol=1e-5)
    code.penalty.backward()
    assert torch.allclose(mu.grad, 10 * 2 * (mu.detach() - values) / 8, atol=1e-5)
    # Value 0.0 of dimension 0 was chosen for .2, -.1 and .24; -0.5 by nobody.
    gradient = objective.values.grad
    assert float(gradient[0, 1]) == pytest.approx(10 * 2 * -(0.2 - 0.1 + 0.24) / 8, rel=1e-5)
    assert float(gradient[0, 0]) == 0.0


def test_quantisation_is_straight_through_as_far_as_the_codebook_reaches():
    objective = QLAE(1.0, latent_dim=1, num_values=3)  # values -.5, 0, .5; reach -.75 to .75
    mu = torch.tensor([[-0.76], [-0.74], [0.1], [0.74], [0.76], [9.0]], requires_grad=True)
    draws = ObjectiveDraws(torch.zeros(6, 1), torch.zeros(6, 1))
    code = objective(mu, torch.zeros(6, 1), draws)
    slope = torch.tensor([[2.0], [3.0], [4.0], [5.0], [6.0], [7.0]])
    (code.z * slope).sum().backward(retain_graph=True)
    assert mu.grad[:, 0].tolist() == [0.0, 3.0, 4.0, 5.0, 0.0, 0.0]
    assert objective.values.grad is None  # the decoder does not train the codebook
    assert code.z[:, 0].tolist() == pytest.approx([-0.5, -0.5, 0.0, 0.5, 0.5, 0.5])
    mu.grad = None
    code.penalty.backward()
    assert mu.grad[5, 0].item() == pytest.approx(2 * 8.5 / 6)  # pulled back from outside


def test_collapsed_codebook_keeps_a_finite_variance():
    objective = QLAE(1.0, N, 10)
    with torch.no_grad():
        objective.values.fill_(0.25)
    mu, logvar, draws = make()
    code = objective(mu, logvar, draws)
    assert code.logvar.isfinite().all() and float(code.kl.sum()) == 0.0


# Von Neumann entropy


def test_entropy_of_orthonormal_and_of_collapsed_codes():
    torch.manual_seed(0)
    orthonormal, _ = torch.linalg.qr(torch.randn(5, 5))
    scaled = orthonormal * torch.tensor([[1.0], [3.0], [0.1], [7.0], [2.0]])
    assert float(von_neumann_entropy(scaled)) == pytest.approx(math.log(5), rel=1e-5)
    line = torch.randn(9, 1) * torch.ones(1, 5)
    assert float(von_neumann_entropy(line)) == pytest.approx(0.0, abs=1e-5)
    # Fewer codes than dimensions: at most ln B.
    assert float(von_neumann_entropy(scaled[:3])) == pytest.approx(math.log(3), rel=1e-4)
    # Three of four codes on one axis: eigenvalues .75 and .25.
    codes = torch.eye(2)[[0, 0, 0, 1]]
    expected = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert von_neumann_entropy(codes).item() == pytest.approx(expected, rel=1e-5)


def test_entropy_is_added_to_any_penalty_and_pulls_duplicates_apart():
    mu, logvar, draws = make()
    code = build("dip_i")(mu, logvar, draws)
    both = WithEntropy(build("dip_i"), 0.3)(mu, logvar, draws)
    expected = code.penalty - 0.3 * von_neumann_entropy(mu)
    assert both.penalty.item() == pytest.approx(float(expected), rel=1e-6)
    codes = (torch.randn(64, 1) + 0.1 * torch.randn(64, 4)).requires_grad_()
    before = von_neumann_entropy(codes).item()
    von_neumann_entropy(codes).backward()
    assert codes.grad.isfinite().all()
    assert von_neumann_entropy(codes.detach() + codes.grad).item() > before
