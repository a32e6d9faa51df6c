"""What the tests of the rooms share: small models, one way to train them, and how two of them are compared."""

import pytest
import torch

from moe_lib import ImportanceVariance, Manager, MixtureOfExperts, VAEExperts, fit
from moe_lib.training import has_bf16

needs_bf16 = pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this processor has no bfloat16 of its own")
IMAGES = torch.rand(64, 16, generator=torch.Generator().manual_seed(0))
DIGITS = torch.rand(16, 784, generator=torch.Generator().manual_seed(1))  # as large as digits, and as dull as noise


def small_moe_vae(seed=0, balance=None, kind=MixtureOfExperts, wrap=lambda manager: manager, **options):
    """Three VAEs for images of 16 pixels."""
    torch.manual_seed(seed)
    experts = VAEExperts(num_experts=3, in_features=16, hidden=(8,), latent=2)
    return kind(wrap(Manager(16, 3, hidden=(8,))), experts, balance or ImportanceVariance(0.1), **options)


def train(model, x=IMAGES, y=None, **changes):
    """Three epochs; of `IMAGES`, four steps each."""
    settings = {"epochs": 3, "batch_size": 16, "lr": 1e-2, "seed": 5, "device": "cpu", "progress": False} | changes
    return fit(model, x, x if y is None else y, **settings)


def weights(model):
    """All weights and buffers by name, copies."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


def gradients(model, x, noise):
    """All gradients of the total loss on images x; zero where there is none."""
    model.zero_grad()
    model.objective(x, x, noise).total.backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}
