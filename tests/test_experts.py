"""Experts against independent answers: torch.distributions, a loop over plain modules, numbers done by hand."""

import math

import pytest
import torch
from test_layers import as_loop
from torch.distributions import Normal, kl_divergence

from moe_lib import RegressionExperts, VAEExperts


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAEExperts(num_experts=3, in_features=16, hidden=(8,), latent=4, decoder_std=0.3)


def noise(shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_elbo_equals_a_loop_over_plain_vaes_and_torch_distributions(vae):
    x = torch.rand(5, 16)
    epsilon = noise((3, 5, 4))
    reconstruction, kl = vae.elbo(x, noise=epsilon.transpose(0, 1))
    layers = [as_loop(vae.encoder[0]), as_loop(vae.encoder[2]), as_loop(vae.decoder[0]), as_loop(vae.decoder[2])]
    for e, (enc1, enc2, dec1, dec2) in enumerate(zip(*layers, strict=True)):
        mean, log_variance = enc2(enc1(x).sigmoid()).split(4, dim=1)
        posterior = Normal(mean, (1e-5 + log_variance.exp()).sqrt())
        image = dec2(dec1(mean + posterior.stddev * epsilon[e]).sigmoid()).sigmoid()
        torch.testing.assert_close(reconstruction[:, e], -Normal(image, 0.3).log_prob(x).sum(dim=1))
        torch.testing.assert_close(kl[:, e], kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1))


def test_the_constant_of_the_post_is_177_nats():
    assert VAEExperts(1, in_features=784, decoder_std=0.5).constant == pytest.approx(177.02, abs=0.005)


def test_loss_is_an_upper_bound_on_minus_the_log_evidence(vae):
    """-ELBO, averaged over z, lies above -ln p(x) as estimated with many importance samples."""
    torch.manual_seed(0)
    x = torch.rand(1, 16)
    samples = 20_000
    mean, variance = (part[0] for part in vae.encode(x))  # (1, Z)
    q = Normal(mean, variance.sqrt())
    z = q.sample((samples,)).squeeze(1)  # (S, Z)
    log_joint = Normal(vae.decode(z)[0], 0.3).log_prob(x).sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)
    log_weight = log_joint - q.log_prob(z).sum(1)
    evidence = log_weight.logsumexp(0) - math.log(samples)
    with torch.no_grad():
        elbo = vae.losses(x.expand(samples, -1), x.expand(samples, -1))[:, 0].mean()
    assert elbo > -evidence
    assert elbo.item() == pytest.approx(-log_weight.mean().item(), abs=0.1)


def test_images_of_their_own_equal_separate_calls(vae):
    x = torch.rand(5, 3, 16)  # (B, E, D)
    epsilon = noise((5, 3, 4))
    together = vae.losses(x, x, epsilon)
    for e in range(3):
        alone = vae.losses(x[:, e], x[:, e], epsilon)
        torch.testing.assert_close(together[:, e], alone[:, e])


def test_points_of_their_own_equal_separate_calls():
    torch.manual_seed(0)
    experts = RegressionExperts(3, in_features=2, out_features=2)
    x, y = torch.randn(5, 3, 2), torch.randn(5, 3, 2)  # (B, E, D)
    together = experts.losses(x, y)
    for e in range(3):
        torch.testing.assert_close(together[:, e], experts.losses(x[:, e], y[:, e])[:, e])


def test_the_noise_is_the_generator_s_and_makes_the_losses_a_function(vae):
    x = torch.rand(5, 16)
    drawn = vae.noise(5, torch.Generator().manual_seed(1))
    assert drawn.shape == (5, 3, 4)
    torch.testing.assert_close(drawn, noise((3, 5, 4)).transpose(0, 1))
    assert torch.equal(vae.losses(x, x, drawn), vae.losses(x, x, drawn))
    assert not torch.equal(vae.losses(x, x), vae.losses(x, x, drawn))
    assert RegressionExperts(3).noise(5).shape == (5, 3, 0)


def test_noise_of_another_shape_is_refused(vae):
    with pytest.raises(ValueError, match=r"noise has shape \(3, 5, 4\); expected \(5, 3, 4\)"):
        vae.elbo(torch.rand(5, 16), noise=noise((3, 5, 4)))


def test_generate_repeats_itself_and_differs_between_experts(vae):
    first = vae.generate(1, 6, seed=3)
    assert first.shape == (6, 16)
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, vae.generate(1, 6, seed=3))
    assert not torch.allclose(first, vae.generate(2, 6, seed=3))
    z = noise((6, 4), seed=3)
    torch.testing.assert_close(first, vae.decode(z)[1])


def test_a_parabola_is_fitted_by_its_own_coefficients():
    experts = RegressionExperts(num_experts=2, degree=2)
    experts.layers[0].weight.data = torch.tensor([[[2.0], [3.0]], [[0.0], [0.0]]])  # (E, powers, out)
    experts.layers[0].bias.data = torch.tensor([[[1.0]], [[5.0]]])
    x = torch.tensor([[2.0]])
    assert experts.predict(x).flatten().tolist() == [1 + 2 * 2 + 3 * 4, 5]
    assert experts.losses(x, torch.tensor([[7.0]])).tolist() == [[100.0, 4.0]]


def test_experts_alone_learn_from_everything_alike():
    torch.manual_seed(0)
    experts = RegressionExperts(num_experts=3)
    x, y = torch.randn(9, 1), torch.randn(9, 1)
    objective = experts.objective(x, y)
    torch.testing.assert_close(objective.total, experts.losses(x, y).mean())
    assert objective.balancing == 0


good = torch.rand(4, 16)
nan = good.clone().index_fill_(0, torch.tensor([2]), float("nan"))


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (good[:, :9], good[:, :9], ValueError, r"shape \(4, 9\); expected \(B, 16\)"),
        (good, good[:3], ValueError, "x has 4 examples and y has 3"),
        (nan, nan, ValueError, "NaN or infinite values in 1 rows, the first is row 2"),
        (good * 255, good * 255, ValueError, r"expected \[0, 1\]. Divide 8-bit images by 255"),
        (good - 0.5, good - 0.5, ValueError, r"expected \[0, 1\]"),
        ((good * 255).byte(), good, TypeError, r"torch\.uint8"),
        (good.numpy(), good, TypeError, "ndarray"),
        (good.view(4, 4, 4), good, ValueError, "Flatten images"),
    ],
)
def test_check_says_what_is_wrong(vae, x, y, error, message):
    with pytest.raises(error, match=message):
        vae.check(x, y)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: VAEExperts(0), ValueError, "num_experts is 0"),
        (lambda: VAEExperts(2, latent=0), ValueError, "latent is 0"),
        (lambda: VAEExperts(2, decoder_std=0.0), ValueError, r"decoder_std is 0\.0"),
        (lambda: RegressionExperts(2, degree=0), ValueError, "degree is 0"),
        (lambda: VAEExperts(2, in_features=4).generate(2, 1, seed=0), IndexError, "expert 2 of 2: choose 0 to 1"),
    ],
)
def test_settings_that_make_no_sense(make, error, message):
    with pytest.raises(error, match=message):
        make()
