"""Convolutional decoders: each expert is what a network of its own would be, and none touches another."""

import pytest
import torch

from moe_lib import ConvVAEExperts, Manager, MixtureOfExperts, VAEExperts


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


def test_single_experts_cannot_draw():
    model = MixtureOfExperts(Manager(784, 3), ConvVAEExperts(3), top_k=2)
    with pytest.raises(ValueError, match="leave top_k out"):
        model.objective(torch.rand(4, 784), torch.rand(4, 784))
