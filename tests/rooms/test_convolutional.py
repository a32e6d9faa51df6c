"""Convolutional decoders: each expert is what a network of its own would be, and none touches another. And managers."""

import pytest
import torch

from moe_lib import Manager, MixtureOfExperts, VAEExperts
from moe_lib.ladder import ConvManager, ConvVAEExperts

from .small import DIGITS, train


def test_experts_do_not_touch_one_another():
    torch.manual_seed(0)
    experts = ConvVAEExperts(3, latent=2, channels=(4, 2))
    z = torch.randn(3, 5, 2)
    before = experts.decode(z)
    z[1] += 1
    after = experts.decode(z)
    assert before.shape == (3, 5, 784)
    assert not torch.allclose(before[1], after[1], atol=1e-3)
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]])


def test_all_at_once_is_one_after_the_other():
    torch.manual_seed(0)
    experts = ConvVAEExperts(3, latent=2, channels=(4, 2))
    z, decoder = torch.randn(5, 2), experts.decoder
    first, second = decoder.draw[1], decoder.draw[3]
    for i in range(3):
        planes = torch.relu(z @ decoder.start.weight[i] + decoder.start.bias[i]).view(5, 4, 7, 7)
        options = {"stride": 2, "padding": 1}
        own = slice(4 * i, 4 * i + 4)
        planes = torch.conv_transpose2d(planes, first.weight[own], first.bias[2 * i : 2 * i + 2], **options).relu()
        own = slice(2 * i, 2 * i + 2)
        planes = torch.conv_transpose2d(planes, second.weight[own], second.bias[i : i + 1], **options)
        torch.testing.assert_close(experts.decode(z)[i], planes.flatten(1).sigmoid())


def test_it_is_a_mixture_like_any_other_with_fewer_weights():
    model = MixtureOfExperts(Manager(784, 3), ConvVAEExperts(3))
    assert model.objective(torch.rand(4, 784), torch.rand(4, 784)).total.isfinite()
    assert model.generate(2, 4, seed=0).shape == (4, 784)
    count = {kind: sum(p.numel() for p in kind(3).decoder.parameters()) for kind in (ConvVAEExperts, VAEExperts)}
    assert count[ConvVAEExperts] < count[VAEExperts] / 8


def test_experts_of_images_of_their_own():
    torch.manual_seed(0)
    experts = ConvVAEExperts(3, (4,), latent=2, channels=(4, 2))
    x = torch.rand(5, 3, 784)
    noise = experts.noise(5)
    own = experts.losses(x, x, noise)
    for i in range(3):
        torch.testing.assert_close(own[:, i], experts.losses(x[:, i], x[:, i], noise)[:, i])


def test_sizes_must_be_positive():
    with pytest.raises(ValueError, match=r"channels\[1\] is 0"):
        ConvVAEExperts(2, channels=(4, 0))


def test_a_conv_manager_speaks_as_a_manager_does():
    torch.manual_seed(0)
    manager = ConvManager(num_experts=7, channels=(4, 8), hidden=16).eval()
    x = torch.rand(5, 784)
    logits = manager(x)
    assert logits.shape == (5, 7)
    torch.testing.assert_close(logits[:2], manager(x[:2]))  # in evaluation each image stands for itself
    with pytest.raises(ValueError, match="784"):
        manager(torch.rand(5, 100))


def test_a_manager_that_normalises_over_a_batch_wants_one():
    model = MixtureOfExperts(ConvManager(2, channels=(2, 2), hidden=4), VAEExperts(2, 784, (4,), 2))
    with pytest.raises(ValueError, match="ConvManager normalises over the batch: train it on at least 2 examples"):
        train(model, DIGITS, batch_size=1)
    train(model, DIGITS, batch_size=2, epochs=1)
    assert model.assign(DIGITS[:1]).shape == (1,)  # in evaluation one image will do
