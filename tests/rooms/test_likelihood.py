"""Bounds on the likelihood: against an integral over z, and against one another."""

import math

import pytest
import torch

from moe_lib import Manager, MixtureOfExperts, RegressionExperts, VAEExperts, evaluate
from moe_lib.ladder import MixtureExperts, MixtureTree, StackedManagers, flattened
from moe_lib.measures import iwae, negative_elbo


@pytest.fixture
def model():
    torch.manual_seed(0)
    experts = VAEExperts(3, in_features=4, hidden=(5,), latent=1)
    for parameter in experts.decoder.parameters():
        parameter.data *= 3  # so that z matters
    return MixtureOfExperts(Manager(4, 3, hidden=(5,)), experts)


@pytest.fixture
def images():
    return torch.rand(20, 4, generator=torch.Generator().manual_seed(0))


def exact(model, images):
    """-ln p(x) by summing over a fine grid of z."""
    z = torch.linspace(-8, 8, 4001).unsqueeze(1)
    drawn = model.experts.decode(z)  # (E, 4001, D)
    error = (images[:, None, None] - drawn).square().sum(dim=-1)  # (B, E, 4001)
    log_p = -error / (2 * 0.5**2) - 4 * math.log(0.5 * math.sqrt(2 * math.pi))
    log_prior = -z.squeeze().square() / 2 - math.log(math.sqrt(2 * math.pi))
    return -((log_p + log_prior).exp().sum(dim=2).mean(dim=1) * (z[1, 0] - z[0, 0])).log().mean().item()


def test_many_samples_give_the_exact_likelihood(model, images):
    assert iwae(model, images, samples=4000) == pytest.approx(exact(model, images), abs=0.01)


def test_both_are_upper_bounds_and_more_samples_are_closer(model, images):
    truth = exact(model, images)
    few = sum(iwae(model, images, samples=1, seed=seed) for seed in range(30)) / 30
    elbo = sum(negative_elbo(model, images, seed=seed).total for seed in range(30)) / 30
    assert elbo > few > iwae(model, images, samples=100) > truth - 0.01


def test_one_sample_of_one_expert_is_its_elbo(images):
    """-ln of one importance weight is the reconstruction of that z plus ln q(z|x) - ln p(z), whose mean is the KL."""
    torch.manual_seed(0)
    model = MixtureOfExperts(Manager(4, 1, hidden=()), VAEExperts(1, in_features=4, hidden=(5,), latent=2))
    many = sum(iwae(model, images, samples=1, seed=seed) for seed in range(200)) / 200
    elbo = sum(negative_elbo(model, images, seed=seed).total for seed in range(200)) / 200
    assert many == pytest.approx(elbo, abs=0.02)


def test_the_parts_of_the_elbo_by_their_definitions(model, images):
    p = model.gate(images)
    parts = negative_elbo(model, images)
    gate = torch.distributions.kl_divergence(
        torch.distributions.Categorical(p), torch.distributions.Categorical(torch.ones(3))
    )
    assert parts.gate == pytest.approx(gate.mean().item(), abs=1e-5)
    drawn = model.noise(20, torch.Generator().manual_seed(0))
    reconstruction, kl = model.experts.elbo(images, noise=drawn)
    assert parts.reconstruction == pytest.approx((p * reconstruction).sum(dim=1).mean().item(), abs=1e-4)
    assert parts.kl == pytest.approx((p * kl).sum(dim=1).mean().item(), abs=1e-5)
    assert parts.total == pytest.approx(evaluate(model, images, images).expected + gate.mean().item(), abs=1e-4)


def test_batches_do_not_matter(model, images):
    assert iwae(model, images, samples=3000, batch_size=7) == pytest.approx(iwae(model, images, samples=3000), abs=0.02)
    torch.nn.init.constant_(
        model.experts.encoder[-1].bias[..., 1:], -20.0
    )  # no spread: nothing depends on what is drawn
    torch.nn.init.zeros_(model.experts.encoder[-1].weight[..., 1:])
    few, all_at_once = negative_elbo(model, images, batch_size=7), negative_elbo(model, images)
    assert few == pytest.approx(all_at_once, abs=0.02)


def test_a_tree_is_measured_from_its_leaves(images):
    torch.manual_seed(0)
    below = MixtureExperts(StackedManagers(2, 4, 3, hidden=()), VAEExperts(6, 4, (5,), 1))
    tree = MixtureTree(Manager(4, 2, hidden=()), below)
    for measure in (negative_elbo, iwae):
        with pytest.raises(
            TypeError, match=r"the experts are MixtureExperts, which have no ELBO.*`flattened\(model\)`"
        ):
            measure(tree, images)
    leaves = flattened(tree)
    assert negative_elbo(leaves, images).total > iwae(leaves, images, samples=500)
    assert iwae(leaves, images, samples=4000) == pytest.approx(exact(leaves, images), abs=0.01)


def test_what_is_no_vae_is_refused():
    model = MixtureOfExperts(Manager(4, 2), RegressionExperts(2, 4, 4))
    for measure in (negative_elbo, iwae):
        with pytest.raises(TypeError, match="RegressionExperts, which have no ELBO"):
            measure(model, torch.rand(3, 4))


def test_no_samples_are_refused(model, images):
    for samples in (0, 2.5):
        with pytest.raises(ValueError, match=f"samples is {samples}"):
            iwae(model, images, samples=samples)
