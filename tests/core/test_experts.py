"""Experts against independent answers: torch.distributions, a loop over plain modules, numbers done by hand."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from core.tiny import IMAGES, as_loop, bad_images
from moe_lib import RegressionExperts, VAEExperts


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return VAEExperts(num_experts=3, in_features=16, hidden=(8,), latent=4, decoder_std=0.3)


def noise(shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_elbo_equals_a_loop_over_plain_vaes_and_torch_distributions(vae):
    x, target = IMAGES[:5], IMAGES[5:10]
    epsilon = noise((3, 5, 4))
    reconstruction, kl = vae.elbo(x, noise=epsilon.transpose(0, 1))
    of_another, _ = vae.elbo(x, target, epsilon.transpose(0, 1))
    assert not vae.reconstruct(x).requires_grad
    layers = [as_loop(vae.encoder[0]), as_loop(vae.encoder[2]), as_loop(vae.decoder[0]), as_loop(vae.decoder[2])]
    for e, (enc1, enc2, dec1, dec2) in enumerate(zip(*layers, strict=True)):
        mean, log_variance = enc2(enc1(x).sigmoid()).split(4, dim=1)
        posterior = Normal(mean, (1e-5 + log_variance.exp()).sqrt())
        image = dec2(dec1(mean + posterior.stddev * epsilon[e]).sigmoid()).sigmoid()
        torch.testing.assert_close(reconstruction[:, e], -Normal(image, 0.3).log_prob(x).sum(dim=1))
        torch.testing.assert_close(of_another[:, e], -Normal(image, 0.3).log_prob(target).sum(dim=1))
        torch.testing.assert_close(kl[:, e], kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1))
        torch.testing.assert_close(vae.reconstruct(x)[:, e], dec2(dec1(mean).sigmoid()).sigmoid())


def test_the_losses_are_both_parts_of_the_elbo(vae):
    x, y, epsilon = IMAGES[:5], IMAGES[5:10], noise((5, 3, 4))
    reconstruction, kl = vae.elbo(x, y, epsilon)
    torch.testing.assert_close(vae.losses(x, y, epsilon), reconstruction + kl)


def test_the_variance_never_falls_below_its_floor(vae):
    vae.encoder[2].bias.data[:, :, 4:] = -1000.0
    mean, variance = vae.encode(IMAGES)
    assert torch.equal(variance, torch.full((3, 32, 4), 1e-5))
    assert mean.shape == (3, 32, 4)


def test_the_constant_of_the_post_is_177_nats():
    assert VAEExperts(1, in_features=784, decoder_std=0.5).constant == pytest.approx(177.02, abs=0.005)


def test_its_defaults_are_those_of_the_post():
    post = VAEExperts(2)
    assert post.settings() == {
        "num_experts": 2, "in_features": 784, "hidden": (128,), "latent": 10, "decoder_std": 0.5,
        "activation": "sigmoid",
    }  # fmt: skip
    assert post.value_range == (0, 1)


def test_the_decoder_has_the_encoder_s_layers_in_reverse():
    vae = VAEExperts(2, in_features=9, hidden=(7, 5), latent=3)
    assert [tuple(layer.weight.shape[1:]) for layer in vae.encoder[::2]] == [(9, 7), (7, 5), (5, 6)]
    assert [tuple(layer.weight.shape[1:]) for layer in vae.decoder[::2]] == [(3, 5), (5, 7), (7, 9)]


def test_loss_is_an_upper_bound_on_minus_the_log_evidence(vae):
    """-ELBO, averaged over z, lies above -ln p(x) as estimated with many importance samples."""
    torch.manual_seed(0)
    x = torch.rand(1, 16)
    samples = 20_000
    with torch.no_grad():
        mean, variance = (part[0] for part in vae.encode(x))  # (1, Z)
        q = Normal(mean, variance.sqrt())
        z = q.sample((samples,)).squeeze(1)  # (S, Z)
        log_joint = Normal(vae.decode(z)[0], 0.3).log_prob(x).sum(1) + Normal(0.0, 1.0).log_prob(z).sum(1)
        log_weight = log_joint - q.log_prob(z).sum(1)
        evidence = log_weight.logsumexp(0) - math.log(samples)
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
        torch.testing.assert_close(vae.reconstruct(x)[:, e], vae.reconstruct(x[:, e])[:, e])


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
    assert not torch.equal(vae.losses(x, x), vae.losses(x, x)), "without it, it is drawn anew"
    assert RegressionExperts(3).noise(5).shape == (5, 3, 0)


def test_noise_of_another_shape_is_refused(vae):
    with pytest.raises(ValueError, match=r"noise has shape \(3, 5, 4\); expected \(5, 3, 4\), see noise\(\)"):
        vae.elbo(torch.rand(5, 16), noise=noise((3, 5, 4)))


def test_generate_repeats_itself_and_differs_between_experts(vae):
    first = vae.generate(1, 6, seed=3)
    assert first.shape == (6, 16)
    assert first.min() >= 0
    assert first.max() <= 1
    assert not first.requires_grad
    assert torch.equal(first, vae.generate(np.int64(1), np.int64(6), seed=np.int64(3)))
    assert not torch.allclose(first, vae.generate(2, 6, seed=3))
    assert not torch.allclose(first, vae.generate(1, 6, seed=4))
    z = noise((6, 4), seed=3)
    torch.testing.assert_close(first, vae.decode(z)[1])


def test_a_parabola_is_fitted_by_its_own_coefficients():
    experts = RegressionExperts(num_experts=2)
    experts.layers[0].weight.data = torch.tensor([[[2.0], [3.0]], [[0.0], [0.0]]])  # (E, powers, out)
    experts.layers[0].bias.data = torch.tensor([[[1.0]], [[5.0]]])
    x = torch.tensor([[2.0]])
    assert experts.predict(x).flatten().tolist() == [1 + 2 * 2 + 3 * 4, 5]
    assert experts.losses(x, torch.tensor([[7.0]])).tolist() == [[100.0, 4.0]]


def test_a_network_of_any_degree_in_several_dimensions():
    torch.manual_seed(0)
    experts = RegressionExperts(2, in_features=2, out_features=3, degree=3, hidden=(4,))
    x, y = torch.randn(5, 2), torch.randn(5, 3)
    powers = torch.cat([x, x**2, x**3], dim=1)
    outputs = [last(first(powers).tanh()) for first, last in zip(*map(as_loop, experts.layers[::2]), strict=True)]
    torch.testing.assert_close(experts.predict(x), torch.stack(outputs, dim=1))
    squared = [((y - output) ** 2).sum(dim=1) for output in outputs]
    torch.testing.assert_close(experts.losses(x, y), torch.stack(squared, dim=1))


def test_experts_alone_learn_from_everything_alike():
    torch.manual_seed(0)
    experts = RegressionExperts(num_experts=3)
    x, y = torch.randn(9, 1), torch.randn(9, 1)
    objective = experts(x, y)
    torch.testing.assert_close(objective.total, experts.losses(x, y).mean())
    assert objective.balancing == 0
    assert objective.total == objective.expected + objective.balancing


def test_the_objective_s_noise_is_the_one_given(vae):
    x, epsilon = IMAGES[:5], noise((5, 3, 4))
    torch.testing.assert_close(vae(x, x, epsilon).expected, vae.losses(x, x, epsilon).mean())


@pytest.mark.parametrize(("images", "error", "message"), bad_images(IMAGES))
def test_check_says_what_is_wrong_with_images(vae, images, error, message):
    with pytest.raises(error, match=message):
        vae.check(images, images)
    with pytest.raises(error, match=message):
        vae.check(images)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (IMAGES[:3], ValueError, "x has 32 examples and y 3; they must be pairs, at least one"),
        (IMAGES * 2, ValueError, "pixels of y run from"),
        (IMAGES[:, :4], ValueError, r"y has shape \(32, 4\)"),
        (IMAGES.long(), TypeError, r"y is a tensor of torch\.int64"),
        (torch.rand(32, 4, 16), ValueError, r"y has shape \(32, 4, 16\)"),  # of their own, for a fourth expert
    ],
)
def test_check_says_what_is_wrong_with_targets(vae, y, error, message):
    with pytest.raises(error, match=message):
        vae.check(IMAGES, y)


def test_check_lets_good_data_pass(vae):
    vae.check(IMAGES)
    vae.check(IMAGES, IMAGES)
    own = torch.rand(5, 3, 16)  # (B, E, D)
    vae.check(own, own)
    RegressionExperts(2, in_features=2).check(torch.full((1, 2), -1e9), torch.full((1, 1), 1e9))
    with pytest.raises(TypeError, match=r"model's weights are torch\.float64"):
        vae.double().check(IMAGES)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: VAEExperts(0), ValueError, "num_experts is 0"),
        (lambda: VAEExperts(2, latent=0), ValueError, "latent is 0"),
        (lambda: VAEExperts(2, decoder_std=0.0), ValueError, r"decoder_std is 0\.0"),
        (lambda: RegressionExperts(2, degree=0), ValueError, "degree is 0"),
        (lambda: VAEExperts(2, hidden=128), TypeError, r"hidden is 128; .* \(128,\)"),
        (lambda: VAEExperts(2, in_features=4).generate(2, 1, seed=0), IndexError, "expert 2 of 2: choose 0 to 1"),
        (lambda: VAEExperts(2, in_features=4).generate(-1, 1, seed=0), IndexError, "expert -1 of 2: choose 0 to 1"),
        (lambda: VAEExperts(2, in_features=4).generate(0, 1, seed=0.5), TypeError, "float"),
    ],
)
def test_settings_that_make_no_sense(make, error, message):
    with pytest.raises(error, match=message):
        make()
