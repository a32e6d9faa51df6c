"""What the tests of the rooms share: small models, one way to train them, and what is compared of them."""

import pytest
import torch

from moe_lib import ImportanceVariance, Manager, MixtureOfExperts, VAEExperts, fit
from moe_lib.training import has_bf16

needs_bf16 = pytest.mark.skipif(not has_bf16(torch.device("cpu")), reason="this processor has no bfloat16 of its own")
IMAGES = torch.rand(64, 16, generator=torch.Generator().manual_seed(0))


def small_moe_vae(seed=0, balance=None, kind=MixtureOfExperts, manager=None, **options):
    """Three VAEs for images of 16 pixels."""
    torch.manual_seed(seed)
    experts = VAEExperts(num_experts=3, in_features=16, hidden=(8,), latent=2)
    return kind(manager or Manager(16, 3, hidden=(8,)), experts, balance or ImportanceVariance(0.1), **options)


def train(model, x=IMAGES, y=None, **changes):
    """Three epochs of four steps."""
    settings = {"epochs": 3, "batch_size": 16, "lr": 1e-2, "seed": 5, "device": "cpu", "progress": False} | changes
    return fit(model, x, x if y is None else y, **settings)


def weights(model):
    """All weights and buffers by name, copies."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
